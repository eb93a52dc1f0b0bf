//! What can be asked, and what comes back.

use std::sync::Arc;

use base::{FragmentMeta, FragmentNumber, StreamId, Timestamp};
use catalog::StreamGlob;
use fragment_log::{LaneId, Location};

use crate::IndexError;
use crate::search::Expression;

/// One fragment, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentEntry {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What is known about it. `tags` is empty: [`crate::Indexer::tags`] reads them.
    pub meta: FragmentMeta,
    /// Whether it has tags of its own.
    pub has_tags: bool,
    /// Where its Matroska bytes are, in order.
    pub pieces: Vec<Location>,
    /// Where the sealed metadata entry is.
    pub commit: Location,
}

impl FragmentEntry {
    /// All its frames in the log.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Location> {
        self.pieces.iter().chain([&self.commit])
    }

    /// The bytes that they take there.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.places().map(|at| u64::from(at.len)).sum()
    }
}

/// Which of a fragment's two times is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockKind {
    /// When the first frame was made.
    Producer,
    /// When its first packet arrived.
    Server,
}

/// Fragments that start within these bounds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The time compared.
    pub clock: ClockKind,
    /// No earlier fragment.
    pub start: Option<Timestamp>,
    /// No later fragment.
    pub end: Option<Timestamp>,
}

impl Window {
    /// Everything, by producer time.
    pub const ALL: Self = Self { clock: ClockKind::Producer, start: None, end: None };

    /// The time of `meta` that this window compares, in milliseconds since the epoch.
    pub(crate) fn time_of(&self, meta: &FragmentMeta) -> i64 {
        match self.clock {
            ClockKind::Producer => meta.producer_timestamp.millis(),
            ClockKind::Server => i64::try_from(meta.number.to_u64()).unwrap_or(i64::MAX),
        }
    }

    /// The bounds in milliseconds since the epoch, inclusive.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        (self.start.map_or(i64::MIN, Timestamp::millis), self.end.map_or(i64::MAX, Timestamp::millis))
    }

    /// Whether a fragment starts within the window.
    pub(crate) fn holds(&self, meta: &FragmentMeta) -> bool {
        let (start, end) = self.bounds();
        (start..=end).contains(&self.time_of(meta))
    }
}

/// A search over many streams.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// The streams searched.
    pub streams: StreamGlob,
    /// When the fragments start.
    pub window: Window,
    /// `tags.NAME:"value"`, `labels.NAME:"value"`, `codec:"h264"` or a bare `"value"`, with AND, OR, NOT
    /// and parentheses. `None` takes all.
    pub q: Option<String>,
    /// Most hits of one page, at least 1.
    pub limit: usize,
    /// [`base::Page::next`] of the page before.
    pub cursor: Option<String>,
}

impl SearchQuery {
    /// Refuses what [`Self::q`] may not be, without searching.
    ///
    /// # Errors
    /// [`IndexError::Query`] naming what is wrong or not offered.
    pub fn check(q: &str) -> Result<(), IndexError> {
        Expression::parse(q).map(drop)
    }
}

/// One fragment that a search found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Its stream.
    pub stream: Arc<catalog::Stream>,
    /// The fragment.
    pub entry: FragmentEntry,
}

/// One piece of a stream's timeline, by producer time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends, exclusive.
    pub end: Timestamp,
    /// Milliseconds of it that fragments cover.
    pub covered_ms: u64,
    /// Milliseconds of it that fragments of more than one run cover: their times clash.
    pub clash_ms: u64,
    /// Fragments that start in it.
    pub fragments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Progress of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Fragments indexed so far.
    pub fragments: u64,
}

/// What one sweep of the retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows of expired fragments and of deleted streams removed.
    pub fragments: u64,
    /// Log segments given back.
    pub segments: u64,
    /// Bytes of the disk given back, with those segments and out of others.
    pub bytes: u64,
    /// Whether expired rows are left for the next call.
    pub more: bool,
}

/// The bytes of fragments in one lane of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSpace {
    /// The lane.
    pub lane: LaneId,
    /// Of fragments that are kept, those that are held included.
    pub live: u64,
    /// Not needed any more, and still taking space.
    pub dead: u64,
    /// Of fragments that evidence holds protect. Looked at once a minute.
    pub held: u64,
}

/// The number below which fragments of a stream are expired.
pub(crate) fn cutoff(now: Timestamp, retention: std::time::Duration) -> FragmentNumber {
    FragmentNumber::at(now - retention)
}
