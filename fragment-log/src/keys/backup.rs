//! The key table's backup: a file with the table as it is, which only the master key opens.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::store::{Store, copies};
use super::table::{DataKeys, SealedTable, Table, TableError};
use super::{Keyring, MasterKey};
use crate::io::{Io, read_small, replace};
use crate::layout::Layout;
use crate::{LogError, Options};

/// What [`Keyring::restore`] has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredKeys {
    /// The backup's generation.
    pub generation: u64,
    /// Keys that the folder has now, one for each stream and epoch.
    pub keys: usize,
    /// Keys that it had and has no more; `None` where its own table did not open.
    pub lost: Option<usize>,
}

impl Keyring {
    /// Writes the key table of the data folder `data` to the file `to`, mode 0600, in place of any
    /// older one, and returns its generation. Needs no master key; works beside a running server.
    ///
    /// # Errors
    /// [`LogError::NoKeyTable`], [`LogError::Corrupt`]: there is no whole table.
    /// [`LogError::MasterKey`]: the master key is being changed.
    pub fn back_up(io: &dyn Io, data: &Path, to: &Path) -> Result<u64, LogError> {
        let layout = Layout::new(data);
        let [first, _] = copies(&layout.keys());
        let (mut whole, mut damaged) = (Vec::new(), None);
        for path in copies(&layout.keys()) {
            let Some(bytes) = read_small(io, &path)? else { continue };
            match SealedTable::parse(&bytes) {
                Ok(table) => whole.push((table.generation, bytes)),
                Err(error) => damaged = Some(LogError::corrupt(&path, 0)(error)),
            }
        }
        if let [(one, first), (two, second)] = &whole[..]
            && one == two
            && first != second
        {
            let why = "the two copies of the key table are wrapped differently, as while the key is changed: \
                       try again; if that stays, start the server once";
            return Err(LogError::MasterKey(why.to_owned()));
        }
        let newest = whole.into_iter().max_by_key(|(generation, _)| *generation);
        let (generation, bytes) = newest.ok_or_else(|| damaged.unwrap_or(LogError::NoKeyTable(first)))?;
        replace(io, to, &bytes)?;
        Ok(generation)
    }

    /// Gives the data folder of `options`, which no process may have open, the key table of the backup
    /// `from`, under the master key of `options` and a new table key.
    ///
    /// # Errors
    /// [`LogError::Locked`]; [`LogError::MasterKey`]: the key does not open the backup;
    /// [`LogError::OlderKeyTable`]: the folder's table is newer, and nothing said to `force` it.
    pub fn restore(options: &Options, from: &Path, force: bool) -> Result<RestoredKeys, LogError> {
        let Options { dir, master, io, entropy, .. } = options;
        let layout = Layout::new(dir);
        let _lock = layout.claim(&**io)?;
        let backup = read_backup(&**io, from, master)?;
        let stored = Stored::read(&**io, &layout, master)?;
        let lost = stored.keys.as_ref().map(|keys| lost(keys, &backup.keys));
        if stored.generation > Some(backup.generation) && !force {
            let stored = stored.generation.unwrap_or_default();
            return Err(LogError::OlderKeyTable { backup: backup.generation, stored, lost });
        }
        let restored = RestoredKeys { generation: backup.generation, keys: backup.keys.len(), lost };
        // Newer than anything in the folder, so that the first copy counts as soon as it is there.
        let generation = backup.generation.max(stored.generation.unwrap_or_default());
        let (io, dir) = (Arc::clone(io), layout.keys());
        Store::create(io, &dir, master.clone(), &**entropy, Table { generation, ..backup })?;
        Ok(restored)
    }
}

fn read_backup(io: &dyn Io, from: &Path, master: &MasterKey) -> Result<Table, LogError> {
    let missing = || LogError::io("read", from)(ErrorKind::NotFound.into());
    let bytes = read_small(io, from)?.ok_or_else(missing)?;
    Table::open(&bytes, master).map_err(|error| match error {
        TableError::Format(error) => LogError::corrupt(from, 0)(error),
        TableError::Master { why, .. } => {
            LogError::MasterKey(format!("{} does not open: {why}", from.display()))
        }
    })
}

/// What the folder holds before.
struct Stored {
    /// Of the newest whole copy.
    generation: Option<u64>,
    /// Of the newest copy that the master key opens.
    keys: Option<DataKeys>,
}

impl Stored {
    fn read(io: &dyn Io, layout: &Layout, master: &MasterKey) -> Result<Self, LogError> {
        let mut found = Self { generation: None, keys: None };
        let mut opened = None;
        for path in copies(&layout.keys()) {
            let Some(bytes) = read_small(io, &path)? else { continue };
            let Ok(SealedTable { generation, .. }) = SealedTable::parse(&bytes) else { continue };
            found.generation = found.generation.max(Some(generation));
            if opened < Some(generation)
                && let Ok(table) = Table::open(&bytes, master)
            {
                opened = Some(generation);
                found.keys = Some(table.keys);
            }
        }
        Ok(found)
    }
}

