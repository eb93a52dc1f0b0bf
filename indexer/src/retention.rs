//! The end of retention: rows go, then the log segments that nothing needs.

use std::collections::BTreeMap;

use base::{FragmentNumber, StreamId, Timestamp};
use fragment_log::{LaneId, SegmentInfo};

use crate::assemble::has_fragments;
use crate::owner::Owner;
use crate::query::cutoff;
use crate::search::GoneSegment;
use crate::view::{self, Live, Removal};
use crate::{IndexError, Swept};

/// Most rows of one sweep.
const ROWS: usize = 10_000;
/// Most rows of one transaction.
const ROWS_AT_ONCE: usize = 1_000;
/// Most log segments of one sweep.
const SEGMENTS: usize = 64;

impl Owner {
    /// Removes expired rows and those of deleted streams, then log segments without rows.
    pub(crate) fn sweep(&mut self) -> Result<Swept, IndexError> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        let mut left = ROWS;
        for stream in self.overlay.streams() {
            let removed = self.sweep_stream(stream, now, left)?;
            left -= removed;
            swept.fragments += removed as u64;
            if left == 0 {
                swept.more = true;
                break;
            }
        }
        self.sweep_segments(&mut swept)?;
        let longest = self.catalog.streams().values().map(|stream| stream.retention).max();
        self.search.drop_months(now - longest.unwrap_or_default())?;
        Ok(swept)
    }

    /// Removes at most `left` rows of a stream.
    fn sweep_stream(&mut self, stream: StreamId, now: Timestamp, left: usize) -> Result<usize, IndexError> {
        let known = self.catalog.stream_by_id(stream);
        let below = known.as_ref().map_or(FragmentNumber::MAX, |known| cutoff(now, known.retention));
        if self.oldest.get(&stream).is_some_and(|oldest| *oldest >= below) {
            return Ok(0);
        }
        let mut removed = 0;
        while removed < left {
            let limit = ROWS_AT_ONCE.min(left - removed);
            let some = self.writer.remove(&Removal { stream, below, limit })?;
            removed += some;
            if some < limit {
                break;
            }
        }
        match view::oldest(self.writer.connection(), stream)? {
            Some(oldest) => drop(self.oldest.insert(stream, oldest)),
            None => drop(self.oldest.remove(&stream)),
        }
        if known.is_none() && !self.oldest.contains_key(&stream) {
            self.overlay.forget(stream);
        }
        Ok(removed)
    }

    fn sweep_segments(&mut self, swept: &mut Swept) -> Result<(), IndexError> {
        let segments = self.log.segments();
        let live = self.writer.live()?;
        for info in self.removable(&segments, &live)? {
            if swept.segments == SEGMENTS as u64 {
                swept.more = true;
                break;
            }
            self.log.remove_segment(info.lane, info.segment)?;
            swept.segments += 1;
            swept.bytes += info.bytes;
            self.forget(info.lane, info.segment, live.get(&(info.lane, info.segment)))?;
        }
        let there = |lane, segment| segments.iter().any(|info| (info.lane, info.segment) == (lane, segment));
        for ((lane, segment), last) in live.iter().filter(|(_, live)| live.fragments <= 0) {
            if !there(*lane, *segment) {
                self.forget(*lane, *segment, Some(last))?;
            }
        }
        Ok(())
    }

    /// The sealed segments that are followed to their end and hold nothing needed. The last of a lane stays: the
    /// log's order goes on from it.
    fn removable<'s>(
        &self,
        segments: &'s [SegmentInfo],
        live: &BTreeMap<(LaneId, u64), Live>,
    ) -> Result<Vec<&'s SegmentInfo>, IndexError> {
        let applied = self.writer.applied()?;
        let mut last = BTreeMap::new();
        for info in segments {
            let greatest = last.entry(info.lane).or_insert(info.segment);
            *greatest = info.segment.max(*greatest);
        }
        let removable = |info: &&SegmentInfo| {
            has_fragments(info.lane)
                && info.sealed
                && last.get(&info.lane) > Some(&info.segment)
                && applied.get(&info.lane).is_some_and(|applied| info.last < applied.sorted)
                && live.get(&(info.lane, info.segment)).is_none_or(|live| live.fragments <= 0)
        };
        Ok(segments.iter().filter(removable).collect())
    }

    fn forget(&mut self, lane: LaneId, segment: u64, held: Option<&Live>) -> Result<(), IndexError> {
        if let Some(Live { first, last, .. }) = held.copied() {
            self.waiting.gone.push(GoneSegment { lane, segment, first, last });
        }
        self.writer.forget_segment(lane, segment)
    }
}
