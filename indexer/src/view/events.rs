//! Events in the sorted view: their spans, where their frames are, and their words, blinded.
//!
//! A removed event keeps a row, which names the frame that removed it, for as long as the event would have been
//! kept: whichever of the two frames is read first when the view is built anew, the event stays removed.

use std::collections::BTreeSet;

use base::{FragmentNumber, StreamId, Tags};
use fragment_log::{FrameHeader, FrameKind, LaneId, Location};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::usage::{Become, Changes};
use super::{Writer, int, key};
use crate::IndexError;
use crate::event::{EventRow, LONGEST, Note, last_ms};
use crate::kept::Kept;
use crate::search::{Blinder, words};
use crate::timeline::REACH_MS;

pub(super) const SCHEMA: &str = "
    CREATE TABLE events (
        stream INTEGER NOT NULL, id INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
        until INTEGER NOT NULL, removed INTEGER NOT NULL, words TEXT NOT NULL,
        lane INTEGER NOT NULL, segment INTEGER NOT NULL, place INTEGER NOT NULL, length INTEGER NOT NULL,
        PRIMARY KEY (stream, id)
    ) WITHOUT ROWID;
    CREATE INDEX events_by_start ON events (stream, starts, id, ends, removed, until);
    CREATE INDEX events_by_end ON events (stream, until);
    CREATE TABLE event_words (
        word TEXT NOT NULL, starts INTEGER NOT NULL, stream INTEGER NOT NULL, id INTEGER NOT NULL,
        ends INTEGER NOT NULL, PRIMARY KEY (word, starts, stream, id)
    ) WITHOUT ROWID;
";
const COLUMNS: &str = "stream, id, starts, ends, lane, segment, place, length";

/// Which events are looked at: when they begin, and from when on they end, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordsWithin {
    pub begins: (i64, i64),
    pub ends_from: i64,
}

/// Which events of a stream a list has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    /// The span that they overlap, inclusive, in milliseconds since the epoch.
    pub span: (i64, i64),
    /// Start and id of the last one that was listed before.
    pub after: Option<(i64, FragmentNumber)>,
    pub limit: usize,
}

/// Calls `each` with stream and span of the events that have these consecutive words, by their start.
pub(crate) fn each_event_with(
    connection: &Connection,
    words: &[String],
    within: &WordsWithin,
    each: &mut dyn FnMut(StreamId, (i64, i64)) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let Some(first) = words.first() else { return Ok(()) };
    let phrase = (words.len() > 1).then(|| in_a_row(words));
    let mut statement = connection.prepare(
        "SELECT stream, starts, ends FROM event_words AS found
         WHERE word = ?1 AND starts BETWEEN ?2 AND ?3 AND ends >= ?4 AND (?5 IS NULL OR EXISTS (
             SELECT 1 FROM events WHERE stream = found.stream AND id = found.id AND instr(words, ?5) > 0
         )) ORDER BY starts",
    )?;
    let WordsWithin { begins: (from, to), ends_from } = within;
    let mut rows = statement.query(params![first, from, to, ends_from, phrase])?;
    while let Some(row) = rows.next()? {
        each(StreamId(row.get::<_, i64>(0)?.cast_unsigned()), (row.get(1)?, row.get(2)?))?;
    }
    Ok(())
}

/// The events of a stream, by start and id.
pub(crate) fn events(
    connection: &Connection,
    stream: StreamId,
    kept: &Kept,
    listed: &Listed,
) -> Result<Vec<EventRow>, IndexError> {
    let (start, end) = listed.span;
    let after = listed.after.map_or((i64::MIN, 0), |(start, id)| (start, int(id.to_u64())));
    let longest = i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE stream = ?1 AND starts BETWEEN ?2 AND ?3 AND ends >= ?4
         AND (starts, id) > (?5, ?6) AND NOT removed AND {} ORDER BY starts, id LIMIT ?7",
        condition(kept)
    );
    let (after_start, after_id) = after;
    let from = start.saturating_sub(longest).max(after_start);
    let limit = int(listed.limit as u64);
    rows(connection, &sql, params![int(stream.0), from, end, start, after_start, after_id, limit])
}

/// The first events that overlap a fragment, by start and id.
pub(crate) fn events_over(
    connection: &Connection,
    stream: StreamId,
    (producer_ms, duration_ms): (i64, u32),
    limit: usize,
) -> Result<Vec<EventRow>, IndexError> {
    let span = (producer_ms, last_ms(producer_ms, duration_ms));
    // The fragment is kept, so these are, too.
    let kept = Kept::new(FragmentNumber::MIN, Vec::new());
    events(connection, stream, &kept, &Listed { span, after: None, limit })
}

