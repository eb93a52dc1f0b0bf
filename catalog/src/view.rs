//! The SQLite view: the catalog's objects as rows, so that a start need not read the whole control
//! lane. It may be deleted at any time; the log has everything.
//!
//! ```text
//! DATA/index/catalog.sqlite      user_version = 1
//!   row  (kind, id, sealed)
//!     progress                   one row, its id empty: Extent as JSON
//!     stream, deleted_stream     id: the stream's number
//!     data_stream                id: the stream's number
//!     delivery                   id: the stream's number
//!     checkpoint                 id: the delivery stream's number, outlet and shard, colons between
//!     consumer                   id: the stream's number, a colon, the consumer's name
//!     hold                       id: the stream's number, a colon, the hold's id
//!     clock_correction           id: the stream's number, a colon, the run's number
//!     floor                      id: the stream's number
//!     source                     id: the stream's number
//!     media_secret               id: its name
//!     access_key                 id: the key's id
//!     device                     id: the username
//! ```
//!
//! But for `progress`, a row holds a [`Command`] that makes the object. All are sealed under the
//! installation's keys with kind and id bound in, so that neither a label nor a secret stands in the
//! file, no row passes for another, and damage is found out: SQLite has no checksums of its own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base::StreamId;
use fragment_log::Keyring;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::CatalogError;
use crate::command::Command;
use crate::state::RowKey;

/// The layout above. A file with another is rebuilt.
const LAYOUT: i64 = 1;
const FILE: &str = "catalog.sqlite";
const CREATE: &str = "
    CREATE TABLE row (kind TEXT, id TEXT, sealed BLOB NOT NULL, PRIMARY KEY (kind, id))
    STRICT, WITHOUT ROWID";
/// The kind of the row that says how far the view goes.
const PROGRESS: &str = "progress";

pub(crate) struct View {
    path: PathBuf,
    connection: Connection,
}

/// How far a view goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The last command of the control lane that is in it.
    pub applied_lsn: u64,
    /// The id for the next stream.
    pub next_stream: StreamId,
}

/// What the `progress` row holds.
#[derive(Serialize, Deserialize)]
struct Extent {
    #[serde(flatten)]
    progress: Progress,
    /// How many other rows there are, so that lost ones are missed.
    rows: u64,
}

/// All that a view holds.
pub(crate) struct Contents {
    pub rows: Vec<Command>,
    pub progress: Progress,
}

/// One change to the view.
pub(crate) struct Row {
    pub key: RowKey,
    /// Nothing where the object is gone.
    pub content: Option<Command>,
}

impl View {
    /// Opens the view in `dir`, which is made if need be; a file that is no view of this layout is
    /// replaced by an empty one.
    pub fn open(dir: &Path) -> Result<Self, CatalogError> {
        fs::create_dir_all(dir).map_err(|source| CatalogError::Io { path: dir.into(), source })?;
        let path = dir.join(FILE);
        match Self::connect(&path) {
            Ok(Some(view)) => return Ok(view),
            Ok(None) => tracing::warn!(path = %path.display(), "catalog view has another layout, made anew"),
            Err(error) => tracing::warn!(%error, "catalog view cannot be opened, made anew"),
        }
        Self::create(dir)
    }

    /// An empty view in `dir`, in place of one that may be there.
    pub fn create(dir: &Path) -> Result<Self, CatalogError> {
        let path = dir.join(FILE);
        for suffix in ["", "-wal", "-shm"] {
            let file = dir.join(format!("{FILE}{suffix}"));
            match fs::remove_file(&file) {
                Ok(()) => {}
                Err(missing) if missing.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(CatalogError::Io { path: file, source }),
            }
        }
        Self::connect(&path)?.ok_or(CatalogError::DamagedView(path))
    }

