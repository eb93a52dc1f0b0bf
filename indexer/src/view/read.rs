//! Queries of the sorted view. All take the number below which fragments are expired.

use std::collections::VecDeque;

use base::{FragmentMeta, FragmentNumber, StreamId};
use rusqlite::{Connection, Statement, params};

use super::{Removal, Tracks, int, key};
use crate::row::{self, Columns};
use crate::{ClockKind, FragmentEntry, IndexError, Window};

const COLUMNS: &str = "stream, number, producer, duration, size, packed";

/// The fragments of a window from `from` on, by number.
pub(crate) fn range(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    window: &Window,
    from: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let (start, end) = window.bounds();
    let (stream, from) = key(stream, from);
    let limit = int(limit as u64);
    if window.clock == ClockKind::Server || (window.start.is_none() && window.end.is_none()) {
        let sql = format!(
            "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number BETWEEN ?2 AND ?3
             ORDER BY number LIMIT ?4"
        );
        return entries(connection, tracks, &sql, params![stream, from.max(start), end, limit]);
    }
    // The index holds all that is compared; only rows that are handed out are read in full.
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number IN (
             SELECT number FROM fragments INDEXED BY by_producer
             WHERE stream = ?1 AND producer BETWEEN ?2 AND ?3 AND number >= ?4 ORDER BY number LIMIT ?5
         ) ORDER BY number"
    );
    entries(connection, tracks, &sql, params![stream, start, end, from, limit])
}

/// The last fragments of a stream that are not below `from`, by number.
pub(crate) fn latest(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    from: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let (stream, from) = key(stream, from);
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number >= ?2 ORDER BY number DESC LIMIT ?3"
    );
    let mut found = entries(connection, tracks, &sql, params![stream, from, int(limit as u64)])?;
    found.reverse();
    Ok(found)
}

/// One fragment.
pub(crate) fn fragment(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    number: FragmentNumber,
) -> Result<Option<FragmentEntry>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number = ?2");
    Ok(entries(connection, tracks, &sql, key(stream, number))?.pop())
}

/// The oldest rows of a stream that are to be removed.
pub(super) fn below(
    connection: &Connection,
    tracks: &Tracks,
    removal: &Removal,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let (stream, below) = key(removal.stream, removal.below);
    let sql =
        format!("SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number < ?2 ORDER BY number LIMIT ?3");
    entries(connection, tracks, &sql, params![stream, below, int(removal.limit as u64)])
}

/// The newest fragment of every stream.
pub(crate) fn newest_of_all(
    connection: &Connection,
    tracks: &Tracks,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let mut newest = Vec::new();
    let mut next = connection.prepare("SELECT min(stream) FROM fragments WHERE stream > ?1")?;
    let mut last = -1_i64;
    while let Some(stream) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        newest.extend(latest(connection, tracks, StreamId(stream.cast_unsigned()), FragmentNumber::MIN, 1)?);
        last = stream;
    }
    Ok(newest)
}

/// The oldest number of a stream.
pub(crate) fn oldest(
    connection: &Connection,
    stream: StreamId,
) -> Result<Option<FragmentNumber>, IndexError> {
    let mut statement = connection.prepare("SELECT min(number) FROM fragments WHERE stream = ?1")?;
    let number: Option<i64> = statement.query_row([int(stream.0)], |row| row.get(0))?;
    Ok(number.map(|number| FragmentNumber::from_u64(number.cast_unsigned())))
}

/// Reads time and number of fragments, in that order, stream after stream.
pub(crate) struct Keys<'c> {
    statement: Statement<'c>,
    window: Window,
}

impl<'c> Keys<'c> {
    pub(crate) fn new(connection: &'c Connection, window: Window) -> Result<Self, IndexError> {
        let statement = connection.prepare(match window.clock {
            ClockKind::Producer => {
                "SELECT producer, number FROM fragments INDEXED BY by_producer
                 WHERE stream = ?1 AND (producer, number) > (?2, ?3) AND producer <= ?4 AND number >= ?5
                 ORDER BY producer, number LIMIT ?6"
            }
            ClockKind::Server => {
                "SELECT number, number FROM fragments
                 WHERE stream = ?1 AND (number, number) > (?2, ?3) AND number <= ?4 AND number >= ?5
                 ORDER BY number LIMIT ?6"
            }
        })?;
        Ok(Self { statement, window })
    }

    /// Those of the window that come after a time and number and are not below `from`.
    pub(crate) fn read(
        &mut self,
        stream: StreamId,
        after: (i64, i64),
        from: FragmentNumber,
        limit: usize,
    ) -> Result<VecDeque<(i64, FragmentNumber)>, IndexError> {
        let (start, end) = self.window.bounds();
        let (stream, from) = key(stream, from);
        let after = after.max((start.saturating_sub(1), i64::MAX));
        let params = params![stream, after.0, after.1, end, from, int(limit as u64)];
        let found = self.statement.query_map(params, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        let found =
            found.map(|row| row.map(|(at, number)| (at, FragmentNumber::from_u64(number.cast_unsigned()))));
        Ok(found.collect::<Result<_, _>>()?)
    }
}

/// One fragment's place on the timeline.
pub(crate) struct Span {
    pub number: FragmentNumber,
    pub producer_ms: i64,
    pub duration_ms: u32,
    pub size_bytes: u64,
}

impl Span {
    pub(crate) fn of(meta: &FragmentMeta) -> Self {
        Self {
            number: meta.number,
            producer_ms: meta.producer_timestamp.millis(),
            duration_ms: meta.duration_ms,
            size_bytes: meta.size_bytes,
        }
    }
}

/// Calls `each` for the fragments of a stream that start between two producer times, inclusive. Reads the
/// index alone.
pub(crate) fn spans(
    connection: &Connection,
    stream: StreamId,
    bounds: (i64, i64),
    from: FragmentNumber,
    mut each: impl FnMut(Span),
) -> Result<(), IndexError> {
    let (stream, from) = key(stream, from);
    let mut statement = connection.prepare(
        "SELECT number, producer, duration, size FROM fragments INDEXED BY by_producer
         WHERE stream = ?1 AND producer BETWEEN ?2 AND ?3 AND number >= ?4",
    )?;
    let mut rows = statement.query(params![stream, bounds.0, bounds.1, from])?;
    while let Some(row) = rows.next()? {
        each(Span {
            number: FragmentNumber::from_u64(row.get::<_, i64>(0)?.cast_unsigned()),
            producer_ms: row.get(1)?,
            duration_ms: row.get(2)?,
            size_bytes: row.get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    Ok(())
}

fn entries(
    connection: &Connection,
    tracks: &Tracks,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params)?;
    let known = tracks.known();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = Columns {
            stream: StreamId(row.get::<_, i64>(0)?.cast_unsigned()),
            number: FragmentNumber::from_u64(row.get::<_, i64>(1)?.cast_unsigned()),
            producer_ms: row.get(2)?,
            duration_ms: row.get(3)?,
            size_bytes: row.get::<_, i64>(4)?.cast_unsigned(),
        };
        let packed = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
        found.push(row::unpack(&columns, packed, |id| known.get(id))?);
    }
    Ok(found)
}
