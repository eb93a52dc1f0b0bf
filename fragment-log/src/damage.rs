//! Telling of damage.

use std::ops::Range;
use std::path::PathBuf;

use base::{StreamId, Timestamp};

use crate::format::FrameHeader;
use crate::segment::Segment;

/// Stored bytes that fail their checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// The first byte of what cannot be trusted.
    pub offset: u64,
    /// How many bytes cannot be trusted.
    pub bytes: u64,
    /// Whose data, where that could still be read.
    pub stream: Option<StreamId>,
    /// Its server time, where that could still be read.
    pub time: Option<Timestamp>,
    /// Which check failed.
    pub what: &'static str,
}

impl Damage {
    /// Of a file that holds no frames, or of a part that belongs to no frame.
    pub(crate) fn plain(file: impl Into<PathBuf>, range: Range<u64>, what: &'static str) -> Self {
        let bytes = range.end - range.start;
        Self { file: file.into(), offset: range.start, bytes, stream: None, time: None, what }
    }

    /// Of a frame whose first bytes are `bytes`.
    pub(crate) fn frame(segment: &Segment, range: Range<u64>, bytes: &[u8], what: &'static str) -> Self {
        Self::plain(&segment.path, range, what).about(FrameHeader::parse(bytes).ok())
    }

    /// Of bytes where batches should be: tells whose they were if a frame header can still be read.
    pub(crate) fn gap(segment: &Segment, range: Range<u64>) -> Self {
        const LOOK: usize = 64 * 1024;
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_or(LOOK, |len| len.min(LOOK))];
        let read = segment.file.read_at(&mut bytes, range.start).unwrap_or(0);
        // A batch's first frame begins on a multiple of 8, as its table's rows are that long.
        let header = (0..read).step_by(8).find_map(|at| FrameHeader::parse(&bytes[at..read]).ok());
        Self::plain(&segment.path, range, "no batch can be read here").about(header)
    }

    /// For the server's log.
    pub(crate) fn log(&self) {
        tracing::error!(file = %self.file.display(), offset = self.offset, bytes = self.bytes,
            stream = ?self.stream, time = ?self.time, "damaged: {}", self.what);
    }

    fn about(self, header: Option<FrameHeader>) -> Self {
        let (stream, time) = header.map(|header| (header.stream, header.server_time)).unzip();
        Self { stream, time, ..self }
    }
}