/// One event of a stream.
pub(crate) fn event(
    connection: &Connection,
    stream: StreamId,
    id: FragmentNumber,
    kept: &Kept,
) -> Result<Option<EventRow>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE stream = ?1 AND id = ?2 AND NOT removed AND {}",
        condition(kept)
    );
    Ok(rows(connection, &sql, key(stream, id))?.pop())
}

/// Whether an event is kept, as a condition on a row of `events`.
fn condition(kept: &Kept) -> String {
    let from = int(kept.from.to_u64());
    format!(
        "(until >= {from} OR EXISTS (SELECT 1 FROM fragments INDEXED BY by_producer
          WHERE fragments.stream = events.stream AND producer BETWEEN starts - {REACH_MS} AND ends
          AND producer + max(duration, 1) > starts AND {}))",
        kept.condition()
    )
}

fn rows(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<EventRow>, IndexError> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params, |row| {
        Ok(EventRow {
            stream: StreamId(row.get::<_, i64>(0)?.cast_unsigned()),
            id: FragmentNumber::from_u64(row.get::<_, i64>(1)?.cast_unsigned()),
            span: (row.get(2)?, row.get(3)?),
            at: place(row, 4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where a row's frame is: four columns from `first` on.
fn place(row: &Row<'_>, first: usize) -> Result<Location, rusqlite::Error> {
    let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(first + at)?.cast_unsigned());
    let code = row.get(first)?;
    let lane = LaneId::from_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(first, code.into()))?;
    Ok(Location { lane, segment: number(1)?, offset: number(2)?, len: row.get(first + 3)? })
}

/// The words of an event as they are kept, and each word once: those of every value alone, and with the
/// tag's name.
fn blinded(tags: &Tags, blinder: &Blinder) -> (String, BTreeSet<String>) {
    let (mut text, mut all) = (String::new(), BTreeSet::new());
    for (name, value) in tags {
        let words = words(value);
        for name in [None, Some(name.as_str())] {
            let terms: Vec<_> = words.iter().map(|word| blinder.term(name, word)).collect();
            text += &in_a_row(&terms);
            text.push('|');
            all.extend(terms);
        }
    }
    (text, all)
}

/// Words that stand one after the other, as a text that holds those of every part of it.
fn in_a_row(words: &[String]) -> String {
    format!(" {} ", words.join(" "))
}

/// What the view has of an event before a frame of it is taken in.
struct Known {
    removed: bool,
    starts: i64,
    words: String,
    at: Location,
}

/// Takes in a frame that tells of an event, or of its removal. What is known already changes nothing.
pub(super) fn take(
    transaction: &Transaction<'_>,
    (stream, id): (StreamId, FragmentNumber),
    (note, at): (&Note, &Location),
    blinder: &Blinder,
    changes: &mut Changes,
) -> Result<(), rusqlite::Error> {
    let (row, number) = key(stream, id);
    let sql = "SELECT removed, starts, words, lane, segment, place, length FROM events
               WHERE stream = ?1 AND id = ?2";
    let known = transaction.query_row(sql, [row, number], |row| {
        Ok(Known { removed: row.get(0)?, starts: row.get(1)?, words: row.get(2)?, at: place(row, 3)? })
    });
    let (text, words) = match (note, known.optional()?) {
        (Note::Posted { .. }, Some(known)) => {
            if known.removed {
                changes.count(stream, number, [at].into_iter(), Become::FoundDead);
            }
            return Ok(());
        }
        (Note::Removed { .. }, Some(known)) if known.removed => return Ok(()),
        (Note::Removed { .. }, Some(known)) => {
            forget_words(transaction, (row, number), known.starts, &known.words)?;
            changes.count(stream, number, [&known.at].into_iter(), Become::Dead);
            Default::default()
        }
        (Note::Removed { .. }, None) => Default::default(),
        (Note::Posted { tags, .. }, None) => blinded(tags, blinder),
    };
    let (starts, ends) = note.span();
    let removed = matches!(note, Note::Removed { .. });
    let until = number.max(ends);
    let Location { lane, segment, offset, len } = at;
    transaction.execute(
        "INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            row,
            number,
            starts,
            ends,
            until,
            removed,
            text,
            lane.code(),
            int(*segment),
            int(*offset),
            len
        ],
    )?;
    let mut insert = transaction.prepare("INSERT OR IGNORE INTO event_words VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for word in words {
        insert.execute(params![word, starts, row, number, ends])?;
    }
    changes.count(stream, number, [at].into_iter(), Become::Live);
    Ok(())
}

fn forget_words(
    transaction: &Transaction<'_>,
    (stream, id): (i64, i64),
    starts: i64,
    words: &str,
) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM event_words WHERE word = ?1 AND starts = ?2 AND stream = ?3 AND id = ?4";
    let mut delete = transaction.prepare(sql)?;
    let words = words.split(['|', ' ']).filter(|word| !word.is_empty());
    for word in words.collect::<BTreeSet<_>>() {
        delete.execute(params![word, starts, stream, id])?;
    }
    Ok(())
}

/// Whether the frame of an event is the one that its row names.
pub(super) fn needs(
    connection: &Connection,
    header: &FrameHeader,
    at: &Location,
) -> Result<bool, rusqlite::Error> {
    let (stream, id) = key(header.stream, FragmentNumber::from_u64(header.first_sequence));
    let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE stream = ?1 AND id = ?2 AND lane = ?3
               AND segment = ?4 AND place = ?5)
               OR EXISTS (SELECT 1 FROM held WHERE stream = ?1 AND number = ?2)";
    let place = params![stream, id, at.lane.code(), int(at.segment), int(at.offset)];
    connection.query_row(sql, place, |row| row.get(0))
}

