//! The two copies of the key table, and what is in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Entropy;

use super::MasterKey;
use super::table::{DataKeys, Table, TableError};
use crate::LogError;
use crate::io::{Io, read_small, replace};

/// The key table on disk, under its master key.
pub(super) struct Store {
    io: Arc<dyn Io>,
    copies: [PathBuf; 2],
    master: MasterKey,
    /// What both copies hold.
    table: Table,
}

impl Store {
    /// The newest copy in the folder `dir` that `master` opens, and its bytes; `None` where there is
    /// no copy at all. Changes nothing.
    pub(super) fn load(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
    ) -> Result<Option<(Self, Vec<u8>)>, LogError> {
        let copies = copies(dir);
        let mut tables = Vec::new();
        let mut damaged = None;
        for path in &copies {
            let Some(bytes) = read_small(&*io, path)? else { continue };
            match Table::open(&bytes, &master) {
                Ok(table) => tables.push((table, bytes)),
                Err(TableError::Format(error)) => damaged = Some(LogError::corrupt(path, 0)(error)),
                Err(TableError::WrongMaster) => {
                    let table = path.display();
                    let what = format!("this is not the master key that {table} was wrapped with");
                    return Err(LogError::MasterKey(what));
                }
            }
        }
        match tables.into_iter().max_by_key(|(table, _)| table.generation) {
            Some((table, bytes)) => Ok(Some((Self { io, copies, master, table }, bytes))),
            None => damaged.map_or(Ok(None), Err),
        }
    }

    /// Makes the first table, with these keys.
    pub(super) fn create(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
        entropy: &dyn Entropy,
        keys: DataKeys,
    ) -> Result<Self, LogError> {
        let mut store = Self { io, copies: copies(dir), master, table: Table::default() };
        store.replace(entropy, |table| *table = keys)?;
        Ok(store)
    }

    /// All data keys, by stream and epoch.
    pub(super) fn keys(&self) -> &DataKeys {
        &self.table.keys
    }

    /// Makes both copies `bytes`, which [`Self::load`] has found.
    pub(super) fn repair(&self, bytes: &[u8]) -> Result<(), LogError> {
        for path in &self.copies {
            if read_small(&*self.io, path)?.as_deref() != Some(bytes) {
                tracing::warn!(file = %path.display(), "a copy of the key table was old or damaged: replaced");
                replace(&*self.io, path, bytes)?;
            }
        }
        Ok(())
    }

    /// Replaces both copies by what `change` makes of the keys, under a new table key, which makes
    /// older copies useless without the master key. Where it fails, the keys stay as they are.
    pub(super) fn replace(
        &mut self,
        entropy: &dyn Entropy,
        change: impl FnOnce(&mut DataKeys),
    ) -> Result<(), LogError> {
        // Also an attempt that fails may reach the disk: no two tables have one generation.
        self.table.generation += 1;
        let mut next = self.table.clone();
        change(&mut next.keys);
        let bytes = next.seal(&self.master, entropy);
        self.copies.iter().try_for_each(|path| replace(&*self.io, path, &bytes))?;
        self.table = next;
        Ok(())
    }
}

/// Where the copies are in the folder `dir`.
pub(super) fn copies(dir: &Path) -> [PathBuf; 2] {
    ["table.0", "table.1"].map(|name| dir.join(name))
}
