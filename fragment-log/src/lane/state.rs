//! What a lane's thread shares with everyone who asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::StreamId;
use tokio::sync::{Semaphore, watch};

use super::LaneId;
use crate::format::{FrameHeader, Lsn};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::{LogError, SegmentInfo};

/// Sealed bytes that may wait for one lane's disk. More producers wait in `append`.
pub(crate) const BUDGET_BYTES: usize = 64 * 1024 * 1024;

/// The greatest sequence number of each shard.
pub(crate) type SequenceMap = HashMap<(StreamId, u32), u64>;

/// The state of one lane.
pub(crate) struct LaneState {
    pub(crate) id: LaneId,
    pub(crate) budget: Arc<Semaphore>,
    counters: Counters,
    durable: AtomicU64,
    /// The same for those who wait for more, a moment later.
    announced: watch::Sender<Lsn>,
    /// Why the lane takes no more appends, once it does not.
    stopped: OnceLock<String>,
    segments: Mutex<BTreeMap<u64, SegmentInfo>>,
    sequences: Mutex<SequenceMap>,
}

/// Counted by the lane's thread.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_micros: AtomicU64,
    pub(super) full: AtomicU64,
}

/// What a lane has done since the log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMetrics {
    /// The lane.
    pub lane: LaneId,
    /// Frames made durable.
    pub frames: u64,
    /// Their sealed bytes.
    pub bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Syncs of segment files.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_time: Duration,
    /// Bytes that wait for the disk now.
    pub queued_bytes: u64,
    /// Appends refused because the disk was full.
    pub full: u64,
    /// Segments there are now.
    pub segments: u64,
    /// Whether a failed write or sync has stopped it.
    pub stopped: bool,
}

const NOT_POISONED: &str = "nothing panics while it holds a lane's state";

impl LaneState {
    pub(crate) fn new(
        id: LaneId,
        durable: Lsn,
        segments: BTreeMap<u64, SegmentInfo>,
        sequences: SequenceMap,
    ) -> Self {
        Self {
            id,
            budget: Arc::new(Semaphore::new(BUDGET_BYTES)),
            counters: Counters::default(),
            durable: AtomicU64::new(durable.0),
            announced: watch::Sender::new(durable),
            stopped: OnceLock::new(),
            segments: Mutex::new(segments),
            sequences: Mutex::new(sequences),
        }
    }

    /// The last place that is on disk.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Wakes those who wait for frames up to `last`.
    pub(super) fn announce(&self, last: Lsn) {
        self.announced.send_replace(last);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Lsn> {
        self.announced.subscribe()
    }

    pub(crate) fn last_sequence(&self, stream: StreamId, shard: u32) -> Option<u64> {
        self.sequences.lock().expect(NOT_POISONED).get(&(stream, shard)).copied()
    }

    pub(crate) fn segments(&self) -> MutexGuard<'_, BTreeMap<u64, SegmentInfo>> {
        self.segments.lock().expect(NOT_POISONED)
    }

    /// An error once the lane is stopped.
    pub(crate) fn check_running(&self) -> Result<(), LogError> {
        match self.stopped.get() {
            None => Ok(()),
            Some(why) => Err(LogError::Stopped { lane: self.id, why: why.clone() }),
        }
    }

    /// Stops the lane for good. Nothing is acknowledged afterwards.
    pub(super) fn stop(&self, why: &LogError) {
        tracing::error!(lane = %self.id, error = %why, "the lane is stopped until the next start");
        // The first reason stays.
        let _ = self.stopped.set(why.to_string());
    }

    /// Takes note of a synced batch whose segment now ends at `end`.
    pub(super) fn wrote(
        &self,
        segment: u64,
        end: u64,
        last: Lsn,
        headers: impl Iterator<Item = FrameHeader>,
    ) {
        if let Some(info) = self.segments().get_mut(&segment) {
            (info.bytes, info.last) = (end, last);
        }
        let mut sequences = self.sequences.lock().expect(NOT_POISONED);
        headers.for_each(|header| note_sequence(&mut sequences, &header));
        self.durable.store(last.0, Ordering::Release);
    }

    pub(super) fn count(&self, which: impl Fn(&Counters) -> &AtomicU64, by: u64) {
        which(&self.counters).fetch_add(by, Ordering::Relaxed);
    }

    /// Counts an append that was refused for want of space.
    pub(crate) fn refused(&self) {
        self.count(|counters| &counters.full, 1);
    }

    pub(crate) fn metrics(&self) -> LaneMetrics {
        let Counters { frames, bytes, batches, syncs, sync_micros, full } = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LaneMetrics {
            lane: self.id,
            frames: get(frames),
            bytes: get(bytes),
            batches: get(batches),
            syncs: get(syncs),
            sync_time: Duration::from_micros(get(sync_micros)),
            queued_bytes: (BUDGET_BYTES - self.budget.available_permits()) as u64,
            full: get(full),
            segments: self.segments().len() as u64,
            stopped: self.stopped.get().is_some(),
        }
    }
}

/// Raises the shard's number to the frame's last.
pub(crate) fn note_sequence(sequences: &mut SequenceMap, header: &FrameHeader) {
    let last = sequences.entry((header.stream, header.shard)).or_default();
    *last = header.last_sequence().max(*last);
}
