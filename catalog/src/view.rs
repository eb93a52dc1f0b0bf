//! The SQLite view: the catalog's objects as rows, so that a start need not read the whole control
//! lane. It may be deleted at any time; the log has everything.
//!
//! ```text
//! DATA/index/catalog.sqlite     user_version = 1
//!   meta  (name, value)         applied_lsn, next_stream
//!   row   (kind, id, sealed)    kind: stream | deleted_stream | access_key | device
//! ```
//!
//! `sealed` is a [`Command`] that makes the object, sealed under the installation's keys with kind and
//! id bound in, so that neither a label nor a secret stands in the file, and no row passes for another.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base::StreamId;
use fragment_log::{Keyring, Lsn};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::CatalogError;
use crate::command::Command;
use crate::state::RowKey;

/// The layout above. A file with another is rebuilt.
const LAYOUT: i64 = 1;
const FILE: &str = "catalog.sqlite";

pub(crate) struct View {
    path: PathBuf,
    connection: Connection,
}

/// All that a view holds.
pub(crate) struct Contents {
    pub rows: Vec<Command>,
    pub next_stream: StreamId,
    pub applied: Lsn,
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
            Ok(view) => Ok(view),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "catalog view cannot be used, made anew");
                Self::create(dir)
            }
        }
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
        Self::connect(&path).map_err(|source| CatalogError::View { path, source })
    }

    fn connect(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // What a power cut takes from the view comes back from the log.
        connection.pragma_update(None, "synchronous", "normal")?;
        let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout == 0 {
            connection.execute_batch(
                "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
                 CREATE TABLE row (kind TEXT, id TEXT, sealed BLOB NOT NULL, PRIMARY KEY (kind, id))
                    STRICT, WITHOUT ROWID;",
            )?;
            connection.pragma_update(None, "user_version", LAYOUT)?;
        } else if layout != LAYOUT {
            return Err(rusqlite::Error::InvalidQuery);
        }
        Ok(Self { path: path.into(), connection })
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
        let verdict: String =
            self.sql(self.connection.pragma_query_value(None, "quick_check", |row| row.get(0)))?;
        if verdict != "ok" {
            return Err(self.error(rusqlite::Error::InvalidQuery));
        }
        let Some(applied) = self.number("applied_lsn")? else { return Ok(None) };
        let Some(next_stream) = self.number("next_stream")? else { return Ok(None) };
        let mut statement = self.sql(self.connection.prepare("SELECT kind, id, sealed FROM row"))?;
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let mut rows = Vec::new();
        for found in self.sql(statement.query_map([], columns))? {
            let (kind, id, sealed): (String, String, Vec<u8>) = self.sql(found)?;
            let plain = keys.open_blob(&context(&kind, &id), &sealed);
            rows.push(Command::decode(&plain.ok_or_else(|| self.error(rusqlite::Error::InvalidQuery))?)?);
        }
        Ok(Some(Contents { rows, next_stream: StreamId(next_stream), applied: Lsn(applied) }))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, CatalogError> {
        let query = "SELECT value FROM meta WHERE name = ?1";
        let value: Option<i64> =
            self.sql(self.connection.query_row(query, [name], |row| row.get(0)).optional())?;
        Ok(value.and_then(|value| u64::try_from(value).ok()))
    }

    /// Writes the rows and how far they take the view, all or nothing.
    pub fn write(
        &mut self,
        keys: &Keyring,
        rows: &[Row],
        next_stream: StreamId,
        applied: Lsn,
    ) -> Result<(), CatalogError> {
        let sealed: Vec<_> = rows.iter().map(|row| SealedRow::seal(row, keys)).collect();
        let written = self.connection.transaction().and_then(|transaction| {
            sealed.iter().try_for_each(|row| row.write(&transaction))?;
            set_number(&transaction, "next_stream", next_stream.0)?;
            set_number(&transaction, "applied_lsn", applied.0)?;
            transaction.commit()
        });
        self.sql(written)
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, CatalogError> {
        result.map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> CatalogError {
        CatalogError::View { path: self.path.clone(), source }
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
            RowKey::AccessKey(id) => ("access_key", id.clone()),
            RowKey::Device(username) => ("device", username.clone()),
        };
        let seal = |content: &Command| keys.seal_blob(&context(kind, &id), &content.encode());
        let sealed = row.content.as_ref().map(seal);
        Self { kind, id, sealed }
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

fn set_number(transaction: &Transaction<'_>, name: &str, value: u64) -> rusqlite::Result<()> {
    let value = i64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, i64::MAX))?;
    let query = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
    transaction.execute(query, params![name, value]).map(drop)
}

/// What a row's seal is bound to. No kind has a colon.
fn context(kind: &str, id: &str) -> Vec<u8> {
    format!("catalog:{kind}:{id}").into_bytes()
}