impl Writer {
    /// The streams that have events, removed ones too.
    pub(crate) fn streams_with_events(&self) -> Result<Vec<StreamId>, IndexError> {
        let mut next = self.connection.prepare("SELECT min(stream) FROM events WHERE stream > ?1")?;
        let (mut streams, mut last) = (Vec::new(), -1_i64);
        while let Some(stream) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
            streams.push(StreamId(stream.cast_unsigned()));
            last = stream;
        }
        Ok(streams)
    }

    /// Removes the rows of events that are not kept, at most `limit`, and gives how many. Durable when it
    /// returns, so that segments may go.
    pub(crate) fn remove_events(
        &mut self,
        stream: StreamId,
        kept: &Kept,
        limit: usize,
    ) -> Result<usize, IndexError> {
        // What ended in time is passed over without a look at the fragments.
        let sql = format!(
            "SELECT id, starts, words, lane, segment, place, length FROM events
             WHERE stream = ?1 AND until < ?2 AND NOT {} LIMIT ?3",
            condition(kept)
        );
        let select = params![int(stream.0), int(kept.from.to_u64()), int(limit as u64)];
        let gone: Vec<(i64, i64, String, Location)> = {
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement
                .query_map(select, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, place(row, 3)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        if gone.is_empty() {
            return Ok(0);
        }
        self.durably(|transaction, changes| {
            for (id, starts, words, at) in &gone {
                forget_words(transaction, (int(stream.0), *id), *starts, words)?;
                transaction
                    .execute("DELETE FROM events WHERE stream = ?1 AND id = ?2", [int(stream.0), *id])?;
                changes.count(stream, *id, [at].into_iter(), Become::Dead);
            }
            Ok(())
        })?;
        Ok(gone.len())
    }

    /// The frames that rows of events name.
    pub(crate) fn event_frames(
        &self,
        frames: &[(FrameHeader, Location)],
    ) -> Result<Vec<(FrameHeader, Location)>, IndexError> {
        let mut named = Vec::new();
        for (header, at) in frames.iter().filter(|(header, _)| header.kind == FrameKind::Event) {
            if needs(&self.connection, header, at)? {
                named.push((*header, *at));
            }
        }
        Ok(named)
    }

    /// Notes that frames of events lie elsewhere now: each as it was, and where it is. Durable when it returns,
    /// so that the old place may go.
    pub(crate) fn moved_events(
        &mut self,
        moved: &[((FrameHeader, Location), Location)],
    ) -> Result<(), IndexError> {
        self.durably(|transaction, changes| {
            for ((header, old), new) in moved {
                let (stream, id) = key(header.stream, FragmentNumber::from_u64(header.first_sequence));
                let sql =
                    "UPDATE events SET lane = ?3, segment = ?4, place = ?5 WHERE stream = ?1 AND id = ?2";
                let place = params![stream, id, new.lane.code(), int(new.segment), int(new.offset)];
                if transaction.execute(sql, place)? > 0 {
                    changes.count(header.stream, id, [old].into_iter(), Become::Dead);
                    changes.count(header.stream, id, [new].into_iter(), Become::Live);
                }
            }
            Ok(())
        })
    }

    /// One transaction that is on disk when this returns.
    fn durably(
        &mut self,
        write: impl FnOnce(&Transaction<'_>, &mut Changes) -> Result<(), rusqlite::Error>,
    ) -> Result<(), IndexError> {
        let mut changes = Changes::default();
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        let written = (|| {
            let transaction = self.connection.transaction()?;
            write(&transaction, &mut changes)?;
            changes.write(&transaction)?;
            transaction.commit()
        })();
        self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        written?;
        self.usage.apply(&changes);
        Ok(())
    }
}
