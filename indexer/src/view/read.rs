//! Queries of the sorted view. All take what is kept.

use std::collections::VecDeque;

use base::{FragmentMeta, FragmentNumber, StreamId};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::{Removal, Tracks, int, key};
use crate::kept::Kept;
use crate::row::{self, Columns};
use crate::{ClockKind, FragmentEntry, IndexError, Window};

const COLUMNS: &str = "stream, number, producer, duration, size, packed";

/// The fragments of a window from `from` on, by number.
pub(crate) fn range(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    window: &Window,
    kept: &Kept,
    from: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let (start, end) = window.bounds();
    let (stream, from) = key(stream, from.max(kept.lowest()));
    let condition = kept.condition();
    let limit = int(limit as u64);
    if window.clock == ClockKind::Server || (window.start.is_none() && window.end.is_none()) {
        let sql = format!(
            "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number BETWEEN ?2 AND ?3
             AND {condition} ORDER BY number LIMIT ?4"
        );
        return entries(connection, tracks, &sql, params![stream, from.max(start), end, limit]);
    }
    // The index holds all that is compared; only rows that are handed out are read in full: in one piece where
    // both clocks agree about where they are, else one by one.
    let within = format!(
        "FROM fragments INDEXED BY by_producer
         WHERE stream = ?1 AND producer BETWEEN ?2 AND ?3 AND number >= ?4 AND {condition}"
    );
    let numbers: (Option<i64>, Option<i64>) = connection
        .prepare(&format!("SELECT min(number), max(number) {within}"))?
        .query_row(params![stream, start, end, from], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = numbers else { return Ok(Vec::new()) };
    if last.saturating_sub(first) <= end.saturating_sub(start).saturating_mul(2) {
        let sql = format!(
            "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number BETWEEN ?4 AND ?5
             AND producer BETWEEN ?2 AND ?3 AND {condition} ORDER BY number LIMIT ?6"
        );
        return entries(connection, tracks, &sql, params![stream, start, end, first, last, limit]);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number IN (
             SELECT number {within} ORDER BY number LIMIT ?5
         ) ORDER BY number"
    );
    entries(connection, tracks, &sql, params![stream, start, end, from, limit])
}

/// The last fragments of a stream, by number.
pub(crate) fn latest(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    kept: &Kept,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND {} ORDER BY number DESC LIMIT ?2",
        kept.condition()
    );
    let mut found = entries(connection, tracks, &sql, params![int(stream.0), int(limit as u64)])?;
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
pub(super) fn gone(
    connection: &Connection,
    tracks: &Tracks,
    removal: &Removal<'_>,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND {} ORDER BY number LIMIT ?2",
        removal.kept.gone_condition()
    );
    entries(connection, tracks, &sql, params![int(removal.stream.0), int(removal.limit as u64)])
}

/// The held fragments of a stream after a number, by number.
pub(crate) fn held(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    kept: &Kept,
    after: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    that_are(connection, tracks, stream, &kept.held_condition(), after, limit)
}

/// The fragments of a stream after a number that are not held, by number.
pub(crate) fn not_held(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    kept: &Kept,
    after: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    that_are(connection, tracks, stream, &format!("NOT {}", kept.held_condition()), after, limit)
}

fn that_are(
    connection: &Connection,
    tracks: &Tracks,
    stream: StreamId,
    condition: &str,
    after: FragmentNumber,
    limit: usize,
) -> Result<Vec<FragmentEntry>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM fragments WHERE stream = ?1 AND number > ?2 AND {condition}
         ORDER BY number LIMIT ?3"
    );
    let (stream, after) = key(stream, after);
    entries(connection, tracks, &sql, params![stream, after, int(limit as u64)])
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
        let id = StreamId(stream.cast_unsigned());
        newest.extend(latest(connection, tracks, id, &Kept::new(FragmentNumber::MIN, Vec::new()), 1)?);
        last = stream;
    }
    Ok(newest)
}

/// The oldest number of a stream that is not held.
pub(crate) fn oldest_gone(
    connection: &Connection,
    stream: StreamId,
    kept: &Kept,
) -> Result<Option<FragmentNumber>, IndexError> {
    let sql = format!(
        "SELECT number FROM fragments WHERE stream = ?1 AND NOT {} ORDER BY number LIMIT 1",
        kept.held_condition()
    );
    let number = connection.query_row(&sql, [int(stream.0)], |row| row.get::<_, i64>(0)).optional()?;
    Ok(number.map(|number| FragmentNumber::from_u64(number.cast_unsigned())))
}

/// Reads time and number of fragments, in that order, stream after stream.
pub(crate) struct Keys<'c> {
    connection: &'c Connection,
    /// For streams of which nothing is held: almost all.
    statement: Statement<'c>,
    window: Window,
}

impl<'c> Keys<'c> {
    pub(crate) fn new(connection: &'c Connection, window: Window) -> Result<Self, IndexError> {
        let statement = connection.prepare(&Self::sql(window.clock, "1"))?;
        Ok(Self { connection, statement, window })
    }

    fn sql(clock: ClockKind, condition: &str) -> String {
        match clock {
            ClockKind::Producer => format!(
                "SELECT producer, number FROM fragments INDEXED BY by_producer
                 WHERE stream = ?1 AND (producer, number) > (?2, ?3) AND producer <= ?4 AND number >= ?5
                 AND {condition} ORDER BY producer, number LIMIT ?6"
            ),
            ClockKind::Server => format!(
                "SELECT number, number FROM fragments
                 WHERE stream = ?1 AND (number, number) > (?2, ?3) AND number <= ?4 AND number >= ?5
                 AND {condition} ORDER BY number LIMIT ?6"
            ),
        }
    }

    /// Those of the window that come after a time and number and are kept.
    pub(crate) fn read(
        &mut self,
        stream: StreamId,
        after: (i64, i64),
        kept: &Kept,
        limit: usize,
    ) -> Result<VecDeque<(i64, FragmentNumber)>, IndexError> {
        let (start, end) = self.window.bounds();
        let (stream, from) = key(stream, kept.lowest());
        let after = after.max((start.saturating_sub(1), i64::MAX));
        let params = params![stream, after.0, after.1, end, from, int(limit as u64)];
        let mut held;
        let statement = if kept.any_held() {
            held = self.connection.prepare(&Self::sql(self.window.clock, &kept.condition()))?;
            &mut held
        } else {
            &mut self.statement
        };
        let found = statement.query_map(params, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
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

/// Calls `each` for the fragments of a stream that start between two producer times, inclusive, in their order.
/// Reads the index alone.
pub(crate) fn spans(
    connection: &Connection,
    stream: StreamId,
    bounds: (i64, i64),
    kept: &Kept,
    mut each: impl FnMut(Span),
) -> Result<(), IndexError> {
    let sql = format!(
        "SELECT number, producer, duration, size FROM fragments INDEXED BY by_producer
         WHERE stream = ?1 AND producer BETWEEN ?2 AND ?3 AND {} ORDER BY producer, number",
        kept.condition()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![int(stream.0), bounds.0, bounds.1])?;
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
