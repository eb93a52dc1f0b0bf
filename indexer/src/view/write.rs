//! Writing the sorted view: one transaction per batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{FragmentNumber, StreamId};
use fragment_log::{LaneId, Location, Lsn};
use rusqlite::{Connection, Transaction, params};

use super::{Applied, Tracks, int, key, read};
use crate::assemble::Held;
use crate::row::{self, Columns};
use crate::{FragmentEntry, IndexError};

/// The only writer of the file.
pub(crate) struct Writer {
    connection: Connection,
    tracks: Arc<Tracks>,
}

/// Rows of one stream to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    pub stream: StreamId,
    /// Rows below this number go.
    pub below: FragmentNumber,
    /// Most rows removed in this call.
    pub limit: usize,
}

/// What a log segment holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    /// Fragments that are still needed.
    pub fragments: i64,
    /// The least and the greatest number that ever was there.
    pub first: FragmentNumber,
    pub last: FragmentNumber,
}

/// Change of one `live` row.
#[derive(Clone, Copy)]
struct Change {
    fragments: i64,
    bytes: i64,
    first: i64,
    last: i64,
}

type Changes = BTreeMap<(LaneId, u64), Change>;

impl Writer {
    pub(crate) fn new(connection: Connection, tracks: Arc<Tracks>) -> Self {
        Self { connection, tracks }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Adds fragments, those that are there already left as they are, marks what `held` locations keep
    /// their log segments, and moves `applied`.
    pub(crate) fn apply<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e FragmentEntry> + Clone,
        held: &[Held],
        positions: &[(LaneId, Lsn)],
    ) -> Result<u64, IndexError> {
        // First, so that no description belongs to a transaction that is taken back.
        for track in entries.clone().flat_map(|entry| &entry.meta.tracks) {
            self.tracks.id(&self.connection, track)?;
        }
        let transaction = self.connection.transaction()?;
        let mut changes = Changes::new();
        let inserted = insert(&transaction, &self.tracks, entries, &mut changes)?;
        for Held { number, pieces } in held {
            count(&mut changes, pieces.iter(), int(number.to_u64()), 1);
        }
        apply_changes(&transaction, &changes)?;
        move_applied(&transaction, positions, "next")?;
        transaction.commit()?;
        Ok(inserted)
    }

    /// Notes that the search view has everything before these places.
    pub(crate) fn searched(&mut self, positions: &[(LaneId, Lsn)]) -> Result<(), IndexError> {
        let transaction = self.connection.transaction()?;
        move_applied(&transaction, positions, "searched")?;
        Ok(transaction.commit()?)
    }

    /// Removes rows, oldest first, and gives how many. Durable when it returns, so that segments may go.
    pub(crate) fn remove(&mut self, removal: &Removal) -> Result<usize, IndexError> {
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        let removed = self.remove_rows(removal);
        self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        removed
    }

    fn remove_rows(&mut self, removal: &Removal) -> Result<usize, IndexError> {
        let transaction = self.connection.transaction()?;
        let expired = read::below(&transaction, &self.tracks, removal)?;
        let Some(last) = expired.last() else {
            return Ok(0);
        };
        let mut changes = Changes::new();
        for entry in &expired {
            count(&mut changes, places(entry), int(entry.meta.number.to_u64()), -1);
        }
        let (stream, number) = key(removal.stream, last.meta.number);
        transaction.execute("DELETE FROM fragments WHERE stream = ?1 AND number <= ?2", [stream, number])?;
        apply_changes(&transaction, &changes)?;
        transaction.commit()?;
        Ok(expired.len())
    }

