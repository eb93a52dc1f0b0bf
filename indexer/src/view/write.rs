//! Writing the sorted view: one transaction per batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base::{FragmentNumber, StreamId};
use fragment_log::{FrameHeader, FrameKind, LaneId, Location, Lsn};
use rusqlite::{Connection, Transaction, params};

use super::usage::{Become, Changes};
use super::{Applied, Tracks, Usage, events, int, key, read};
use crate::assemble::{Is, Unindexed};
use crate::intake::Position;
use crate::kept::Kept;
use crate::row::{self, Columns};
use crate::search::Blinder;
use crate::{FragmentEntry, IndexError};

/// The only writer of the file.
pub(crate) struct Writer {
    pub(super) connection: Connection,
    tracks: Arc<Tracks>,
    /// Makes words of what events say.
    blinder: Blinder,
    pub(super) usage: Usage,
    batch: Batch,
    /// Whether the file is new and still being filled.
    building: bool,
}

/// Rows of the next transaction, as they will be stored: a tenth of the memory that entries take.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    /// The packed parts of all rows.
    packed: Vec<u8>,
    /// Where the frames of all rows are.
    places: Vec<Location>,
}

struct Row {
    columns: Columns,
    packed: Range<usize>,
    places: Range<usize>,
}

/// Rows of one stream to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal<'k> {
    pub stream: StreamId,
    /// Rows that are not kept go.
    pub kept: &'k Kept,
    /// Most rows removed in this call.
    pub limit: usize,
}

impl Writer {
    /// Writes the file; where it is new, for [`Self::finish`] to end that.
    pub(crate) fn new(
        connection: Connection,
        tracks: Arc<Tracks>,
        blinder: Blinder,
        building: bool,
    ) -> Result<Self, IndexError> {
        let usage = Usage::load(&connection)?;
        Ok(Self { connection, tracks, blinder, usage, batch: Batch::default(), building })
    }

    /// The file has all that the log has: from now on it is kept, and may be read.
    pub(crate) fn finish(&mut self) -> Result<(), IndexError> {
        if std::mem::take(&mut self.building) { super::finish(&self.connection) } else { Ok(()) }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// Adds fragments, those that are there already left as they are, counts the space of what is not
    /// indexed, and moves `applied`. After an error the same call may be made again.
    pub(crate) fn apply<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e FragmentEntry>,
        unindexed: &[Unindexed],
        positions: &[(LaneId, Position)],
    ) -> Result<u64, IndexError> {
        self.batch.clear();
        for entry in entries {
            self.push(entry)?;
        }
        self.write(unindexed, positions)
    }

    /// Takes a fragment into the batch that [`Self::write`] writes.
    pub(crate) fn push(&mut self, entry: &FragmentEntry) -> Result<(), IndexError> {
        let Self { connection, tracks, batch, .. } = self;
        let (packed, places) = (batch.packed.len(), batch.places.len());
        // Not within the batch's transaction, so that no description belongs to one that is taken back.
        row::pack(entry, &mut batch.packed, |track| tracks.id(connection, track))?;
        batch.places.extend(entry.places());
        let (packed, places) = (packed..batch.packed.len(), places..batch.places.len());
        batch.rows.push(Row { columns: Columns::of(entry), packed, places });
        Ok(())
    }

    /// Writes the batch, like [`Self::apply`].
    pub(crate) fn write(
        &mut self,
        unindexed: &[Unindexed],
        positions: &[(LaneId, Position)],
    ) -> Result<u64, IndexError> {
        let transaction = self.connection.transaction()?;
        let mut changes = Changes::default();
        let inserted = insert(&transaction, &mut self.batch, &mut changes)?;
        for one in unindexed {
            note_unindexed(&transaction, one, &self.blinder, &mut changes)?;
        }
        changes.write(&transaction)?;
        move_applied(&transaction, positions.iter().map(|(lane, at)| (*lane, at.next)), "next")?;
        move_applied(&transaction, positions.iter().map(|(lane, at)| (*lane, at.after)), "commits")?;
        transaction.commit()?;
        self.usage.apply(&changes);
        self.batch.clear();
        Ok(inserted)
    }

