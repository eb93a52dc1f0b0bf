//! Space: segments whose records have all expired go. Readers do not see them any more long before.

use std::collections::HashMap;
use std::sync::Arc;

use base::{StreamId, Timestamp};
use fragment_log::{LaneId, LogError, SegmentInfo};

use crate::footers::{self, SegmentFrames};
use crate::streams::DataStreams;

/// Most segments that one sweep removes.
const SEGMENTS: usize = 64;

/// What a sweep gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Segments removed.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

impl DataStreams {
    /// Removes segments of which nothing is kept, and forgets the shards of deleted streams. Bounded
    /// work: call it every few seconds, again at once where [`Swept::more`] says so.
    ///
    /// # Errors
    /// [`LogError`] where the disk fails.
    pub async fn sweep(self: &Arc<Self>) -> Result<Swept, LogError> {
        let mut swept = Swept::default();
        let now = self.clock.now();
        self.shards.retain(|stream| self.catalog.records_kept_since(stream, now).is_some());
        for info in self.complete_segments() {
            if swept.segments as usize == SEGMENTS {
                swept.more = true;
                break;
            }
            if self.is_needed(&info) {
                continue;
            }
            let streams = Arc::clone(self);
            let (lane, segment) = (info.lane, info.segment);
            let removed = tokio::task::spawn_blocking(move || streams.log.remove_segment(lane, segment));
            match removed.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                // The runtime ends.
                Err(_) => return Ok(swept),
            }
            self.forget(lane, segment);
            swept.segments += 1;
            swept.bytes += info.bytes;
        }
        Ok(swept)
    }

    /// The complete segments of the record lanes that are followed to their end. The last of a lane
    /// stays: the log's order goes on from it.
    fn complete_segments(self: &Arc<Self>) -> Vec<SegmentInfo> {
        let mut segments = self.log.segments();
        segments.retain(|info| matches!(info.lane, LaneId::Records(_)));
        let mut last: HashMap<LaneId, u64> = HashMap::new();
        for info in &segments {
            let greatest = last.entry(info.lane).or_insert(info.segment);
            *greatest = info.segment.max(*greatest);
        }
        let told = self.shards.segments().told.clone();
        segments.retain(|info| {
            info.sealed && last[&info.lane] > info.segment && told.get(&info.lane) >= Some(&info.last)
        });
        segments
    }

    fn is_needed(&self, info: &SegmentInfo) -> bool {
        let now = self.clock.now();
        let segments = self.shards.segments();
        let streams = segments.streams.get(&(info.lane, info.segment));
        streams.into_iter().flatten().any(|(stream, last)| self.is_kept(*stream, *last, now))
    }

    fn is_kept(&self, stream: StreamId, last: Timestamp, now: Timestamp) -> bool {
        self.catalog.records_kept_since(stream, now).is_some_and(|since| last >= since)
    }

    fn forget(&self, lane: LaneId, segment: u64) {
        for (_, shard) in self.shards.all() {
            shard.index().remove(lane, segment);
        }
        let mut segments = self.shards.segments();
        segments.streams.remove(&(lane, segment));
        segments.complete.remove(&(lane, segment));
    }

    /// Lets the footers of complete segments stand for their frames. Blocks on the disk: once for
    /// each segment. Call it every few seconds.
    ///
    /// # Errors
    /// [`LogError`] where the disk fails.
    pub fn tidy(self: &Arc<Self>) -> Result<(), LogError> {
        for info in self.complete_segments() {
            let at = (info.lane, info.segment);
            if self.shards.segments().complete.contains(&at) {
                continue;
            }
            match self.log.frames(info.lane, info.segment) {
                Ok(frames) => self.complete(info.lane, info.segment, &footers::by_shard(frames)),
                Err(LogError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A segment is complete, and its footer has these frames.
    pub(crate) fn complete(&self, lane: LaneId, segment: u64, footer: &SegmentFrames) {
        for (key, frames) in footer {
            if let Some(shard) = self.shards.get(*key) {
                shard.index().complete(frames);
            }
        }
        self.shards.segments().complete.insert((lane, segment));
    }
}
