//! Footers of complete segments, as they were read lately.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use base::StreamId;
use fragment_log::{FrameHeader, FrameKind, LaneId, Location, Log, LogError};

use crate::index::Frame;

/// Most frames that all kept footers together may have.
const FRAMES: usize = 500_000;

/// The frames of one segment, by stream and shard, each in order.
pub(crate) type SegmentFrames = HashMap<(StreamId, u32), Vec<Frame>>;

/// The least recently used go first.
#[derive(Default)]
pub(crate) struct Footers {
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    at: (LaneId, u64),
    frames: Arc<SegmentFrames>,
    count: usize,
}

impl Footers {
    /// The frames of a complete segment. Blocks on the disk where they are not kept.
    ///
    /// # Errors
    /// [`LogError::Gone`] where the segment was removed.
    pub fn get(&self, log: &Log, lane: LaneId, segment: u64) -> Result<Arc<SegmentFrames>, LogError> {
        if let Some(frames) = self.kept((lane, segment)) {
            return Ok(frames);
        }
        let frames = Arc::new(by_shard(log.frames(lane, segment)?));
        let count = frames.values().map(Vec::len).sum();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Kept { at: (lane, segment), frames: Arc::clone(&frames), count });
        let mut total: usize = kept.iter().map(|kept| kept.count).sum();
        while total > FRAMES && kept.len() > 1 {
            total -= kept.pop_front().map_or(0, |kept| kept.count);
        }
        Ok(frames)
    }

    /// Those that are in memory, which now are the last to go.
    pub fn kept(&self, at: (LaneId, u64)) -> Option<Arc<SegmentFrames>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|kept| kept.at == at)?;
        let found = kept.remove(place)?;
        let frames = Arc::clone(&found.frames);
        kept.push_back(found);
        Some(frames)
    }
}

/// Frames of records, by stream and shard.
pub(crate) fn by_shard(found: Vec<(FrameHeader, Location)>) -> SegmentFrames {
    let mut frames = SegmentFrames::new();
    for (header, location) in found {
        if header.kind == FrameKind::Records {
            frames.entry((header.stream, header.shard)).or_default().push(Frame::of(&header, location));
        }
    }
    frames
}
