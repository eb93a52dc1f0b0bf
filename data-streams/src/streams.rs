//! The crate's face: all data streams of one log.

use std::ops::Range;
use std::sync::Arc;

use base::{Clock, StreamId};
use catalog::{Catalog, DataStream};
use fragment_log::{Follower, FrameKind, LaneId, Log, LogError, SegmentInfo};
use tokio::sync::watch;

use crate::footers::{self, Footers};
use crate::shard::{ShardState, Shards};

/// All data streams. Share it as `Arc<DataStreams>`.
pub struct DataStreams {
    pub(crate) log: Arc<Log>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: Arc<Shards>,
    pub(crate) footers: Arc<Footers>,
}

impl DataStreams {
    /// Finds the records that the log holds, by the footers of its segments, and follows it from now
    /// on. Reads no records. Call it before the first record is put. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError`] where the disk fails.
    pub fn open(log: Arc<Log>, catalog: Arc<Catalog>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, LogError> {
        let streams = Self { shards: Arc::default(), footers: Arc::default(), log, catalog, clock };
        for info in streams.log.segments() {
            if matches!(info.lane, LaneId::Records(_)) {
                streams.load(&info)?;
            }
        }
        for (key, shard) in streams.shards.all() {
            let next = streams.next_index(key.0, key.1);
            let mut numbers = shard.numbers();
            numbers.next = next.max(numbers.next);
            numbers.time = shard.index().last_time().unwrap_or(numbers.time);
        }
        streams.log.follow(Arc::clone(&streams.shards) as Arc<dyn Follower>);
        Ok(Arc::new(streams))
    }

    /// Notes the frames of one segment.
    fn load(&self, info: &SegmentInfo) -> Result<(), LogError> {
        let frames = if info.sealed { self.log.frames(info.lane, info.segment)? } else { Vec::new() };
        for (header, location) in &frames {
            if header.kind == FrameKind::Records {
                self.shards.note(header, *location);
            }
        }
        if frames.is_empty() {
            // It was being written when the process ended, or its footer is damaged.
            self.log.replay(info.lane, info.first, &mut |frame| {
                if frame.location.segment == info.segment && frame.header.kind == FrameKind::Records {
                    self.shards.note(&frame.header, frame.location);
                }
                Ok(())
            })?;
        } else {
            self.complete(info.lane, info.segment, &footers::by_shard(frames));
        }
        self.shards.segments().told.insert(info.lane, self.log.durable(info.lane));
        Ok(())
    }

    /// The index that follows whatever was given before this start.
    fn next_index(&self, stream: StreamId, shard: u32) -> u64 {
        self.log.last_sequence(stream, shard).map_or(1, |last| last.saturating_add(1))
    }

    pub(crate) fn shard(&self, stream: &DataStream, shard: u32) -> Arc<ShardState> {
        self.shards.get_or_insert((stream.id, shard), || self.next_index(stream.id, shard))
    }

    /// The index after the last record of a shard that is on disk.
    pub fn durable(&self, stream: &DataStream, shard: u32) -> u64 {
        self.shard(stream, shard).durable()
    }

    /// About how many bytes the frames take that begin with one of these records: a run of them in a complete
    /// segment counts where it begins.
    pub fn stored_bytes(&self, stream: &DataStream, shard: u32, records: Range<u64>) -> u64 {
        self.shard(stream, shard).index().bytes(records)
    }

    /// Changes with [`Self::durable`].
    pub fn watch(&self, stream: &DataStream, shard: u32) -> watch::Receiver<u64> {
        self.shard(stream, shard).watch()
    }
}
