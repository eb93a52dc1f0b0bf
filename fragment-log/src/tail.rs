//! The newest frames of the records lanes, kept in memory: whoever follows a shard reads what was just
//! written without disk and without a key.
//!
//! All lanes share one budget. A batch goes in as a whole once it is on disk, and out as a whole, the
//! oldest first, so that what is kept of a lane is always its end without a gap. The lock is held to find
//! batches, never to copy or to free what they hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::format::Lsn;
use crate::sync::{Mutex, MutexGuard};
use crate::{Durable, LaneId, Location};

/// Memory that a frame takes besides its payload: the entry here and the allocation there.
const FRAME_BYTES: usize = size_of::<Durable>() + 64;
/// Memory that a batch takes besides its frames.
const BATCH_BYTES: usize = size_of::<Batch>() + 128;

/// What a lane's tail answers.
#[derive(Clone, Debug)]
pub enum Tail {
    /// Durable frames in the lane's order. Those of kind [`crate::FrameKind::Records`] have their payload,
    /// unless their stream's key was destroyed. Freed ones are left out, as are those whose segment was removed.
    Frames {
        /// The frames: none where nothing is as new, or where what is has gone since.
        frames: Vec<Durable>,
        /// Where the next call goes on.
        next: Lsn,
    },
    /// What is asked for is no longer in memory: replay and read up to here, then go on with the tail.
    Behind {
        /// The first place from which on everything is in memory.
        first: Lsn,
    },
}

/// The ends of all records lanes.
pub(crate) struct TailRing {
    budget: usize,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    lanes: BTreeMap<LaneId, End>,
    /// Batches that ever came.
    batches: u64,
    /// Memory of those that are kept.
    bytes: usize,
}

/// The end of one lane.
#[derive(Default)]
struct End {
    /// From here on nothing is missing.
    first: Lsn,
    batches: VecDeque<Arc<Batch>>,
}

/// Frames that were synced together: at least one.
struct Batch {
    /// Among all batches: the oldest goes first.
    number: u64,
    frames: Arc<Vec<Durable>>,
    bytes: usize,
}