fn lost(stored: &DataKeys, backup: &DataKeys) -> usize {
    stored.iter().filter(|(name, key)| backup.get(name) != Some(key)).count()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use base::StreamId;

    use super::*;
    use crate::io::DiskIo;
    use crate::{INSTALLATION, Log};

    fn under(dir: &Path, master: &str) -> Options {
        Options::new(dir.join("data"), MasterKey::from_base64(master).unwrap())
    }

    const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const OTHER: &str = "bmV4dC1uZXh0LW5leHQtbmV4dC1uZXh0LW5leHQtbmU=";

    /// A folder whose table was backed up after its first stream and before its second.
    fn backed_up() -> (tempfile::TempDir, Options, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let options = under(dir.path(), MASTER);
        let file = dir.path().join("keys.backup");
        let log = Log::open(options.clone()).unwrap();
        log.keys().create_stream_key(StreamId(1)).unwrap();
        assert_eq!(Keyring::back_up(&DiskIo, &options.dir, &file).unwrap(), 2);
        log.keys().create_stream_key(StreamId(2)).unwrap();
        (dir, options, file)
    }

    fn streams(options: &Options) -> Vec<u64> {
        let log = Log::open(options.clone()).unwrap();
        assert!(log.keys().has_stream_key(INSTALLATION));
        (1..5).filter(|&stream| log.keys().has_stream_key(StreamId(stream))).collect()
    }

    #[test]
    fn a_backup_is_the_table_as_it_is_for_its_owner_only() {
        let (_dir, options, file) = backed_up();
        assert_eq!(Keyring::back_up(&DiskIo, &options.dir, &file).unwrap(), 3);
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes, std::fs::read(options.dir.join("keys/table.0")).unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // One damaged copy is no reason to have no backup; two are.
        for (name, good) in [("keys/table.1", true), ("keys/table.0", false)] {
            std::fs::write(options.dir.join(name), b"damaged").unwrap();
            assert_eq!(Keyring::back_up(&DiskIo, &options.dir, &file).is_ok(), good);
        }
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }

    #[test]
    fn a_lost_table_comes_back() {
        let (_dir, options, file) = backed_up();
        let newest = std::fs::read(options.dir.join("keys/table.0")).unwrap();
        std::fs::write(&file, newest).unwrap();
        for damage in [None, Some(&b"damaged"[..])] {
            for name in ["keys/table.0", "keys/table.1"] {
                let path = options.dir.join(name);
                match damage {
                    Some(bytes) => std::fs::write(path, bytes).unwrap(),
                    None => std::fs::remove_file(path).unwrap(),
                }
            }
            let restored = Keyring::restore(&options, &file, false).unwrap();
            assert_eq!(restored, RestoredKeys { generation: 3, keys: 3, lost: None });
            assert_eq!(streams(&options), [1, 2]);
        }
    }

    #[test]
    fn an_older_table_comes_back_only_by_force_and_then_stays() {
        let (_dir, options, file) = backed_up();
        let refused = Keyring::restore(&options, &file, false).unwrap_err();
        let LogError::OlderKeyTable { backup: 2, stored: 3, lost: Some(1) } = refused else {
            panic!("{refused}")
        };
        assert!(refused.to_string().contains("1 keys made since would be lost"), "{refused}");
        assert_eq!(streams(&options), [1, 2]);
        let restored = Keyring::restore(&options, &file, true).unwrap();
        assert_eq!(restored, RestoredKeys { generation: 2, keys: 2, lost: Some(1) });
        assert_eq!(streams(&options), [1]);
        // Its generation is the highest, or an old copy could win over it.
        assert!(Keyring::back_up(&DiskIo, &options.dir, &file).unwrap() > 3);
    }

    #[test]
    fn a_wrong_key_a_running_log_and_other_files_are_refused() {
        let (dir, options, file) = backed_up();
        let other = under(dir.path(), OTHER);
        let refused = Keyring::restore(&other, &file, true).unwrap_err().to_string();
        assert!(refused.contains("master key") && refused.contains("keys.backup"), "{refused}");
        let log = Log::open(options.clone()).unwrap();
        assert!(matches!(Keyring::restore(&options, &file, true), Err(LogError::Locked(_))));
        drop(log);
        std::fs::write(&file, b"something else").unwrap();
        assert!(matches!(Keyring::restore(&options, &file, true), Err(LogError::Corrupt { .. })));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(Keyring::restore(&options, &file, true), Err(LogError::Io { .. })));
        assert_eq!(streams(&options), [1, 2]);
    }

    #[test]
    fn no_backup_is_made_while_the_master_key_changes() {
        let (dir, options, file) = backed_up();
        let second = options.dir.join("keys/table.1");
        let old = std::fs::read(&second).unwrap();
        let log = Log::open(options.clone()).unwrap();
        log.keys().rotate_master_key(MasterKey::from_base64(OTHER)).unwrap();
        drop(log);
        std::fs::write(&second, old).unwrap();
        let refused = Keyring::back_up(&DiskIo, &options.dir, &file).unwrap_err().to_string();
        assert!(refused.contains("master key") && refused.contains("try again"), "{refused}");
        assert_eq!(streams(&under(dir.path(), OTHER)), [1, 2]);
        Keyring::back_up(&DiskIo, &options.dir, &file).unwrap();
    }
}
