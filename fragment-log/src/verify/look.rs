//! Reading one segment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::format::{
    BLOCK, BatchHead, FRAME_HEADER_BYTES, Footer, FooterRow, FormatError, FrameHeader, FrameKind, FrameSlot,
    Lsn, check_frame,
};
use crate::freed;
use crate::io::Io;
use crate::keys::{Keyring, OpenError};
use crate::layout::Layout;
use crate::segment::{Segment, Step, Walk};
use crate::{Damage, LaneId, LogError};

/// A segment that a server is writing looks unfinished at times; it is read so often before its
/// state is called damage.
const LOOKS: usize = 3;
/// … and so often, with a pause each time, while its first block is empty: a slow disk is about to write it.
const LOOKS_AT_BLANK: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Reads the segment. `each` is told the payloads of commands, and how many bytes were read.
pub(super) fn look_at(
    io: &dyn Io,
    layout: &Layout,
    keys: Option<&Keyring>,
    (lane, number): (LaneId, u64),
    each: &mut dyn FnMut(Part<'_>),
) -> Result<Look, LogError> {
    let mut look = Look::default();
    for looks in 1..=LOOKS_AT_BLANK {
        let segment = Segment::open(io, layout, lane, number)?;
        look = Look::default();
        match freed::read(io, layout, lane, number)? {
            Ok(frames) => look.noted = frames,
            Err(damage) => look.damages.push(damage),
        }
        look.segment(&segment, keys, each)?;
        if look.damages.is_empty() || looks >= LOOKS && !look.blank {
            break;
        }
        if look.blank {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(look)
}

/// Something met while a segment is read.
pub(super) enum Part<'a> {
    /// A batch of so many bytes.
    Batch(u64),
    /// A command, opened.
    Command(&'a [u8]),
}

/// What one reading of one segment has shown.
#[derive(Default)]
pub(super) struct Look {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) shredded: u64,
    pub(super) freed: u64,
    /// The freed frames of the segment, by offset.
    noted: BTreeMap<u64, u32>,
    pub(super) torn: bool,
    /// Whether nothing is in its first block.
    blank: bool,
    pub(super) damages: Vec<Damage>,
    /// Everything up to here was on disk, says some batch.
    durable: Lsn,
    /// Damage in batches after which nothing vouches for them, with the batch's last place.
    doubtful: Vec<(Lsn, Damage)>,
}

impl Look {
    fn segment(
        &mut self,
        segment: &Segment,
        keys: Option<&Keyring>,
        each: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), LogError> {
        let size = segment.size()?;
        let header = segment.header()?;
        if let Err(FormatError(what)) = header {
            self.damages.push(Damage::plain(&segment.path, 0..BLOCK.min(size), what));
            self.blank = is_zero(segment, 0..BLOCK.min(size))?;
        }
        let (footer, footer_at) = segment.footer()?.unzip();
        // Only sealing leaves a size between blocks.
        let sealed = footer.is_some() || !size.is_multiple_of(BLOCK);
        let mut walk = Walk::new(segment, header.ok().map(|header| header.uuid), footer_at.unwrap_or(size));
        self.bytes = BLOCK.min(size) + footer_at.map_or(0, |offset| size - offset);
        while let Some(step) = walk.step()? {
            match step {
                Step::Batch(head) => {
                    self.batch(segment, &head, keys, each)?;
                    each(Part::Batch(head.padded_bytes()));
                }
                Step::Gap { range, vouched } if vouched || sealed => {
                    self.gap(segment, range, footer.as_ref().zip(keys))?;
                }
                Step::Gap { .. } => self.torn = true,
                Step::Tail(range) if footer.is_some() => {
                    self.gap(segment, range, footer.as_ref().zip(keys))?;
                }
                Step::Tail(range) if sealed => {
                    let what = "the footer cannot be read";
                    self.damages.push(Damage::plain(&segment.path, range, what));
                }
                Step::Tail(range) => self.torn |= !is_zero(segment, range)?,
            }
        }
        for (last, damage) in std::mem::take(&mut self.doubtful) {
            if sealed || last <= self.durable {
                self.damages.push(damage);
            } else {
                self.torn = true;
            }
        }
        Ok(())
    }

    /// Bytes where no batch can be read. Where the footer tells which frames are there, those that a
    /// key opens are good, and what is left is named piece by piece.
    fn gap(
        &mut self,
        segment: &Segment,
        range: Range<u64>,
        known: Option<(&Footer, &Keyring)>,
    ) -> Result<(), LogError> {
        let Some((footer, keys)) = known else {
            self.damages.push(Damage::gap(segment, range));
            return Ok(());
        };
        let mut at = range.start;
        let mut frame = Vec::new();
        for row in footer.rows.iter().filter(|row| range.contains(&row.offset)) {
            let end = row.offset + row.header.frame_bytes();
            if row.offset < at || end > range.end {
                break;
            }
            if row.offset > at {
                let what = "the head of a batch cannot be read; its frames are named by the footer";
                self.damages.push(Damage::plain(&segment.path, at..row.offset, what));
            }
            if self.noted.contains_key(&row.offset) {
                self.freed += 1;
            } else {
                self.known_frame(segment, row, &mut frame, keys)?;
            }
            self.frames += 1;
            at = end;
        }
        self.bytes += range.end - range.start;
        if at == range.start || !is_zero(segment, at..range.end)? {
            self.damages.push(Damage::gap(segment, at..range.end));
        }
        Ok(())
    }

    /// A frame that the footer tells of, in a batch whose head cannot be read.
    fn known_frame(
        &mut self,
        segment: &Segment,
        row: &FooterRow,
        frame: &mut Vec<u8>,
        keys: &Keyring,
    ) -> Result<(), LogError> {
        let end = row.offset + row.header.frame_bytes();
        frame.resize(usize::try_from(end - row.offset).unwrap_or(usize::MAX), 0);
        segment.read(frame, row.offset)?;
        if FrameHeader::parse(frame) != Ok(row.header) {
            let what = "the frame's header differs from the footer";
            self.damages.push(Damage::frame(segment, row.offset..end, &row.header.to_bytes(), what));
        } else if self.opens(keys, &row.header, frame).is_err() {
            self.damages.push(Damage::frame(segment, row.offset..end, frame, "the seal is broken"));
        }
        Ok(())
    }

    fn batch(
        &mut self,
        segment: &Segment,
        head: &BatchHead,
        keys: Option<&Keyring>,
        each: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), LogError> {
        self.durable = self.durable.max(head.durable);
        self.bytes += head.padded_bytes();
        let last = Lsn(head.next().0.saturating_sub(1));
        let mut frame = Vec::new();
        for (_, offset, slot) in head.places() {
            self.frames += 1;
            if self.noted.contains_key(&offset) {
                self.freed += 1;
                continue;
            }
            frame.resize(slot.len as usize, 0);
            segment.read(&mut frame, offset)?;
            if let Err(FormatError(what)) = self.frame(&mut frame, slot, keys, each) {
                let range = offset..offset + u64::from(slot.len);
                self.doubtful.push((last, Damage::frame(segment, range, &frame, what)));
            }
        }
        let padding = head.offset + head.bytes()..head.offset + head.padded_bytes();
        if !is_zero(segment, padding.clone())? {
            let what = "the padding of a batch is not zero";
            self.doubtful.push((last, Damage::plain(&segment.path, padding, what)));
        }
        Ok(())
    }

    fn frame(
        &mut self,
        frame: &mut [u8],
        slot: FrameSlot,
        keys: Option<&Keyring>,
        each: &mut dyn FnMut(Part<'_>),
    ) -> Result<(), FormatError> {
        let header = check_frame(frame, slot)?;
        let Some(keys) = keys else { return Ok(()) };
        let opened = self.opens(keys, &header, frame)?;
        if opened && header.kind == FrameKind::Command {
            each(Part::Command(&frame[FRAME_HEADER_BYTES..][..header.payload_bytes as usize]));
        }
        Ok(())
    }

    /// Opens the frame, behind its header. `false` where its key was destroyed.
    fn opens(&mut self, keys: &Keyring, header: &FrameHeader, frame: &mut [u8]) -> Result<bool, FormatError> {
        let opened = keys.open_frame(header, frame);
        let payload = header.payload_bytes as usize;
        frame.copy_within(..payload, FRAME_HEADER_BYTES);
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        match opened {
            Ok(()) => Ok(true),
            Err(OpenError::NoKey) => {
                self.shredded += 1;
                Ok(false)
            }
            Err(OpenError::Broken) => Err(FormatError("the seal is broken")),
        }
    }
}

pub(super) fn is_zero(segment: &Segment, range: Range<u64>) -> Result<bool, LogError> {
    let mut chunk = vec![0; 64 * 1024];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).map_or(chunk.len(), |left| left.min(chunk.len()));
        let read = segment.file.read_at(&mut chunk[..len], at).map_err(segment.reading())?;
        if chunk[..read].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(true)
}