    /// What is needed in each log segment that holds or held fragments.
    pub(crate) fn live(&self) -> Result<BTreeMap<(LaneId, u64), Live>, IndexError> {
        let mut statement =
            self.connection.prepare("SELECT lane, segment, fragments, first, last FROM live")?;
        let mut rows = statement.query([])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let number = |at| {
                Ok::<_, rusqlite::Error>(FragmentNumber::from_u64(row.get::<_, i64>(at)?.cast_unsigned()))
            };
            if let Some(lane) = LaneId::from_code(row.get(0)?) {
                let live = Live { fragments: row.get(2)?, first: number(3)?, last: number(4)? };
                all.insert((lane, row.get::<_, i64>(1)?.cast_unsigned()), live);
            }
        }
        Ok(all)
    }

    /// Forgets a log segment that is gone.
    pub(crate) fn forget_segment(&self, lane: LaneId, segment: u64) -> Result<(), IndexError> {
        let sql = "DELETE FROM live WHERE lane = ?1 AND segment = ?2";
        self.connection.execute(sql, params![lane.code(), int(segment)])?;
        Ok(())
    }

    /// Takes back what is noted of the search view, which is empty again.
    pub(crate) fn unsearched(&self) -> Result<(), IndexError> {
        self.connection.execute("UPDATE applied SET searched = 0", [])?;
        Ok(())
    }

    /// What is followed, by lane.
    pub(crate) fn applied(&self) -> Result<BTreeMap<LaneId, Applied>, IndexError> {
        Ok(super::applied(&self.connection)?)
    }
}

fn insert<'e>(
    transaction: &Transaction<'_>,
    tracks: &Tracks,
    entries: impl Iterator<Item = &'e FragmentEntry>,
    changes: &mut Changes,
) -> Result<u64, IndexError> {
    let mut statement =
        transaction.prepare("INSERT OR IGNORE INTO fragments VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut packed = Vec::new();
    let mut inserted = 0;
    for entry in entries {
        packed.clear();
        row::pack(entry, &mut packed, |track| tracks.id(transaction, track))?;
        let columns = Columns::of(entry);
        let (stream, number) = key(columns.stream, columns.number);
        let size = int(columns.size_bytes);
        let row = params![stream, number, columns.producer_ms, columns.duration_ms, size, packed];
        if statement.execute(row)? > 0 {
            inserted += 1;
            count(changes, places(entry), number, 1);
        }
    }
    Ok(inserted)
}

/// All frames of a fragment.
fn places(entry: &FragmentEntry) -> impl Iterator<Item = &Location> {
    entry.pieces.iter().chain([&entry.commit])
}

/// Counts a fragment once for each log segment that it lies in.
fn count<'l>(changes: &mut Changes, places: impl Iterator<Item = &'l Location>, number: i64, by: i64) {
    let mut last = None;
    for at in places {
        let segment = (at.lane, at.segment);
        let change =
            changes.entry(segment).or_insert(Change { fragments: 0, bytes: 0, first: number, last: number });
        // The frames of a fragment are in the log's order, so that a segment's come one after another.
        if last != Some(segment) {
            change.fragments += by;
        }
        change.bytes += by * i64::from(at.len);
        change.first = change.first.min(number);
        change.last = change.last.max(number);
        last = Some(segment);
    }
}

fn apply_changes(transaction: &Transaction<'_>, changes: &Changes) -> Result<(), IndexError> {
    let mut statement = transaction.prepare(
        "INSERT INTO live VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (lane, segment) DO UPDATE SET
         fragments = fragments + ?3, bytes = bytes + ?4, first = min(first, ?5), last = max(last, ?6)",
    )?;
    for ((lane, segment), change) in changes {
        let Change { fragments, bytes, first, last } = *change;
        statement.execute(params![lane.code(), int(*segment), fragments, bytes, first, last])?;
    }
    Ok(())
}

fn move_applied(
    transaction: &Transaction<'_>,
    positions: &[(LaneId, Lsn)],
    column: &'static str,
) -> Result<(), IndexError> {
    let mut statement =
        transaction.prepare("INSERT OR IGNORE INTO applied (lane, next, searched) VALUES (?1, 0, 0)")?;
    let mut update =
        transaction.prepare(&format!("UPDATE applied SET {column} = max({column}, ?2) WHERE lane = ?1"))?;
    for (lane, next) in positions {
        statement.execute([lane.code()])?;
        update.execute(params![lane.code(), int(next.0)])?;
    }
    Ok(())
}
