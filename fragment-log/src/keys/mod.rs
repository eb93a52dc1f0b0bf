//! Keys: the master key wraps a table key, which seals the table of stream data keys. A frame's key
//! is derived from its stream's data key and its writer's id.

mod blob;
mod master;
mod seal;
mod table;

pub use master::MasterKey;
pub(crate) use seal::{OpenError, Seal, Sealed};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use base::{Entropy, StreamId};
use ring::aead::LessSafeKey;
use ring::hkdf;

use crate::format::{FormatError, FrameHeader, WriterId};
use crate::io::{Io, read_small, replace};
use crate::{Damage, INSTALLATION, LogError};
use table::{Table, TableError};

/// The epoch of a stream's first data key.
const FIRST_EPOCH: u32 = 1;

/// The keys of one installation, in memory and in the key table.
pub struct Keyring {
    store: Store,
    entropy: Arc<dyn Entropy>,
    writer: WriterId,
    /// What is on disk; held while the table is replaced.
    table: Mutex<Table>,
    streams: RwLock<BTreeMap<StreamId, StreamKey>>,
    installation: Secret,
}

/// 32 bytes that nobody may see.
#[derive(Clone, PartialEq, Eq)]
struct Secret([u8; 32]);

/// The two copies of the key table, and what wraps them.
struct Store {
    io: Arc<dyn Io>,
    master: MasterKey,
    copies: [PathBuf; 2],
}

/// A stream's data key, and the frame key that this writer has derived from it.
#[derive(Clone)]
struct StreamKey {
    data: Secret,
    frame: Arc<LessSafeKey>,
}

impl Keyring {
    /// Loads the key table of the folder `dir`, or makes the first one where `fresh` says that
    /// nothing was sealed yet. Both copies are good afterwards.
    pub(crate) fn open(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
        entropy: Arc<dyn Entropy>,
        writer: WriterId,
        fresh: bool,
    ) -> Result<Self, LogError> {
        let store = Store::new(io, dir, master);
        let table = match store.load()? {
            Some((table, bytes)) => {
                store.repair(&bytes)?;
                table
            }
            None if fresh => {
                let mut table = Table::default();
                table.keys.insert(INSTALLATION, Secret(entropy.bytes()));
                store.replace(&mut table, &*entropy)?;
                table
            }
            None => return Err(LogError::NoKeyTable(store.copies[0].clone())),
        };
        Self::new(store, table, entropy, writer)
    }

    /// Loads the key table without touching it, beside a running server.
    pub(crate) fn open_to_read(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, LogError> {
        let store = Store::new(io, dir, master);
        let (table, _) = store.load()?.ok_or_else(|| LogError::NoKeyTable(store.copies[0].clone()))?;
        let writer = WriterId(entropy.bytes());
        Self::new(store, table, entropy, writer)
    }

    /// The copies of the key table that fail their checksum.
    pub(crate) fn damages(io: &dyn Io, dir: &Path) -> Result<Vec<Damage>, LogError> {
        let mut damages = Vec::new();
        for path in ["table.0", "table.1"].map(|name| dir.join(name)) {
            let Some(bytes) = read_small(io, &path)? else { continue };
            if let Err(FormatError(what)) = Table::check(&bytes) {
                damages.push(Damage::plain(path, 0..bytes.len() as u64, what));
            }
        }
        Ok(damages)
    }

    fn new(
        store: Store,
        table: Table,
        entropy: Arc<dyn Entropy>,
        writer: WriterId,
    ) -> Result<Self, LogError> {
        let key = |(&stream, data): (&StreamId, &Secret)| (stream, StreamKey::new(data.clone(), writer));
        let streams = RwLock::new(table.keys.iter().map(key).collect());
        let installation = table.keys.get(&INSTALLATION).cloned().ok_or(LogError::NoKey(INSTALLATION))?;
        Ok(Self { store, entropy, writer, table: table.into(), streams, installation })
    }

    /// Makes the stream's data key and makes it durable. A stream that has a key keeps it. Blocks on
    /// the disk.
    pub fn create_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        let mut table = self.table.lock().expect(NOT_POISONED);
        if table.keys.contains_key(&stream) {
            return Ok(());
        }
        let data = Secret(self.entropy.bytes());
        let mut next = table.clone();
        next.keys.insert(stream, data.clone());
        self.store.replace(&mut next, &*self.entropy)?;
        *table = next;
        let key = StreamKey::new(data, self.writer);
        self.streams.write().expect(NOT_POISONED).insert(stream, key);
        Ok(())
    }

