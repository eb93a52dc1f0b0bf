//! Reading frames by their place.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::format::{FRAME_HEADER_BYTES, FormatError, FrameHeader, TAG_BYTES};
use crate::freed::Freed;
use crate::io::Io;
use crate::keys::{Keyring, OpenError, Opener};
use crate::layout::Layout;
use crate::segment::Segment;
use crate::{Location, LogError};

/// Frames that lie no further apart are read together with what is between them …
const GAP_BYTES: u64 = 32 * 1024;
/// … up to so much at a time.
const RUN_BYTES: u64 = 4 * 1024 * 1024;

/// Opens frames of any lane.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) io: Arc<dyn Io>,
    pub(crate) layout: Layout,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) freed: Arc<Freed>,
}

impl Reader {
    /// The payloads at `pieces`, one after the other in one buffer: each frame is read behind the
    /// payloads before it and opened in place. Blocks on the disk.
    pub(crate) fn joined(&self, pieces: &[Location]) -> Result<Bytes, LogError> {
        let total: usize = pieces.iter().map(|piece| piece.len as usize).sum();
        let mut buffer = vec![0; total];
        let mut filled = 0;
        let mut segment: Option<Segment> = None;
        let mut opener = self.keys.opener();
        for piece in pieces {
            let open = self.segment(segment.take(), piece)?;
            let frame = frame_in(&open, piece, &mut buffer[filled..])?;
            open.read(frame, piece.offset)?;
            filled += self.open(&open, piece, frame, &mut opener)?;
            segment = Some(open);
        }
        buffer.truncate(filled);
        Ok(buffer.into())
    }

    /// The payload of each of `pieces`, those that lie close together read in one piece. Blocks on the disk.
    pub(crate) fn run(&self, pieces: &[Location]) -> Vec<Result<Bytes, LogError>> {
        let mut opener = self.keys.opener();
        let mut segment: Option<Segment> = None;
        let mut payloads = Vec::with_capacity(pieces.len());
        for near in pieces.chunk_by(is_near) {
            match self.segment(segment.take(), &near[0]) {
                Ok(open) => {
                    let mut left = near;
                    while !left.is_empty() {
                        let (now, later) = left.split_at(fitting(left));
                        self.near(&open, now, &mut opener, &mut payloads);
                        left = later;
                    }
                    segment = Some(open);
                }
                Err(error) => payloads.extend(near.iter().map(|_| Err(error.clone()))),
            }
        }
        payloads
    }

    /// Frames of one segment, by one read.
    fn near(
        &self,
        segment: &Segment,
        pieces: &[Location],
        opener: &mut Opener<'_>,
        payloads: &mut Vec<Result<Bytes, LogError>>,
    ) {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return };
        let len = usize::try_from(end(last) - first.offset).expect("a run is a few megabytes, or one frame");
        let mut buffer = BytesMut::zeroed(len);
        if let Err(error) = segment.read(&mut buffer, first.offset) {
            if let [_] = pieces {
                return payloads.push(Err(error));
            }
            // What can be read is read alone.
            return pieces
                .iter()
                .for_each(|piece| self.near(segment, std::slice::from_ref(piece), opener, payloads));
        }
        for piece in pieces {
            // What lies in front of the frame goes.
            let before = usize::try_from(end(last) - piece.offset).map_or(0, |left| buffer.len() - left);
            drop(buffer.split_to(before));
            let mut frame = buffer.split_to(piece.len as usize);
            let opened = frame_in(segment, piece, &mut frame)
                .and_then(|bytes| self.open(segment, piece, bytes, opener));
            payloads.push(opened.map(|payload| {
                frame.truncate(payload);
                frame.freeze()
            }));
        }
    }

    /// The segment that a piece is in: `last`, where it is that one.
    fn segment(&self, last: Option<Segment>, piece: &Location) -> Result<Segment, LogError> {
        match last.filter(|last| (last.lane, last.number) == (piece.lane, piece.segment)) {
            Some(same) => Ok(same),
            None => Segment::open(&*self.io, &self.layout, piece.lane, piece.segment),
        }
    }

    /// Leaves the frame's payload at the start of its bytes, and returns its length.
    pub(crate) fn open(
        &self,
        segment: &Segment,
        at: &Location,
        frame: &mut [u8],
        opener: &mut Opener<'_>,
    ) -> Result<usize, LogError> {
        if self.freed.holds(at) {
            return Err(LogError::Gone(*at));
        }
        let header = FrameHeader::parse(frame).map_err(segment.corrupt(at.offset))?;
        let broken = |what| LogError::Corrupt {
            file: segment.path.clone(),
            offset: at.offset,
            stream: Some(header.stream),
            time: Some(header.server_time),
            what,
        };
        if header.frame_bytes() != u64::from(at.len) {
            return Err(broken("the frame has another length than was noted"));
        }
        match opener.open(&header, frame) {
            Ok(()) => Ok(header.payload_bytes as usize),
            Err(OpenError::NoKey) => Err(LogError::NoKey(header.stream)),
            // It may have been freed while it was read.
            Err(OpenError::Broken) if self.freed.holds(at) => Err(LogError::Gone(*at)),
            Err(OpenError::Broken) => Err(broken("the seal is broken")),
        }
    }
}

/// The part of `buffer` that a frame takes.
fn frame_in<'b>(segment: &Segment, at: &Location, buffer: &'b mut [u8]) -> Result<&'b mut [u8], LogError> {
    buffer
        .get_mut(..at.len as usize)
        .filter(|frame| frame.len() >= FRAME_HEADER_BYTES + TAG_BYTES)
        .ok_or_else(|| segment.corrupt(at.offset)(FormatError("no frame is this short")))
}

fn end(piece: &Location) -> u64 {
    piece.offset.saturating_add(u64::from(piece.len))
}

fn is_near(a: &Location, b: &Location) -> bool {
    let together = (a.lane, a.segment) == (b.lane, b.segment) && end(a) <= b.offset;
    together && b.offset - end(a) <= GAP_BYTES
}

/// How many of these are read at a time: at least one.
fn fitting(near: &[Location]) -> usize {
    near.partition_point(|piece| end(piece) - near[0].offset <= RUN_BYTES).max(1)
}