/// What left the ring. Dropping it frees the memory, which takes a while where it is much.
pub(crate) struct Evicted(#[expect(dead_code, reason = "it is held to be dropped")] Vec<Arc<Batch>>);

impl TailRing {
    /// Keeps at most `budget` bytes; with 0 nothing.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, ring: Mutex::default() }
    }

    /// Begins with a lane whose frames up to `durable` are on disk already.
    pub(crate) fn begin(&self, lane: LaneId, durable: Lsn) {
        if has_tail(lane) {
            let end = End { first: Lsn(durable.0 + 1), batches: VecDeque::new() };
            self.lock().lanes.insert(lane, end);
        }
    }

    /// Takes a batch that is on disk, and gives what had to go for it.
    pub(crate) fn push(&self, lane: LaneId, frames: &Arc<Vec<Durable>>) -> Evicted {
        let mut evicted = Vec::new();
        if !has_tail(lane) || frames.is_empty() {
            return Evicted(evicted);
        }
        let payload = |frame: &Durable| frame.payload.as_ref().map_or(0, Bytes::len) + FRAME_BYTES;
        let bytes = frames.iter().map(payload).sum::<usize>() + BATCH_BYTES;
        let mut ring = self.lock();
        let number = ring.batches;
        let batch = Arc::new(Batch { number, frames: Arc::clone(frames), bytes });
        ring.lanes.entry(lane).or_default().batches.push_back(batch);
        ring.batches += 1;
        ring.bytes += bytes;
        while ring.bytes > self.budget
            && let Some(oldest) = ring.evict()
        {
            evicted.push(oldest);
        }
        Evicted(evicted)
    }

    /// The frames of a lane from `from` on, of at most `max_bytes` bytes of payload, but at least one.
    /// `None` for a lane that has no tail.
    pub(crate) fn read(&self, lane: LaneId, from: Lsn, max_bytes: usize) -> Option<Tail> {
        let batches = {
            let ring = self.lock();
            let end = ring.lanes.get(&lane)?;
            if from < end.first {
                return Some(Tail::Behind { first: end.first });
            }
            end.since(from, max_bytes)
        };
        let (mut frames, mut next, mut bytes) = (Vec::new(), from, 0);
        let asked = batches.iter().flat_map(|batch| batch.frames.iter()).skip_while(|frame| frame.lsn < from);
        for frame in asked {
            bytes += frame.payload.as_ref().map_or(0, Bytes::len);
            if bytes > max_bytes && !frames.is_empty() {
                break;
            }
            next = Lsn(frame.lsn.0 + 1);
            frames.push(frame.clone());
        }
        Some(Tail::Frames { frames, next })
    }

    /// The frame at a place, if it is in memory.
    pub(crate) fn find(&self, at: &Location) -> Option<Durable> {
        let place = |frame: &Durable| (frame.location.segment, frame.location.offset);
        let batch = {
            let ring = self.lock();
            let batches = &ring.lanes.get(&at.lane)?.batches;
            let after = batches.partition_point(|batch| place(&batch.frames[0]) <= (at.segment, at.offset));
            Arc::clone(batches.get(after.checked_sub(1)?)?)
        };
        let found = batch.frames.binary_search_by_key(&(at.segment, at.offset), place).ok()?;
        Some(batch.frames[found].clone()).filter(|frame| frame.location == *at)
    }

    /// Forgets a segment that was removed.
    pub(crate) fn forget(&self, lane: LaneId, segment: u64) -> Evicted {
        let mut ring = self.lock();
        let Some(end) = ring.lanes.get_mut(&lane) else { return Evicted(Vec::new()) };
        let here = |batch: &Arc<Batch>| batch.frames[0].location.segment == segment;
        let (gone, kept) = std::mem::take(&mut end.batches).into_iter().partition::<VecDeque<_>, _>(here);
        end.batches = kept;
        ring.bytes -= gone.iter().map(|batch| batch.bytes).sum::<usize>();
        Evicted(gone.into())
    }

    /// Bytes of memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The live edge of video is the live window's.
fn has_tail(lane: LaneId) -> bool {
    match lane {
        LaneId::Records(_) => true,
        LaneId::Control | LaneId::Bulk(_) => false,
    }
}

impl Ring {
    fn evict(&mut self) -> Option<Arc<Batch>> {
        let ends = self.lanes.values_mut().filter(|end| !end.batches.is_empty());
        let end = ends.min_by_key(|end| end.batches.front().map(|batch| batch.number))?;
        let batch = end.batches.pop_front()?;
        end.first = batch.frames.last().map_or(end.first, |last| Lsn(last.lsn.0 + 1));
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

impl End {
    /// The batches that hold the frames from `from` on, until they have `max_bytes` bytes for sure.
    fn since(&self, from: Lsn, max_bytes: usize) -> Vec<Arc<Batch>> {
        let ended = |batch: &Arc<Batch>| batch.frames.last().is_none_or(|last| last.lsn < from);
        let begin = self.batches.partition_point(ended);
        // Of the first batch some frames may be older than what is asked for: it does not count.
        let mut bytes = 0;
        let wanted = self.batches.range(begin..).enumerate().take_while(|(place, batch)| {
            let wanted = bytes <= max_bytes;
            bytes += if *place == 0 { 0 } else { batch.bytes };
            wanted
        });
        wanted.map(|(_, batch)| Arc::clone(batch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::WriterId;
    use crate::{FrameHeader, FrameKind, RetentionClass};
    use base::{StreamId, Timestamp};

    const RECORDS: LaneId = LaneId::Records(RetentionClass::Day);
    const OTHERS: LaneId = LaneId::Records(RetentionClass::Week);

    /// `count` frames from `first` on, each of 1000 bytes.
    fn batch(lane: LaneId, segment: u64, first: u64, count: u64) -> Arc<Vec<Durable>> {
        let header = FrameHeader {
            kind: FrameKind::Records,
            flags: 0,
            key_epoch: 1,
            stream: StreamId(1),
            shard: 0,
            count: 1,
            first_sequence: first,
            server_time: Timestamp::default(),
            producer_time: Timestamp::default(),
            writer: WriterId([0; 16]),
            counter: 0,
            payload_bytes: 1000,
        };
        let frame = |lsn: u64| Durable {
            lsn: Lsn(lsn),
            header,
            location: Location { lane, segment, offset: lsn * 4096, len: 1096 },
            payload: Some(vec![u8::try_from(lsn % 256).unwrap(); 1000].into()),
        };
        Arc::new((first..first + count).map(frame).collect())
    }

    fn ring(kilobytes: usize) -> TailRing {
        let ring = TailRing::new(kilobytes * 1000);
        ring.begin(RECORDS, Lsn(0));
        ring.begin(OTHERS, Lsn(0));
        ring
    }

    fn read(ring: &TailRing, lane: LaneId, from: u64, max: usize) -> Result<(Vec<u64>, u64), u64> {
        match ring.read(lane, Lsn(from), max).unwrap() {
            Tail::Frames { frames, next } => Ok((frames.iter().map(|frame| frame.lsn.0).collect(), next.0)),
            Tail::Behind { first } => Err(first.0),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let ring = ring(1000);
        assert_eq!(read(&ring, RECORDS, 1, 9000), Ok((vec![], 1)), "nothing yet");
        for first in [1, 4, 7] {
            ring.push(RECORDS, &batch(RECORDS, 1, first, 3));
        }
        assert_eq!(read(&ring, RECORDS, 1, 2000), Ok((vec![1, 2], 3)));
        assert_eq!(read(&ring, RECORDS, 3, 4999), Ok((vec![3, 4, 5, 6], 7)));
        assert_eq!(read(&ring, RECORDS, 6, 0), Ok((vec![6], 7)), "one at least");
        assert_eq!(read(&ring, RECORDS, 10, 9000), Ok((vec![], 10)));
        assert_eq!(read(&ring, OTHERS, 1, 9000), Ok((vec![], 1)));
        assert!(ring.read(LaneId::Control, Lsn(1), 1).is_none());
    }

    #[test]
    fn the_oldest_batch_of_all_lanes_goes_first() {
        let ring = ring(12);
        ring.push(RECORDS, &batch(RECORDS, 1, 1, 4));
        ring.push(OTHERS, &batch(OTHERS, 1, 1, 4));
        ring.push(RECORDS, &batch(RECORDS, 1, 5, 4));
        assert_eq!(read(&ring, RECORDS, 1, 9000), Err(5));
        assert_eq!(read(&ring, RECORDS, 4, 9000), Err(5));
        assert_eq!(read(&ring, OTHERS, 1, 1000), Ok((vec![1], 2)));
        ring.push(RECORDS, &batch(RECORDS, 1, 9, 4));
        assert_eq!(read(&ring, OTHERS, 1, 1000), Err(5));
        assert!(ring.bytes() <= 12_000);
        ring.push(RECORDS, &batch(RECORDS, 1, 13, 40));
        assert_eq!(
            (read(&ring, RECORDS, 53, 0), ring.bytes()),
            (Ok((vec![], 53)), 0),
            "larger than all of it"
        );
    }

    #[test]
    fn a_place_is_found_and_a_removed_segment_is_not() {
        let ring = ring(1000);
        for (segment, first) in [(1, 1), (1, 4), (2, 7)] {
            ring.push(RECORDS, &batch(RECORDS, segment, first, 3));
        }
        let at = |segment, lsn: u64| Location { lane: RECORDS, segment, offset: lsn * 4096, len: 1096 };
        for lsn in 1..=9 {
            let frame = ring.find(&at(if lsn < 7 { 1 } else { 2 }, lsn)).unwrap();
            assert_eq!(frame.lsn, Lsn(lsn));
        }
        for elsewhere in [at(1, 0), at(2, 6), at(3, 1), Location { len: 5, ..at(1, 1) }] {
            assert!(ring.find(&elsewhere).is_none());
        }
        ring.forget(RECORDS, 1);
        assert!(ring.find(&at(1, 1)).is_none());
        assert_eq!(read(&ring, RECORDS, 1, 9000), Ok((vec![7, 8, 9], 10)));
        ring.forget(RECORDS, 2);
        assert_eq!(ring.bytes(), 0);
    }
}