    /// Destroys the stream's data key: what it sealed can never be opened again. A stream without a
    /// key stays without; the installation's own key cannot be destroyed. Blocks on the disk.
    pub fn destroy_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        let mut table = self.table.lock().expect(NOT_POISONED);
        if stream == INSTALLATION || !table.keys.contains_key(&stream) {
            return Ok(());
        }
        let mut next = table.clone();
        next.keys.remove(&stream);
        self.store.replace(&mut next, &*self.entropy)?;
        *table = next;
        self.streams.write().expect(NOT_POISONED).remove(&stream);
        Ok(())
    }

    /// Whether the stream has a key.
    pub fn has_stream_key(&self, stream: StreamId) -> bool {
        self.streams.read().expect(NOT_POISONED).contains_key(&stream)
    }

    /// A secret of this installation for one purpose: the same for the same label, for ever.
    pub fn derive(&self, label: &[u8]) -> [u8; 32] {
        self.installation.derive(b"millrace derive 0", label).0
    }

    /// The key that this writer seals the stream's frames with, and its epoch.
    fn sealing_key(&self, stream: StreamId) -> Result<(u32, Arc<LessSafeKey>), LogError> {
        let streams = self.streams.read().expect(NOT_POISONED);
        let key = streams.get(&stream).ok_or(LogError::NoKey(stream))?;
        Ok((FIRST_EPOCH, Arc::clone(&key.frame)))
    }

    /// The key that the frame was sealed with, unless it was destroyed.
    fn opening_key(&self, header: &FrameHeader) -> Option<Arc<LessSafeKey>> {
        let streams = self.streams.read().expect(NOT_POISONED);
        let key = streams.get(&header.stream).filter(|_| header.key_epoch == FIRST_EPOCH)?;
        if header.writer == self.writer {
            return Some(Arc::clone(&key.frame));
        }
        Some(Arc::new(seal::frame_key(&key.data, header.writer)))
    }
}

const NOT_POISONED: &str = "nothing panics while it holds the keys";

impl StreamKey {
    fn new(data: Secret, writer: WriterId) -> Self {
        Self { frame: Arc::new(seal::frame_key(&data, writer)), data }
    }
}

impl Secret {
    /// HKDF-SHA256 (RFC 5869) with this secret as key material.
    fn derive(&self, salt: &[u8], info: &[u8]) -> Self {
        let mut derived = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(&self.0)
            .expand(&[info], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived))
            .expect("32 bytes are one block of SHA-256");
        Self(derived)
    }
}

impl Store {
    fn new(io: Arc<dyn Io>, dir: &Path, master: MasterKey) -> Self {
        Self { io, master, copies: ["table.0", "table.1"].map(|name| dir.join(name)) }
    }

    /// The newest readable copy and its bytes.
    fn load(&self) -> Result<Option<(Table, Vec<u8>)>, LogError> {
        let mut tables = Vec::new();
        let mut damaged = None;
        for path in &self.copies {
            let Some(bytes) = read_small(&*self.io, path)? else { continue };
            match Table::open(&bytes, &self.master) {
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
            Some(newest) => Ok(Some(newest)),
            None => damaged.map_or(Ok(None), Err),
        }
    }

    /// Makes both copies `bytes`.
    fn repair(&self, bytes: &[u8]) -> Result<(), LogError> {
        for path in &self.copies {
            if read_small(&*self.io, path)?.as_deref() != Some(bytes) {
                tracing::warn!(file = %path.display(), "a copy of the key table was old or damaged: replaced");
                replace(&*self.io, path, bytes)?;
            }
        }
        Ok(())
    }

    /// Replaces both copies by `table` under a new table key, which makes older copies useless
    /// without the master key.
    fn replace(&self, table: &mut Table, entropy: &dyn Entropy) -> Result<(), LogError> {
        table.generation += 1;
        let bytes = table.seal(&self.master, entropy);
        self.copies.iter().try_for_each(|path| replace(&*self.io, path, &bytes))
    }
}

#[cfg(test)]
mod tests;