    /// Notes that the search view has everything before these places.
    pub(crate) fn searched(&mut self, positions: &[(LaneId, Lsn)]) -> Result<(), IndexError> {
        let transaction = self.connection.transaction()?;
        move_applied(&transaction, positions.iter().copied(), "searched")?;
        Ok(transaction.commit()?)
    }

    /// Removes rows, oldest first, and gives how many. Durable when it returns, so that segments may go.
    pub(crate) fn remove(&mut self, removal: &Removal<'_>) -> Result<usize, IndexError> {
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        let removed = self.remove_rows(removal);
        self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        removed
    }

    fn remove_rows(&mut self, removal: &Removal<'_>) -> Result<usize, IndexError> {
        let transaction = self.connection.transaction()?;
        let gone = read::gone(&transaction, &self.tracks, removal)?;
        let Some(last) = gone.last() else {
            return Ok(0);
        };
        let mut changes = Changes::default();
        for entry in &gone {
            changes.count(entry.stream, int(entry.meta.number.to_u64()), entry.places(), Become::Dead);
        }
        let (stream, number) = key(removal.stream, last.meta.number);
        let sql = format!(
            "DELETE FROM fragments WHERE stream = ?1 AND number <= ?2 AND {}",
            removal.kept.gone_condition()
        );
        transaction.execute(&sql, [stream, number])?;
        changes.write(&transaction)?;
        transaction.commit()?;
        self.usage.apply(&changes);
        Ok(gone.len())
    }

    /// What the log's segments hold.
    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The streams that need something in a log segment, each with the greatest number it ever had there.
    pub(crate) fn streams_in(
        &self,
        lane: LaneId,
        segment: u64,
    ) -> Result<Vec<(StreamId, FragmentNumber)>, IndexError> {
        let sql = "SELECT stream, last FROM live WHERE lane = ?1 AND segment = ?2 AND fragments > 0";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![lane.code(), int(segment)], |row| {
            let (stream, last): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((StreamId(stream.cast_unsigned()), FragmentNumber::from_u64(last.cast_unsigned())))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The frames of a log segment that no fragment and no event needs.
    pub(crate) fn dead(&self, frames: &[(FrameHeader, Location)]) -> Result<Vec<Location>, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM fragments WHERE stream = ?1 AND number = ?2)
                   OR EXISTS (SELECT 1 FROM held WHERE stream = ?1 AND number = ?2)";
        let mut needed = self.connection.prepare(sql)?;
        let mut dead = Vec::new();
        for (header, at) in frames {
            let (stream, number) = key(header.stream, FragmentNumber::from_u64(header.first_sequence));
            let needed = match header.kind {
                FrameKind::Event => events::needs(&self.connection, header, at)?,
                _ => needed.query_row([stream, number], |row| row.get(0))?,
            };
            if !needed {
                dead.push(*at);
            }
        }
        Ok(dead)
    }

    /// Notes that fragments lie elsewhere now: each as it was, and where it is. Durable when it returns, so
    /// that the old place may go.
    pub(crate) fn moved(&mut self, moved: &[(FragmentEntry, FragmentEntry)]) -> Result<(), IndexError> {
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        let written = self.move_rows(moved);
        self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        written
    }

    fn move_rows(&mut self, moved: &[(FragmentEntry, FragmentEntry)]) -> Result<(), IndexError> {
        let transaction = self.connection.transaction()?;
        let mut changes = Changes::default();
        let mut packed = Vec::new();
        for (old, new) in moved {
            packed.clear();
            row::pack(new, &mut packed, |track| self.tracks.id(&transaction, track))?;
            let (stream, number) = key(new.stream, new.meta.number);
            let sql = "UPDATE fragments SET packed = ?3 WHERE stream = ?1 AND number = ?2";
            if transaction.execute(sql, params![stream, number, packed])? > 0 {
                changes.count(old.stream, number, old.places(), Become::Dead);
                changes.count(new.stream, number, new.places(), Become::Live);
            }
        }
        changes.write(&transaction)?;
        transaction.commit()?;
        self.usage.apply(&changes);
        Ok(())
    }

