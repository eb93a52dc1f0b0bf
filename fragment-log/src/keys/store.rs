//! The two copies of the key table, and what is in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Entropy;

use super::MasterKey;
use super::table::{DataKeys, Table, TableError};
use crate::LogError;
use crate::io::{Io, publish, read_small, replace, stage, unstage};

/// The key table on disk, under its master key.
pub(super) struct Store {
    io: Arc<dyn Io>,
    copies: [PathBuf; 2],
    master: MasterKey,
    /// What both copies hold.
    table: Table,
    /// The master key's file, where a failing disk has left open which key it holds.
    undecided: Option<PathBuf>,
}

impl Store {
    /// The newest copy in the folder `dir` that `master` opens, and its bytes; `None` where there is
    /// no copy at all. Changes nothing.
    ///
    /// # Errors
    /// [`LogError::MasterKey`]: `master` opens no copy, or only one that is older than another.
    /// [`LogError::Corrupt`]: all copies are damaged.
    pub(super) fn load(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
    ) -> Result<Option<(Self, Vec<u8>)>, LogError> {
        let copies = copies(dir);
        let mut found: Vec<(&Path, Vec<u8>)> = Vec::new();
        for path in &copies {
            match read_small(&*io, path)? {
                // A command that unwraps takes its time: equal copies are opened once.
                Some(bytes) if found.iter().all(|(_, same)| *same != bytes) => found.push((path, bytes)),
                Some(_) | None => {}
            }
        }
        let mut tables: Vec<(Table, Vec<u8>)> = Vec::new();
        let (mut damaged, mut refused) = (None, None::<(u64, LogError)>);
        for (path, bytes) in found {
            match Table::open(&bytes, &master) {
                Ok(table) => tables.push((table, bytes)),
                Err(TableError::Format(error)) => damaged = Some(LogError::corrupt(path, 0)(error)),
                Err(TableError::Master { generation, why }) => {
                    let why = LogError::MasterKey(format!("{} does not open: {why}", path.display()));
                    if refused.as_ref().is_none_or(|(newest, _)| generation > *newest) {
                        refused = Some((generation, why));
                    }
                }
            }
        }
        match (tables.into_iter().max_by_key(|(table, _)| table.generation), refused, damaged) {
            // A change of the master key writes the same generation again: if it was cut short, each
            // key opens a copy. A newer one holds keys that only another master key opens.
            (Some((table, _)), Some((generation, why)), _) if generation > table.generation => Err(why),
            (Some((table, bytes)), ..) => {
                Ok(Some((Self { io, copies, master, table, undecided: None }, bytes)))
            }
            (None, Some((_, why)), _) => Err(why),
            (None, None, damaged) => damaged.map_or(Ok(None), Err),
        }
    }

    /// Makes a table of the next generation, with these keys, whatever is there.
    pub(super) fn create(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
        entropy: &dyn Entropy,
        table: Table,
    ) -> Result<Self, LogError> {
        let mut store = Self { io, copies: copies(dir), master, table, undecided: None };
        store.replace(entropy, |_| {})?;
        Ok(store)
    }

    /// All data keys, by stream and epoch.
    pub(super) fn keys(&self) -> &DataKeys {
        &self.table.keys
    }

    /// What wraps the table.
    pub(super) fn master(&self) -> &MasterKey {
        &self.master
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
        self.check_decided()?;
        // Also an attempt that fails may reach the disk: no two tables have one generation.
        self.table.generation += 1;
        let mut next = self.table.clone();
        change(&mut next.keys);
        let bytes = next.seal(&self.master, entropy)?;
        self.copies.iter().try_for_each(|path| replace(&*self.io, path, &bytes))?;
        self.table = next;
        Ok(())
    }

    /// Replaces both copies by the same keys under `next`.
    pub(super) fn rotate_master(&mut self, next: MasterKey, entropy: &dyn Entropy) -> Result<(), LogError> {
        self.check_decided()?;
        let bytes = self.table.seal(&next, entropy)?;
        match next.file().map(|(file, text)| (file.to_owned(), text)) {
            Some((file, text)) => self.rotate_file(next, entropy, &bytes, (&file, &text)),
            None => self.rotate_given(next, entropy, &bytes),
        }
    }

    /// The new key goes into the file of the old one. The steps, each durable before the next: the
    /// new key beside the file, the first copy, the file, the second copy. A crash between any two
    /// leaves a file whose key opens one of the copies; the next start makes the other like it.
    fn rotate_file(
        &mut self,
        next: MasterKey,
        entropy: &dyn Entropy,
        table: &[u8],
        (file, text): (&Path, &str),
    ) -> Result<(), LogError> {
        let prepared = stage(&*self.io, file, text.as_bytes());
        if let Err(error) = prepared.and_then(|()| replace(&*self.io, &self.copies[0], table)) {
            unstage(&*self.io, file);
            self.undo(entropy);
            return Err(error);
        }
        if let Err(error) = publish(&*self.io, file) {
            self.undecided = Some(file.to_owned());
            return Err(error);
        }
        self.master = next;
        replace(&*self.io, &self.copies[1], table)
    }

    /// Only the caller knows which key the next start gets: the old one, where this fails.
    fn rotate_given(&mut self, next: MasterKey, entropy: &dyn Entropy, table: &[u8]) -> Result<(), LogError> {
        if let Err(error) = self.copies.iter().try_for_each(|path| replace(&*self.io, path, table)) {
            self.undo(entropy);
            return Err(error);
        }
        self.master = next;
        Ok(())
    }

    /// Writes both copies under the old master key again. Where that fails too, the next change does.
    fn undo(&mut self, entropy: &dyn Entropy) {
        if let Err(error) = self.replace(entropy, |_| {}) {
            tracing::warn!(%error, "a copy of the key table may be wrapped with the new master key");
        }
    }

    fn check_decided(&self) -> Result<(), LogError> {
        let Some(file) = &self.undecided else { return Ok(()) };
        let file = file.display();
        Err(LogError::MasterKey(format!(
            "{file} may hold the old key or the new one, since its folder could not be synced: restart to see"
        )))
    }
}

/// Where the copies are in the folder `dir`.
pub(super) fn copies(dir: &Path) -> [PathBuf; 2] {
    ["table.0", "table.1"].map(|name| dir.join(name))
}
