//! What the log's segments hold of each stream: what is needed, and what is not any more.

use std::collections::{BTreeMap, HashMap};

use base::{FragmentNumber, StreamId};
use fragment_log::{LaneId, Location};
use rusqlite::{Connection, Transaction, params};

use super::int;

/// What one log segment holds of all streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// Fragments and events that are still needed.
    pub fragments: i64,
    /// Their stored bytes there.
    pub live: i64,
    /// Stored bytes that are not needed and still take space.
    pub dead: i64,
    /// The least and the greatest number that ever was there.
    pub first: FragmentNumber,
    pub last: FragmentNumber,
}

/// The sums of the `live` table: by log segment, and by stream. Kept in memory, because the table has a row
/// for every stream in every segment and each sweep asks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub segments: BTreeMap<(LaneId, u64), Used>,
    /// Stored bytes that are still needed.
    pub streams: HashMap<StreamId, i64>,
}

/// Change of one row of `live`.
#[derive(Clone, Copy, Debug)]
struct Change {
    fragments: i64,
    live: i64,
    dead: i64,
    first: i64,
    last: i64,
}

/// Changes of one transaction, by row of `live`.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<(LaneId, u64, StreamId), Change>);

/// What becomes of the frames of a fragment, or of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Become {
    /// They are new and needed.
    Live,
    /// They were needed and are not any more.
    Dead,
    /// They were found and never were needed here.
    FoundDead,
}

impl Changes {
    /// Counts a fragment once for each log segment that it lies in.
    pub(super) fn count<'l>(
        &mut self,
        stream: StreamId,
        number: i64,
        places: impl Iterator<Item = &'l Location>,
        become_: Become,
    ) {
        let (fragment, live, dead) = match become_ {
            Become::Live => (1, 1, 0),
            Become::Dead => (-1, -1, 1),
            Become::FoundDead => (0, 0, 1),
        };
        let mut counted: Vec<(LaneId, u64)> = Vec::new();
        for at in places {
            let segment = (at.lane, at.segment);
            let nothing = Change { fragments: 0, live: 0, dead: 0, first: number, last: number };
            let change = self.0.entry((at.lane, at.segment, stream)).or_insert(nothing);
            if !counted.contains(&segment) {
                change.fragments += fragment;
                counted.push(segment);
            }
            change.live += live * i64::from(at.len);
            change.dead += dead * i64::from(at.len);
            change.first = change.first.min(number);
            change.last = change.last.max(number);
        }
    }

    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let mut statement = transaction.prepare(
            "INSERT INTO live VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (lane, segment, stream) DO UPDATE SET fragments = fragments + ?4,
             live = live + ?5, dead = dead + ?6, first = min(first, ?7), last = max(last, ?8)",
        )?;
        for ((lane, segment, stream), change) in &self.0 {
            let Change { fragments, live, dead, first, last } = *change;
            let row = params![lane.code(), int(*segment), int(stream.0), fragments, live, dead, first, last];
            statement.execute(row)?;
        }
        Ok(())
    }
}

impl Usage {
    pub(super) fn load(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut usage = Self::default();
        let mut statement = connection
            .prepare("SELECT lane, segment, stream, fragments, live, dead, first, last FROM live")?;
        let mut rows = statement.query([])?;
        let mut all = Changes::default();
        while let Some(row) = rows.next()? {
            if let Some(lane) = LaneId::from_code(row.get(0)?) {
                let key = (
                    lane,
                    row.get::<_, i64>(1)?.cast_unsigned(),
                    StreamId(row.get::<_, i64>(2)?.cast_unsigned()),
                );
                let change = Change {
                    fragments: row.get(3)?,
                    live: row.get(4)?,
                    dead: row.get(5)?,
                    first: row.get(6)?,
                    last: row.get(7)?,
                };
                all.0.insert(key, change);
            }
        }
        usage.apply(&all);
        Ok(usage)
    }

    pub(super) fn apply(&mut self, changes: &Changes) {
        for ((lane, segment, stream), change) in &changes.0 {
            let number = |number: i64| FragmentNumber::from_u64(number.cast_unsigned());
            let (first, last) = (number(change.first), number(change.last));
            let nothing = Used { fragments: 0, live: 0, dead: 0, first, last };
            let used = self.segments.entry((*lane, *segment)).or_insert(nothing);
            used.fragments += change.fragments;
            used.live += change.live;
            used.dead += change.dead;
            used.first = used.first.min(first);
            used.last = used.last.max(last);
            *self.streams.entry(*stream).or_default() += change.live;
        }
        self.streams.retain(|_, live| *live != 0);
    }
}
