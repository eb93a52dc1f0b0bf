//! Checking every stored byte.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use base::SystemEntropy;

use crate::format::{
    BLOCK, BatchHead, FRAME_HEADER_BYTES, FormatError, FrameHeader, FrameSlot, Lsn, check_frame,
};
use crate::freed;
use crate::io::{DiskIo, Io};
use crate::keys::{Keyring, OpenError};
use crate::layout::Layout;
use crate::segment::{Segment, Step, Walk};
use crate::{Damage, LaneId, LogError, MasterKey};

/// What [`crate::Log::verify`] has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segment files read.
    pub segments: u64,
    /// Frames checked.
    pub frames: u64,
    /// Bytes checked.
    pub bytes: u64,
    /// Frames that no key opens, because their stream was deleted. Not damage.
    pub shredded: u64,
    /// Frames whose space was given back. Not damage.
    pub freed: u64,
    /// Damaged places reported.
    pub damages: u64,
    /// Unfinished ends of segments: what a running server is writing, or a crash has left. Not damage.
    pub torn_tails: u64,
}

/// A segment that a server is writing looks unfinished at times; it is read so often before its
/// state is called damage.
const LOOKS: usize = 3;

/// What to check.
#[derive(Clone)]
pub struct Verify {
    /// The data folder.
    pub dir: PathBuf,
    /// Opens the frames; without it checksums alone decide.
    pub master: Option<MasterKey>,
    /// Where files are.
    pub io: Arc<dyn Io>,
}

impl Verify {
    /// Checks a data folder on the machine's disk.
    pub fn new(dir: impl Into<PathBuf>, master: Option<MasterKey>) -> Self {
        Self { dir: dir.into(), master, io: Arc::new(DiskIo) }
    }

    /// Reads every stored byte once. See [`crate::Log::verify`].
    pub fn run(&self, report: &mut dyn FnMut(Damage)) -> Result<Summary, LogError> {
        verify(self, report)
    }
}

fn verify(what: &Verify, report: &mut dyn FnMut(Damage)) -> Result<Summary, LogError> {
    let Verify { dir, master, io } = what;
    let layout = Layout::new(dir);
    if !layout.check_version(&**io)? {
        return Err(LogError::Format { file: dir.join("format"), found: String::new() });
    }
    let keys = master
        .as_ref()
        .map(|master| {
            Keyring::open_to_read(Arc::clone(io), &layout.keys(), master.clone(), Arc::new(SystemEntropy))
        })
        .transpose()?;
    let mut summary = Summary::default();
    let mut tell = |damages: Vec<Damage>, summary: &mut Summary| {
        summary.damages += damages.len() as u64;
        damages.into_iter().for_each(&mut *report);
    };
    tell(Keyring::damages(&**io, &layout.keys())?, &mut summary);
    tell(layout.superblock_damages(&**io)?, &mut summary);
    for lane in LaneId::all() {
        for number in layout.segments(&**io, lane)? {
            match look_at(&**io, &layout, keys.as_ref(), (lane, number)) {
                Ok(look) => {
                    summary.add(&look);
                    tell(look.damages, &mut summary);
                }
                // A running server's retention was quicker.
                Err(LogError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(summary)
}

fn look_at(
    io: &dyn Io,
    layout: &Layout,
    keys: Option<&Keyring>,
    (lane, number): (LaneId, u64),
) -> Result<Look, LogError> {
    let mut look = Look::default();
    for _ in 0..LOOKS {
        let segment = Segment::open(io, layout, lane, number)?;
        look = Look::default();
        match freed::read(io, layout, lane, number)? {
            Ok(frames) => look.noted = frames,
            Err(damage) => look.damages.push(damage),
        }
        look.segment(&segment, keys)?;
        if look.damages.is_empty() {
            break;
        }
    }
    Ok(look)
}

/// What one reading of one segment has shown.
#[derive(Default)]
struct Look {
    frames: u64,
    bytes: u64,
    shredded: u64,
    freed: u64,
    /// The freed frames of the segment, by offset.
    noted: BTreeMap<u64, u32>,
    torn: bool,
    damages: Vec<Damage>,
    /// Everything up to here was on disk, says some batch.
    durable: Lsn,
    /// Damage in batches after which nothing vouches for them, with the batch's last place.
    doubtful: Vec<(Lsn, Damage)>,
}

impl Summary {
    fn add(&mut self, look: &Look) {
        self.segments += 1;
        self.frames += look.frames;
        self.bytes += look.bytes;
        self.shredded += look.shredded;
        self.freed += look.freed;
        self.torn_tails += u64::from(look.torn);
    }
}

impl Look {
    fn segment(&mut self, segment: &Segment, keys: Option<&Keyring>) -> Result<(), LogError> {
        let size = segment.size()?;
        let header = segment.header()?;
        if let Err(FormatError(what)) = header {
            self.damages.push(Damage::plain(&segment.path, 0..BLOCK.min(size), what));
        }
        let footer = segment.footer()?.map(|(_, offset)| offset);
        // Only sealing leaves a size between blocks.
        let sealed = footer.is_some() || !size.is_multiple_of(BLOCK);
        let mut walk = Walk::new(segment, header.ok().map(|header| header.uuid), footer.unwrap_or(size));
        self.bytes = BLOCK.min(size) + footer.map_or(0, |offset| size - offset);
        while let Some(step) = walk.step()? {
            match step {
                Step::Batch(head) => self.batch(segment, &head, keys)?,
                Step::Gap { range, vouched } if vouched || sealed => {
                    self.damages.push(Damage::gap(segment, range));
                }
                Step::Gap { .. } => self.torn = true,
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

    fn batch(&mut self, segment: &Segment, head: &BatchHead, keys: Option<&Keyring>) -> Result<(), LogError> {
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
            if let Err(FormatError(what)) = self.frame(&mut frame, slot, keys) {
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
    ) -> Result<(), FormatError> {
        let header = check_frame(frame, slot)?;
        match keys.map(|keys| open(keys, &header, frame)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(OpenError::NoKey)) => {
                self.shredded += 1;
                Ok(())
            }
            Some(Err(OpenError::Broken)) => Err(FormatError("the seal is broken")),
        }
    }
}

/// Opens the frame and leaves its header where it was.
fn open(keys: &Keyring, header: &FrameHeader, frame: &mut [u8]) -> Result<(), OpenError> {
    let opened = keys.open_frame(header, frame);
    frame[..FRAME_HEADER_BYTES].copy_from_slice(&header.to_bytes());
    opened
}

fn is_zero(segment: &Segment, range: Range<u64>) -> Result<bool, LogError> {
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
