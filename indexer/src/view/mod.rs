//! The sorted view: one SQLite file, `fragments.sqlite`, written by one thread and read by many.
//!
//! | table | key | holds |
//! |---|---|---|
//! | `fragments` | stream, number | what queries compare in columns, the rest packed ([`crate::row`]) |
//! | `tracks` | id | static track descriptions, each once |
//! | `live` | lane, log segment, stream | fragments and bytes needed there, bytes dead there; first and last number |
//! | `held` | stream, number | fragments and events that are not understood, and therefore kept |
//! | `events` | stream, id | spans, places and blinded words of events, and of those that were removed |
//! | `event_words` | word, start | the events that have a blinded word |
//! | `applied` | lane | the first LSN that this view, and the search view, may lack |
//!
//! A row exists from the transaction that also moves `applied`. No tag value, label or secret is in it.

mod events;
mod pool;
mod read;
mod tracks;
mod usage;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::{FragmentNumber, StreamId};
use fragment_log::{LaneId, Lsn};
use rusqlite::{Connection, OpenFlags};

use crate::IndexError;

pub(crate) use events::{Listed, WordsWithin, each_event_with, event, events, events_over};
pub(crate) use pool::Pool;
pub(crate) use read::{
    Keys, Span, fragment, held, latest, newest_of_all, not_held, oldest_gone, range, spans,
};
pub(crate) use tracks::Tracks;
pub(crate) use usage::{Usage, Used};
pub(crate) use write::{Removal, Writer};

/// The file's name under `DATA/index/`.
pub(crate) const FILE: &str = "fragments.sqlite";
/// `PRAGMA user_version`: another one is rebuilt.
const FORMAT: i64 = 4;
/// Larger files are not read through at open; damage there shows when it is met.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

const SCHEMA: &str = "
    CREATE TABLE fragments (
        stream INTEGER NOT NULL, number INTEGER NOT NULL, producer INTEGER NOT NULL,
        duration INTEGER NOT NULL, size INTEGER NOT NULL, packed BLOB NOT NULL,
        PRIMARY KEY (stream, number)
    ) WITHOUT ROWID;
    CREATE INDEX by_producer ON fragments (stream, producer, number, duration, size);
    CREATE TABLE tracks (id INTEGER PRIMARY KEY, described TEXT NOT NULL);
    CREATE TABLE live (
        lane INTEGER NOT NULL, segment INTEGER NOT NULL, stream INTEGER NOT NULL,
        fragments INTEGER NOT NULL, live INTEGER NOT NULL, dead INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (lane, segment, stream)
    ) WITHOUT ROWID;
    CREATE TABLE held (
        stream INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (stream, number)
    ) WITHOUT ROWID;
    CREATE TABLE applied (
        lane INTEGER PRIMARY KEY, next INTEGER NOT NULL, commits INTEGER NOT NULL, searched INTEGER NOT NULL
    );
";
/// How the file is written while it serves. With NORMAL a power cut may take back the last transactions, which
/// replay gives again.
const SERVING: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;
    PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;";
/// How a new file is filled: nothing in it counts before [`finish`].
const BUILDING: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;";

/// Up to where a lane was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// From here on the lane is read again for the sorted view: where the oldest open fragment begins.
    pub sorted: Lsn,
    /// The sorted view has every commit before this.
    pub commits: Lsn,
    /// From here on the lane is read again for the search view.
    pub searched: Lsn,
}

/// Opens the file for writing, makes it where there is none, and tells whether it did: then it is of no use
/// before it was filled and [`finish`] was called.
///
/// # Errors
/// Also where it is damaged, of another format or was never finished: then it must be removed and filled again.
pub(crate) fn open(path: &Path) -> Result<(Connection, bool), Unusable> {
    let connection = Connection::open(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        connection.execute_batch(&format!("{BUILDING} BEGIN; {SCHEMA} {} COMMIT;", events::SCHEMA))?;
        return Ok((connection, true));
    }
    if version == 0 {
        return Err(Unusable("building it was not finished".into()));
    }
    if version != FORMAT {
        return Err(Unusable(format!("it is of format {version}, this program uses {FORMAT}")));
    }
    connection.execute_batch(SERVING)?;
    if std::fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Unusable(found));
        }
    }
    Ok((connection, false))
}

/// Makes a new file durable, and only then one that counts: a crash before leaves one that is built again.
fn finish(connection: &Connection) -> Result<(), IndexError> {
    connection.execute_batch(SERVING)?;
    if let Some(path) = connection.path().map(Path::new) {
        let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|source| IndexError::Io { path: path.to_owned(), source })?;
    }
    let counts = format!("PRAGMA user_version = {FORMAT};");
    Ok(connection
        .execute_batch(&format!("PRAGMA synchronous = FULL; {counts} PRAGMA synchronous = NORMAL;"))?)
}

/// Opens the file for reading only.
fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection
        .execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// The SQLite files in `dir` that fail `PRAGMA quick_check`, each with what is wrong. Also beside a
/// running server. Damage in them costs nothing but the time to build them again.
pub fn damaged_views(dir: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "sqlite"));
    files.sort();
    let check = |file: &Path| -> Result<String, rusqlite::Error> {
        open_reader(file)?.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    };
    let damage = |file: PathBuf| match check(&file) {
        Ok(found) if found == "ok" => None,
        Ok(found) => Some((file, found)),
        Err(error) => Some((file, error.to_string())),
    };
    files.into_iter().filter_map(damage).collect()
}

/// Why the file cannot be used as it is.
#[derive(Debug)]
pub(crate) struct Unusable(pub String);

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// What is followed, by lane.
pub(crate) fn applied(connection: &Connection) -> Result<BTreeMap<LaneId, Applied>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT lane, next, commits, searched FROM applied")?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        if let Some(lane) = LaneId::from_code(row.get(0)?) {
            let lsn = |at| Ok::<_, rusqlite::Error>(Lsn(row.get::<_, i64>(at)?.cast_unsigned()));
            all.insert(lane, Applied { sorted: lsn(1)?, commits: lsn(2)?, searched: lsn(3)? });
        }
    }
    Ok(all)
}

/// A 64-bit number as SQLite keeps it. Times, sizes and places stay far below the sign.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The key of a row.
fn key(stream: StreamId, number: FragmentNumber) -> (i64, i64) {
    (int(stream.0), int(number.to_u64()))
}
