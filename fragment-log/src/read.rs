//! Reading frames by their place.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::{FRAME_HEADER_BYTES, FormatError, FrameHeader, TAG_BYTES};
use crate::freed::Freed;
use crate::io::Io;
use crate::keys::{Keyring, OpenError};
use crate::layout::Layout;
use crate::segment::Segment;
use crate::{Location, LogError};

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
        for piece in pieces {
            let same = segment.take().filter(|s| (s.lane, s.number) == (piece.lane, piece.segment));
            let open = match same {
                Some(open) => open,
                None => Segment::open(&*self.io, &self.layout, piece.lane, piece.segment)?,
            };
            filled += self.open_at(&open, piece, &mut buffer[filled..])?;
            segment = Some(open);
        }
        buffer.truncate(filled);
        Ok(buffer.into())
    }

    /// One frame's payload from an open segment.
    pub(crate) fn payload(&self, segment: &Segment, at: &Location) -> Result<Bytes, LogError> {
        let mut buffer = vec![0; at.len as usize];
        let len = self.open_at(segment, at, &mut buffer)?;
        buffer.truncate(len);
        Ok(buffer.into())
    }

    /// Reads the frame to the start of `buffer` and leaves its payload there, whose length it returns.
    fn open_at(&self, segment: &Segment, at: &Location, buffer: &mut [u8]) -> Result<usize, LogError> {
        if self.freed.holds(at) {
            return Err(LogError::Gone(*at));
        }
        let frame = buffer
            .get_mut(..at.len as usize)
            .filter(|frame| frame.len() >= FRAME_HEADER_BYTES + TAG_BYTES)
            .ok_or_else(|| segment.corrupt(at.offset)(FormatError("no frame is this short")))?;
        segment.read(frame, at.offset)?;
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
        match self.keys.open_frame(&header, frame) {
            Ok(()) => Ok(header.payload_bytes as usize),
            Err(OpenError::NoKey) => Err(LogError::NoKey(header.stream)),
            // It may have been freed while it was read.
            Err(OpenError::Broken) if self.freed.holds(at) => Err(LogError::Gone(*at)),
            Err(OpenError::Broken) => Err(broken("the seal is broken")),
        }
    }
}