    /// Whether frames of a number are kept that are no fragment.
    pub(crate) fn is_unindexed(&self, stream: StreamId, number: FragmentNumber) -> Result<bool, IndexError> {
        let (stream, number) = key(stream, number);
        let sql = "SELECT EXISTS (SELECT 1 FROM held WHERE stream = ?1 AND number = ?2)";
        Ok(self.connection.query_row(sql, [stream, number], |row| row.get(0))?)
    }

    /// Notes that nothing dead takes space in a log segment any more.
    pub(crate) fn punched(&mut self, lane: LaneId, segment: u64) -> Result<(), IndexError> {
        let sql = "UPDATE live SET dead = 0 WHERE lane = ?1 AND segment = ?2";
        self.connection.execute(sql, params![lane.code(), int(segment)])?;
        if let Some(used) = self.usage.segments.get_mut(&(lane, segment)) {
            used.dead = 0;
        }
        Ok(())
    }

    /// Forgets a log segment that is gone.
    pub(crate) fn forget_segment(&mut self, lane: LaneId, segment: u64) -> Result<(), IndexError> {
        let sql = "DELETE FROM live WHERE lane = ?1 AND segment = ?2";
        self.connection.execute(sql, params![lane.code(), int(segment)])?;
        self.usage.segments.remove(&(lane, segment));
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

/// Notes frames that are not in `fragments`: what is not understood is kept, what has no stream is dead.
fn note_unindexed(
    transaction: &Transaction<'_>,
    one: &Unindexed,
    blinder: &Blinder,
    changes: &mut Changes,
) -> Result<(), rusqlite::Error> {
    let Unindexed { stream, number, pieces, is } = one;
    let (row, id) = key(*stream, *number);
    match is {
        Is::Unwanted => changes.count(*stream, id, pieces.iter(), Become::FoundDead),
        Is::Unknown => {
            if transaction.execute("INSERT OR IGNORE INTO held VALUES (?1, ?2)", [row, id])? > 0 {
                changes.count(*stream, id, pieces.iter(), Become::Live);
            }
        }
        Is::Event(note) => {
            for at in pieces {
                events::take(transaction, (*stream, *number), (note, at), blinder, changes)?;
            }
        }
    }
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    batch: &mut Batch,
    changes: &mut Changes,
) -> Result<u64, rusqlite::Error> {
    let mut statement =
        transaction.prepare("INSERT OR IGNORE INTO fragments VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut inserted = 0;
    let Batch { rows, packed, places } = batch;
    // Neighbours in the file one after the other: most rows then go where the last one went.
    rows.sort_by_key(|row| (row.columns.stream, row.columns.number));
    for Row { columns, packed: part, places: at } in rows {
        let (stream, number) = key(columns.stream, columns.number);
        let Columns { producer_ms, duration_ms, size_bytes, .. } = *columns;
        let row =
            params![stream, number, producer_ms, duration_ms, int(size_bytes), &packed[part.start..part.end]];
        if statement.execute(row)? > 0 {
            inserted += 1;
            changes.count(columns.stream, number, places[at.start..at.end].iter(), Become::Live);
        }
    }
    Ok(inserted)
}

impl Batch {
    fn clear(&mut self) {
        self.rows.clear();
        self.packed.clear();
        self.places.clear();
    }
}

fn move_applied(
    transaction: &Transaction<'_>,
    positions: impl Iterator<Item = (LaneId, Lsn)>,
    column: &'static str,
) -> Result<(), IndexError> {
    let mut statement = transaction.prepare("INSERT OR IGNORE INTO applied VALUES (?1, 0, 0, 0)")?;
    let mut update =
        transaction.prepare(&format!("UPDATE applied SET {column} = max({column}, ?2) WHERE lane = ?1"))?;
    for (lane, next) in positions {
        statement.execute([lane.code()])?;
        update.execute(params![lane.code(), int(next.0)])?;
    }
    Ok(())
}
