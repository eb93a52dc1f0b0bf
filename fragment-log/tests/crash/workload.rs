//! What the log is asked to do before its disk loses power.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::StreamId;
use fixtures::{FakeClock, SeededEntropy, SimDisk};
use fragment_log::{FrameKind, INSTALLATION, LaneId, Log, LogError, Options};

use crate::ledger::{LANES, Promise, SHARDS, STREAMS, Told, marked};
use crate::support::{options_on, wait};

/// The steps of one workload.
pub const STEPS: u64 = 2000;

/// A workload as it went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What was promised, in order.
    pub promises: Vec<Promise>,
    /// Segments that were to be removed, and the disk's steps before it began.
    pub removed: Vec<(u64, LaneId, u64)>,
}

/// Small segments, no marks and a clock that stands still.
pub fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 96 * 1024,
        mark_after: Duration::MAX,
        clock: Arc::new(FakeClock::default()),
        ..options_on(Path::new("/data"), Arc::new(disk.clone()))
    }
}

/// Opens a log of which nothing but the disk and the seed decides what it does: a mark is written
/// either never or at once.
pub fn open(disk: &SimDisk, seed: u64, mark_after: Duration) -> Result<Log, LogError> {
    Log::open(Options { mark_after, entropy: Arc::new(SeededEntropy::new(seed)), ..options(disk) })
}

/// Appends, removes and restarts until the disk has taken [`STEPS`] steps.
pub fn run(disk: &SimDisk, seed: u64) -> Story {
    let mut story = Story::default();
    let coin = SeededEntropy::new(seed);
    let mut next_id = 1;
    for life in 0.. {
        // Every other workload has a mark after each append, as if the producers were slow.
        let marks = seed & 1 == 1;
        let mark_after = if marks { Duration::ZERO } else { Duration::MAX };
        let log = open(disk, seed << 32 | life, mark_after).unwrap();
        let told = Told::follow(disk, &log);
        let mut producer = Producer { log: &log, coin: &coin, marks, next_id, tried: BTreeMap::new() };
        for stream in STREAMS {
            log.keys().create_stream_key(stream).unwrap();
        }
        for _ in 0..30 + coin.next_u64() % 120 {
            if coin.next_u64().is_multiple_of(6) {
                producer.remove_oldest(disk, &mut story);
            } else {
                producer.append();
            }
            if disk.steps() >= STEPS {
                break;
            }
        }
        next_id = producer.next_id;
        log.close();
        story.promises.extend(told.promises());
        if disk.steps() >= STEPS {
            return story;
        }
    }
    unreachable!("the loop ends with its return")
}

/// Appends to one log.
pub struct Producer<'a> {
    pub log: &'a Log,
    pub coin: &'a SeededEntropy,
    /// Whether each append is followed by a mark.
    pub marks: bool,
    /// The id of the next entry.
    pub next_id: u64,
    /// The last number of each shard that was tried.
    pub tried: BTreeMap<(StreamId, u32), u64>,
}

impl Producer<'_> {
    fn below(&self, limit: usize) -> usize {
        usize::try_from(self.coin.next_u64() % limit as u64).unwrap()
    }

    /// Appends up to four entries to any lane.
    pub fn append(&mut self) {
        let lane = LANES[self.below(LANES.len())];
        self.append_to(lane);
    }

    /// Appends up to four entries, and waits for the mark where there is to be one.
    pub fn append_to(&mut self, lane: LaneId) {
        let synced = self.syncs(lane);
        self.try_append_to(lane).unwrap();
        if self.marks {
            self.wait_for_mark(lane, synced + 2);
        }
    }

    /// Appends up to four entries.
    pub fn try_append_to(&mut self, lane: LaneId) -> Result<(), LogError> {
        let shard = u32::try_from(self.below(SHARDS as usize)).unwrap();
        let (stream, kind) = match lane {
            LaneId::Control => (INSTALLATION, FrameKind::Command),
            LaneId::Records(_) => (StreamId(1), FrameKind::Records),
            LaneId::Bulk(_) if self.below(2) == 0 => (StreamId(2), FrameKind::Media),
            LaneId::Bulk(_) => (StreamId(3), FrameKind::FragmentMeta),
        };
        let count = 1 + self.below(4) as u64;
        let stored = self.log.last_sequence(stream, shard).unwrap_or(0);
        // An append that failed may be in the log all the same: its numbers are not taken again.
        let last = self.tried.entry((stream, shard)).or_default();
        let sequence = stored.max(*last) + 1;
        *last = stored.max(*last) + count;
        let ids = (sequence..).zip(self.next_id..self.next_id + count);
        let entries = ids.map(|(sequence, id)| marked(kind, stream, shard, sequence, id)).collect();
        self.next_id += count;
        wait(self.log.append(lane, entries)).map(drop)
    }

    fn syncs(&self, lane: LaneId) -> u64 {
        let lanes = self.log.metrics().lanes;
        lanes.iter().find(|metrics| metrics.lane == lane).map_or(0, |metrics| metrics.syncs)
    }

    /// Until the lane's thread has nothing left to do: it has written its mark, or the segment is full
    /// and sealed.
    fn wait_for_mark(&self, lane: LaneId, syncs: u64) {
        let begun = Instant::now();
        let sealed = || {
            let segments = self.log.segments();
            segments.iter().rfind(|info| info.lane == lane).is_none_or(|info| info.sealed)
        };
        while self.syncs(lane) < syncs && !sealed() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no mark comes");
            std::thread::yield_now();
        }
    }

    /// Removes the oldest complete segment of any lane, if there is one.
    fn remove_oldest(&mut self, disk: &SimDisk, story: &mut Story) {
        let lane = LANES[self.below(LANES.len())];
        let segments: Vec<_> = self.log.segments().into_iter().filter(|info| info.lane == lane).collect();
        // The newest one is replaced when it is removed, and its successor would be marked some time.
        let oldest = segments.first().filter(|info| info.sealed && (segments.len() > 1 || !self.marks));
        if let Some(info) = oldest {
            story.removed.push((disk.steps(), lane, info.segment));
            self.log.remove_segment(lane, info.segment).unwrap();
        }
    }
}