    /// `None` for a file of another layout.
    fn connect(path: &Path) -> Result<Option<Self>, CatalogError> {
        let open = || -> rusqlite::Result<_> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // What a power cut takes from the view comes back from the log.
            connection.pragma_update(None, "synchronous", "normal")?;
            let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if layout == 0 {
                connection.execute_batch(CREATE)?;
                connection.pragma_update(None, "user_version", LAYOUT)?;
            }
            Ok((connection, layout))
        };
        match open() {
            Ok((connection, 0 | LAYOUT)) => Ok(Some(Self { path: path.into(), connection })),
            Ok(_) => Ok(None),
            Err(source) => Err(CatalogError::View { path: path.into(), source }),
        }
    }

    /// Reads everything. `None` for a new view, and for one that is damaged: then it must be made
    /// anew.
    pub fn load(&self, keys: &Keyring) -> Option<Contents> {
        match self.read(keys) {
            Ok(contents) => contents,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "catalog view is damaged, rebuilt from the log");
                None
            }
        }
    }

    fn read(&self, keys: &Keyring) -> Result<Option<Contents>, CatalogError> {
        let check = self.connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
        if self.sql(check)? != "ok" {
            return Err(self.damaged());
        }
        let mut extent: Option<Extent> = None;
        let mut rows = Vec::new();
        let mut statement = self.sql(self.connection.prepare("SELECT kind, id, sealed FROM row"))?;
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        for found in self.sql(statement.query_map([], columns))? {
            let (kind, id, sealed): (String, String, Vec<u8>) = self.sql(found)?;
            let plain = keys.open_blob(&context(&kind, &id), &sealed).ok_or_else(|| self.damaged())?;
            if kind == PROGRESS {
                extent = Some(serde_json::from_slice(&plain).map_err(CatalogError::Command)?);
            } else {
                rows.push(Command::decode(&plain)?);
            }
        }
        match extent {
            Some(extent) if extent.rows == rows.len() as u64 => {
                Ok(Some(Contents { rows, progress: extent.progress }))
            }
            None if rows.is_empty() => Ok(None),
            Some(_) | None => Err(self.damaged()),
        }
    }

    /// Writes the rows and how far they take the view, all or nothing.
    pub fn write(&mut self, keys: &Keyring, rows: &[Row], progress: &Progress) -> Result<(), CatalogError> {
        let sealed: Vec<_> = rows.iter().map(|row| SealedRow::seal(row, keys)).collect();
        let written = self.connection.transaction().and_then(|transaction| {
            sealed.iter().try_for_each(|row| row.write(&transaction))?;
            let count = "SELECT count(*) FROM row WHERE kind <> ?1";
            let rows = transaction.query_row(count, [PROGRESS], |row| row.get::<_, i64>(0))?;
            let extent = Extent { progress: progress.clone(), rows: rows.unsigned_abs() };
            SealedRow::seal_extent(&extent, keys).write(&transaction)?;
            transaction.commit()
        });
        self.sql(written)
    }

    fn damaged(&self) -> CatalogError {
        CatalogError::DamagedView(self.path.clone())
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, CatalogError> {
        result.map_err(|source| CatalogError::View { path: self.path.clone(), source })
    }
}

struct SealedRow {
    kind: &'static str,
    id: String,
    sealed: Option<Vec<u8>>,
}

impl SealedRow {
    fn seal(row: &Row, keys: &Keyring) -> Self {
        let (kind, id) = match &row.key {
            RowKey::Stream(id) => ("stream", id.to_string()),
            RowKey::DeletedStream(id) => ("deleted_stream", id.to_string()),
            RowKey::DataStream(id) => ("data_stream", id.to_string()),
            RowKey::Delivery(id) => ("delivery", id.to_string()),
            RowKey::Checkpoint(id, outlet, shard) => ("checkpoint", format!("{id}:{outlet}:{shard}")),
            RowKey::Consumer(stream, name) => ("consumer", format!("{stream}:{name}")),
            RowKey::Hold(stream, id) => ("hold", format!("{stream}:{id}")),
            RowKey::ClockCorrection(stream, run) => {
                ("clock_correction", format!("{stream}:{}", run.0.to_u64()))
            }
            RowKey::Floor(stream) => ("floor", stream.to_string()),
            RowKey::Source(id) => ("source", id.to_string()),
            RowKey::MediaSecret(name) => ("media_secret", name.clone()),
            RowKey::AccessKey(id) => ("access_key", id.clone()),
            RowKey::Device(username) => ("device", username.clone()),
        };
        let seal = |content: &Command| keys.seal_blob(&context(kind, &id), &content.encode());
        let sealed = row.content.as_ref().map(seal);
        Self { kind, id, sealed }
    }

    fn seal_extent(extent: &Extent, keys: &Keyring) -> Self {
        let plain = serde_json::to_vec(extent).expect("two numbers and a count have a JSON form");
        let sealed = keys.seal_blob(&context(PROGRESS, ""), &plain);
        Self { kind: PROGRESS, id: String::new(), sealed: Some(sealed) }
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let (kind, id) = (self.kind, &self.id);
        match &self.sealed {
            Some(sealed) => transaction.execute(
                "INSERT OR REPLACE INTO row (kind, id, sealed) VALUES (?1, ?2, ?3)",
                params![kind, id, sealed],
            )?,
            None => transaction.execute("DELETE FROM row WHERE kind = ?1 AND id = ?2", params![kind, id])?,
        };
        Ok(())
    }
}

/// What a row's seal is bound to. No kind has a colon.
fn context(kind: &str, id: &str) -> Vec<u8> {
    format!("catalog:{kind}:{id}").into_bytes()
}
