//! What is known of the shards, and how the log keeps it up to date.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base::{StreamId, Timestamp};
use fragment_log::{Durable, Follower, FrameHeader, FrameKind, LaneId, Location, Lsn};
use tokio::sync::watch;

use crate::index::{Frame, ShardIndex};
use crate::traffic::Flow;

/// A stream's shard.
pub(crate) type ShardKey = (StreamId, u32);

/// One shard.
pub(crate) struct ShardState {
    /// Held while a frame is numbered, sealed and handed to the lane.
    numbers: Mutex<Numbers>,
    /// Held for moments.
    index: Mutex<ShardIndex>,
    /// The index after the last durable record.
    durable: watch::Sender<u64>,
    /// What is put.
    pub written: Flow,
    /// What is read.
    pub read: Flow,
}

/// How the next frame is numbered.
pub(crate) struct Numbers {
    /// Index of the next record.
    pub next: u64,
    /// When the last record arrived: the next does not arrive before.
    pub time: Timestamp,
    /// Where the last frame went.
    pub lane: Option<LaneId>,
}

impl ShardState {
    fn new(next: u64) -> Self {
        let numbers = Numbers { next, time: Timestamp::MIN, lane: None };
        Self {
            numbers: Mutex::new(numbers),
            index: Mutex::default(),
            durable: watch::Sender::new(next),
            written: Flow::default(),
            read: Flow::default(),
        }
    }

    pub fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn index(&self) -> MutexGuard<'_, ShardIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index after the last durable record.
    pub fn durable(&self) -> u64 {
        *self.durable.borrow()
    }

    /// Changes with [`Self::durable`].
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// The lane for the next frame: the wanted one, unless frames are under way in another. One that
    /// overtook them there would be read before them.
    pub fn lane(&self, wanted: LaneId) -> LaneId {
        let mut numbers = self.numbers();
        if self.durable() >= numbers.next {
            numbers.lane = Some(wanted);
        }
        *numbers.lane.get_or_insert(wanted)
    }
}

/// All shards, and the segments that their records are in. Holds no log, so that the log can hold it.
#[derive(Default)]
pub(crate) struct Shards {
    shards: RwLock<HashMap<ShardKey, Arc<ShardState>>>,
    segments: Mutex<Segments>,
}

/// The segments of the record lanes.
#[derive(Default)]
pub(crate) struct Segments {
    /// By lane and number: when the last record of each stream in it arrived.
    pub streams: BTreeMap<(LaneId, u64), HashMap<StreamId, Timestamp>>,
    /// Those whose frames the indexes leave to their footers.
    pub complete: BTreeSet<(LaneId, u64)>,
    /// How far each lane is known.
    pub told: HashMap<LaneId, Lsn>,
}

impl Shards {
    pub fn get(&self, key: ShardKey) -> Option<Arc<ShardState>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// The shard; where it is not known yet, its next record gets the index that `next` says.
    pub fn get_or_insert(&self, key: ShardKey, next: impl FnOnce() -> u64) -> Arc<ShardState> {
        if let Some(known) = self.get(key) {
            return known;
        }
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shards.entry(key).or_insert_with(|| Arc::new(ShardState::new(next()))))
    }

    /// Every shard that is known.
    pub fn all(&self) -> Vec<(ShardKey, Arc<ShardState>)> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.iter().map(|(key, shard)| (*key, Arc::clone(shard))).collect()
    }

    /// Forgets the shards of streams that `there` does not know.
    pub fn retain(&self, there: impl Fn(StreamId) -> bool) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.retain(|(stream, _), _| there(*stream));
    }

    pub fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a durable frame of records.
    pub fn note(&self, header: &FrameHeader, location: Location) {
        let frame = Frame::of(header, location);
        let shard = self.get_or_insert((header.stream, header.shard), || frame.end());
        shard.index().push(frame);
        let mut segments = self.segments();
        let streams = segments.streams.entry((location.lane, location.segment)).or_default();
        let last = streams.entry(header.stream).or_insert(frame.time);
        *last = frame.time.max(*last);
        drop(segments);
        shard.durable.send_if_modified(|durable| {
            let more = frame.end() > *durable;
            *durable = frame.end().max(*durable);
            more
        });
    }
}

impl Follower for Shards {
    fn durable(&self, lane: LaneId, frames: &[Durable]) {
        if !matches!(lane, LaneId::Records(_)) {
            return;
        }
        for frame in frames {
            if frame.header.kind == FrameKind::Records {
                self.note(&frame.header, frame.location);
            }
        }
        if let Some(last) = frames.last() {
            self.segments().told.insert(lane, last.lsn);
        }
    }
}
