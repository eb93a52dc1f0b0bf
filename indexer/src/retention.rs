//! What goes, and how its space comes back: rows first, durably; then the log segments that nothing needs,
//! and the dead frames inside those that must stay.

use std::collections::{BTreeMap, HashMap};

use base::{FragmentNumber, StreamId, Timestamp};
use fragment_log::{FrameHeader, LaneId, Location, LogError, SegmentInfo};

use crate::assemble::has_fragments;
use crate::kept::Kept;
use crate::owner::Owner;
use crate::search::GoneSegment;
use crate::view::{self, Removal, Used};
use crate::{IndexError, Swept};

/// Most rows of one sweep.
const ROWS: usize = 10_000;
/// Most rows of one transaction.
const ROWS_AT_ONCE: usize = 1_000;
/// Most log segments that one sweep removes, or punches.
const SEGMENTS: usize = 64;
/// Dead bytes for which a segment is punched.
const WORTH: i64 = 1024 * 1024;
/// The same where room must be made.
const WORTH_IN_NEED: i64 = 64 * 1024;
/// No fragment that is not in the view yet is older by its number.
const LATE_MS: i64 = 300_000;

impl Owner {
    /// Removes rows that are not kept and those of deleted streams, and gives their space back.
    pub(crate) fn sweep(&mut self) -> Result<Swept, IndexError> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        self.begin_copying();
        self.raise_floors()?;
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
        for stream in self.writer.streams_with_events()? {
            swept.more |= self.sweep_events(stream, now)? == ROWS_AT_ONCE;
        }
        self.keep_floors();
        self.sweep_segments(&mut swept)?;
        self.tell_space()?;
        self.drop_months(now)?;
        Ok(swept)
    }

    /// Gives up the oldest segments of all lanes, but for what is held in them, until so many bytes are given
    /// back.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Result<Swept, IndexError> {
        let mut swept = self.sweep()?;
        let now = self.clock.now();
        let segments = self.log.segments();
        let mut oldest = self.complete(&segments)?;
        oldest.sort_by_key(|info| (info.created, info.lane));
        for info in oldest {
            if swept.bytes >= bytes {
                break;
            }
            for (stream, last) in self.writer.streams_in(info.lane, info.segment)? {
                if !self.has_to_give(stream, last, now)? {
                    continue;
                }
                self.floors.raise(stream, after_number(last));
                swept.fragments += self.sweep_stream(stream, now, usize::MAX)? as u64;
                self.sweep_events(stream, now)?;
            }
            self.give_back(info, WORTH_IN_NEED, &mut swept)?;
        }
        self.keep_floors();
        self.tell_space()?;
        Ok(swept)
    }

    /// Whether a stream has anything up to `last` that is not held. Where it has not, its floor stays: what is
    /// held would go all at once when the hold is cleared.
    fn has_to_give(
        &self,
        stream: StreamId,
        last: FragmentNumber,
        now: Timestamp,
    ) -> Result<bool, IndexError> {
        let Some(known) = self.catalog.stream_by_id(stream) else { return Ok(true) };
        let kept = Kept::of(&known, &self.catalog, &self.floors, now);
        let (connection, tracks) = (self.writer.connection(), self.writer.tracks());
        let first = view::not_held(connection, tracks, stream, &kept, FragmentNumber::MIN, 1)?;
        Ok(first.first().is_some_and(|entry| entry.meta.number <= last))
    }

    /// Makes what was given up known to the catalog, so that it does not come back with a rebuilt index.
    fn keep_floors(&mut self) {
        let known = self.catalog.floors();
        let exists = |stream: &StreamId| self.catalog.stream_by_id(*stream).is_some();
        let raised = self.floors.all().into_iter();
        let raised: Vec<_> =
            raised.filter(|(stream, floor)| known.get(stream) < Some(floor) && exists(stream)).collect();
        if raised.is_empty() {
            return;
        }
        if let Err(error) = self.catalog.raise_floors(raised) {
            tracing::warn!(%error, "what was given up is not noted yet: an index built anew would show it again");
        }
    }

    /// Gives up what is more than a stream's limit of bytes: from now on nobody sees it.
    pub(crate) fn raise_floors(&mut self) -> Result<(), IndexError> {
        self.look_at_held()?;
        let now = self.clock.now();
        for stream in self.catalog.streams().values() {
            let Some(limit) = stream.retention_bytes else { continue };
            let live = self.writer.usage().streams.get(&stream.id).copied().unwrap_or(0);
            let kept = Kept::of(stream, &self.catalog, &self.floors, now);
            let excess = live - self.held.of(stream.id) - i64::try_from(limit).unwrap_or(i64::MAX);
            if excess > 0
                && let Some(floor) = self.reach(stream.id, &kept, excess)?
            {
                self.floors.raise(stream.id, floor);
            }
        }
        Ok(())
    }

    /// The number after the oldest fragments of a stream that are not held and take `bytes` bytes together, or
    /// just more. `None` where there are none.
    fn reach(&self, stream: StreamId, kept: &Kept, bytes: i64) -> Result<Option<FragmentNumber>, IndexError> {
        let (mut left, mut last) = (bytes, None);
        loop {
            let after = last.unwrap_or(FragmentNumber::MIN);
            let (connection, tracks) = (self.writer.connection(), self.writer.tracks());
            let some = view::not_held(connection, tracks, stream, kept, after, ROWS_AT_ONCE)?;
            for entry in &some {
                if left <= 0 {
                    break;
                }
                left -= i64::try_from(entry.stored_bytes()).unwrap_or(i64::MAX);
                last = Some(entry.meta.number);
            }
            if left <= 0 || some.len() < ROWS_AT_ONCE {
                return Ok(last.map(after_number));
            }
        }
    }

    /// Removes at most `left` rows of a stream.
    fn sweep_stream(&mut self, stream: StreamId, now: Timestamp, left: usize) -> Result<usize, IndexError> {
        let known = self.catalog.stream_by_id(stream);
        let kept = self.kept(stream, now);
        let looked = self.oldest.get(&stream);
        if looked.is_some_and(|(was, oldest)| was.holds_same(&kept) && *oldest >= kept.from) {
            return Ok(0);
        }
        let mut removed = 0;
        while removed < left {
            let limit = ROWS_AT_ONCE.min(left - removed);
            let some = self.writer.remove(&Removal { stream, kept: &kept, limit })?;
            removed += some;
            if some < limit {
                break;
            }
        }
        let oldest = view::oldest_gone(self.writer.connection(), stream, &kept)?;
        if known.is_none() && oldest.is_none() {
            self.oldest.remove(&stream);
            self.overlay.forget(stream);
            self.floors.forget(stream);
        } else {
            let late = Timestamp::from_millis(now.millis() - LATE_MS);
            self.oldest.insert(stream, (kept, oldest.unwrap_or(FragmentNumber::at(late))));
        }
        Ok(removed)
    }

    /// Removes some rows of events that are not kept, and gives how many.
    fn sweep_events(&mut self, stream: StreamId, now: Timestamp) -> Result<usize, IndexError> {
        let kept = self.kept(stream, now);
        self.writer.remove_events(stream, &kept, ROWS_AT_ONCE)
    }

    /// What is kept of a stream: nothing of one that was deleted.
    fn kept(&self, stream: StreamId, now: Timestamp) -> Kept {
        let known = self.catalog.stream_by_id(stream);
        let of = |known: &_| Kept::of(known, &self.catalog, &self.floors, now);
        known.as_deref().map_or_else(Kept::nothing, of)
    }

    fn sweep_segments(&mut self, swept: &mut Swept) -> Result<(), IndexError> {
        let segments = self.log.segments();
        let mut worked = 0;
        for info in self.complete(&segments)? {
            if worked == SEGMENTS {
                swept.more = true;
                break;
            }
            worked += usize::from(self.give_back(info, WORTH, swept)?);
        }
        let there = |key: &(LaneId, u64)| segments.iter().any(|info| (info.lane, info.segment) == *key);
        let empty = self.writer.usage().segments.iter().filter(|(_, used)| used.fragments <= 0);
        let gone: Vec<_> = empty.map(|(key, _)| *key).filter(|key| !there(key)).collect();
        gone.into_iter().try_for_each(|(lane, segment)| self.forget(lane, segment))
    }

    /// The sealed segments that are followed to their end. The last of a lane stays: the log's order goes on
    /// from it.
    fn complete<'s>(&self, segments: &'s [SegmentInfo]) -> Result<Vec<&'s SegmentInfo>, IndexError> {
        let applied = self.writer.applied()?;
        let mut last = BTreeMap::new();
        for info in segments {
            let greatest = last.entry(info.lane).or_insert(info.segment);
            *greatest = info.segment.max(*greatest);
        }
        let complete = |info: &&SegmentInfo| {
            has_fragments(info.lane)
                && info.sealed
                && last.get(&info.lane) > Some(&info.segment)
                && applied.get(&info.lane).is_some_and(|applied| info.last < applied.sorted)
        };
        Ok(segments.iter().filter(complete).collect())
    }

    /// Removes a segment that holds nothing needed, or punches one that has so many dead bytes; without holes
    /// it copies what is needed elsewhere. Tells whether it did anything.
    fn give_back(&mut self, info: &SegmentInfo, worth: i64, swept: &mut Swept) -> Result<bool, IndexError> {
        let used = |owner: &Self| owner.writer.usage().segments.get(&(info.lane, info.segment)).copied();
        let copied = match used(self) {
            Some(used) if used.fragments > 0 && !self.holes => self.copy_forward(info, &used, worth)?,
            Some(_) | None => 0,
        };
        swept.bytes = swept.bytes.saturating_sub(copied);
        let used = used(self);
        if used.is_none_or(|used| used.fragments <= 0) {
            self.log.remove_segment(info.lane, info.segment)?;
            swept.segments += 1;
            swept.bytes += info.bytes;
            self.forget(info.lane, info.segment)?;
            return Ok(true);
        }
        let worthwhile = self.holes && used.is_some_and(|used| used.dead >= worth);
        if worthwhile {
            swept.bytes += self.punch(info.lane, info.segment)?;
        }
        Ok(worthwhile || copied > 0)
    }

    /// Gives the space of a segment's dead frames back, and how much that was.
    fn punch(&mut self, lane: LaneId, segment: u64) -> Result<u64, IndexError> {
        let frames = match self.log.frames(lane, segment) {
            Ok(frames) => frames,
            Err(LogError::Gone(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let dead = self.writer.dead(&self.not_kept(frames))?;
        let given = if dead.is_empty() { Some(0) } else { self.log.punch(lane, segment, &dead)? };
        if given.is_none() {
            tracing::warn!(
                "the file system of the data folder has no holes: what is needed of old segments is copied"
            );
            self.holes = false;
        }
        self.writer.punched(lane, segment)?;
        Ok(given.unwrap_or(0))
    }

    /// Leaves out what is kept, by the frames' own headers: a row that is missing costs nobody a frame.
    fn not_kept(&self, frames: Vec<(FrameHeader, Location)>) -> Vec<(FrameHeader, Location)> {
        let now = self.clock.now();
        let mut streams: HashMap<StreamId, Kept> = HashMap::new();
        let mut gone = frames;
        gone.retain(|(header, _)| {
            let kept = streams.entry(header.stream).or_insert_with(|| self.kept(header.stream, now));
            let number = FragmentNumber::from_u64(header.first_sequence);
            !kept.may_hold(number, header.producer_time)
        });
        gone
    }

    fn forget(&mut self, lane: LaneId, segment: u64) -> Result<(), IndexError> {
        if let Some(Used { first, last, .. }) = self.writer.usage().segments.get(&(lane, segment)).copied() {
            self.waiting.gone.push(GoneSegment { lane, segment, first, last });
        }
        self.writer.forget_segment(lane, segment)
    }

    /// Drops the search index of months in which nothing is kept.
    fn drop_months(&mut self, now: Timestamp) -> Result<(), IndexError> {
        let longest = self.catalog.streams().values().map(|stream| stream.retention).max();
        let expired = now - longest.unwrap_or_default();
        let held = self.held.earliest.map(FragmentNumber::server_timestamp);
        Ok(self.search.drop_months(held.map_or(expired, |held| held.min(expired)))?)
    }
}

fn after_number(number: FragmentNumber) -> FragmentNumber {
    FragmentNumber::from_u64(number.to_u64().saturating_add(1))
}
