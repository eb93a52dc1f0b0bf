//! Keys: the master key wraps a table key, which seals the table of stream data keys. A frame's key
//! is derived from its stream's data key of one epoch and its writer's id.

mod backup;
mod blob;
mod command;
mod master;
mod seal;
mod store;
mod table;
mod wrap;

pub use backup::RestoredKeys;
pub use master::{MasterKey, MasterKeyPlace};
pub(crate) use seal::{OpenError, Opener, Seal, Sealed, is_told};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use base::{Entropy, StreamId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;

use crate::format::{FormatError, FrameHeader, WriterId};
use crate::io::{Io, read_small};
use crate::{Damage, INSTALLATION, LogError};
use store::{Store, copies};
use table::{DataKeys, SealedTable, Table};

/// The epoch of a stream's first data key.
const FIRST_EPOCH: u32 = 1;

/// The keys of one installation, in memory and in the key table.
pub struct Keyring {
    entropy: Arc<dyn Entropy>,
    writer: WriterId,
    /// What is on disk; held while the table is replaced.
    store: Mutex<Store>,
    streams: RwLock<BTreeMap<StreamId, Epochs>>,
    installation: Secret,
}

/// 32 bytes that nobody may see.
#[derive(Clone, PartialEq, Eq)]
struct Secret([u8; 32]);

/// A stream's keys, by epoch; never empty. The newest one seals, each opens what it has sealed.
type Epochs = BTreeMap<u32, StreamKey>;

/// A stream's data key, and the frame keys that were derived from it.
struct StreamKey {
    data: Secret,
    /// Of this writer.
    frame: Arc<LessSafeKey>,
    /// Of the other writer whose frames were opened last: the frames of one start lie together.
    other: Mutex<Option<(WriterId, Arc<LessSafeKey>)>>,
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
        let store = match Store::load(Arc::clone(&io), dir, master.clone())? {
            Some((store, bytes)) => {
                store.repair(&bytes)?;
                store
            }
            None if fresh => {
                let keys = DataKeys::from([((INSTALLATION, FIRST_EPOCH), Secret(entropy.bytes()))]);
                Store::create(io, dir, master, &*entropy, Table { generation: 0, keys })?
            }
            None => return Err(no_table(dir)),
        };
        Self::new(store, entropy, writer)
    }

    /// Loads the key table without touching it, beside a running server.
    pub(crate) fn open_to_read(
        io: Arc<dyn Io>,
        dir: &Path,
        master: MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, LogError> {
        let (store, _) = Store::load(io, dir, master)?.ok_or_else(|| no_table(dir))?;
        let writer = WriterId(entropy.bytes());
        Self::new(store, entropy, writer)
    }

    /// The copies of the key table that fail their checksum.
    pub(crate) fn damages(io: &dyn Io, dir: &Path) -> Result<Vec<Damage>, LogError> {
        let mut damages = Vec::new();
        for path in copies(dir) {
            let Some(bytes) = read_small(io, &path)? else { continue };
            if let Err(FormatError(what)) = SealedTable::parse(&bytes) {
                damages.push(Damage::plain(path, 0..bytes.len() as u64, what));
            }
        }
        Ok(damages)
    }

    fn new(store: Store, entropy: Arc<dyn Entropy>, writer: WriterId) -> Result<Self, LogError> {
        let installation = store.keys().get(&(INSTALLATION, FIRST_EPOCH));
        let installation = installation.cloned().ok_or(LogError::NoKey(INSTALLATION))?;
        let mut streams: BTreeMap<StreamId, Epochs> = BTreeMap::new();
        for (&(stream, epoch), data) in store.keys() {
            let key = StreamKey::new(data.clone(), writer);
            streams.entry(stream).or_default().insert(epoch, key);
        }
        Ok(Self { entropy, writer, store: store.into(), streams: streams.into(), installation })
    }

    /// Makes the stream's data key and makes it durable. A stream that has a key keeps it. Blocks on
    /// the disk.
    pub fn create_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        let mut store = self.store.lock().expect(NOT_POISONED);
        if self.has_stream_key(stream) {
            return Ok(());
        }
        self.add(&mut store, stream, FIRST_EPOCH)
    }

    /// Gives the stream a new data key for what is sealed from now on, makes it durable and returns
    /// its epoch. What older ones have sealed still opens. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::NoKey`]: the stream has no key.
    pub fn rotate_stream_key(&self, stream: StreamId) -> Result<u32, LogError> {
        let mut store = self.store.lock().expect(NOT_POISONED);
        let epoch = self.newest_epoch(stream).ok_or(LogError::NoKey(stream))?;
        let next = epoch.checked_add(1).expect("nobody waits for four billion rotations");
        self.add(&mut store, stream, next)?;
        Ok(next)
    }

    /// Writes the key table anew under a new table key, as every change of it does. Blocks on the disk.
    pub fn rotate_table_key(&self) -> Result<(), LogError> {
        self.store.lock().expect(NOT_POISONED).replace(&*self.entropy, |_| {})
    }

    /// Wraps the key table with another master key, and with no other from then on; returns where that
    /// one is kept. `next` goes into the file that holds the present one, if a file does. Without
    /// `next` a new key is made for that file; a command wraps anew. What is sealed stays as it is.
    ///
    /// At every moment the folder opens with the old key or the new one, and where a file holds it,
    /// with what the file then holds. Where it fails, keep both. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::MasterKey`]: there is no new key, the command fails, or the key's file may hold
    /// either key, in which case the keys stay as they are until the next start.
    pub fn rotate_master_key(&self, next: Option<MasterKey>) -> Result<MasterKeyPlace, LogError> {
        let mut store = self.store.lock().expect(NOT_POISONED);
        let next = store.master().successor(next, &*self.entropy)?;
        let place = next.place();
        store.rotate_master(next, &*self.entropy)?;
        Ok(place)
    }

    /// Destroys the stream's data keys of all epochs: what they sealed can never be opened again. A
    /// stream without a key stays without; the installation's own key cannot be destroyed. Blocks on
    /// the disk.
    pub fn destroy_stream_key(&self, stream: StreamId) -> Result<(), LogError> {
        let mut store = self.store.lock().expect(NOT_POISONED);
        if stream == INSTALLATION || !self.has_stream_key(stream) {
            return Ok(());
        }
        store.replace(&*self.entropy, |keys| keys.retain(|&(owner, _), _| owner != stream))?;
        self.streams.write().expect(NOT_POISONED).remove(&stream);
        Ok(())
    }

    /// Whether the stream has a key.
    pub fn has_stream_key(&self, stream: StreamId) -> bool {
        self.streams.read().expect(NOT_POISONED).contains_key(&stream)
    }

    /// A secret of this installation for one purpose: the same for the same label, for ever.
    pub fn derive(&self, label: &[u8]) -> [u8; 32] {
        self.installation.derive(b"millrace derive 1", label).0
    }

    fn newest_epoch(&self, stream: StreamId) -> Option<u32> {
        let streams = self.streams.read().expect(NOT_POISONED);
        streams.get(&stream)?.last_key_value().map(|(&epoch, _)| epoch)
    }

    /// Makes a data key: durable first, so that nothing is sealed with a key that a crash would take.
    fn add(&self, store: &mut Store, stream: StreamId, epoch: u32) -> Result<(), LogError> {
        let data = Secret(self.entropy.bytes());
        store.replace(&*self.entropy, |keys| {
            keys.insert((stream, epoch), data.clone());
        })?;
        let key = StreamKey::new(data, self.writer);
        self.streams.write().expect(NOT_POISONED).entry(stream).or_default().insert(epoch, key);
        Ok(())
    }

    /// The newest key that this writer seals the stream's frames with, and its epoch.
    fn sealing_key(&self, stream: StreamId) -> Result<(u32, Arc<LessSafeKey>), LogError> {
        let streams = self.streams.read().expect(NOT_POISONED);
        let newest = streams.get(&stream).and_then(|epochs| epochs.last_key_value());
        let (&epoch, key) = newest.ok_or(LogError::NoKey(stream))?;
        Ok((epoch, Arc::clone(&key.frame)))
    }

    /// The key that the frame was sealed with, unless it was destroyed.
    fn opening_key(&self, header: &FrameHeader) -> Option<Arc<LessSafeKey>> {
        let streams = self.streams.read().expect(NOT_POISONED);
        let key = streams.get(&header.stream)?.get(&header.key_epoch)?;
        if header.writer == self.writer {
            return Some(Arc::clone(&key.frame));
        }
        Some(key.of_other(header.writer))
    }
}

const NOT_POISONED: &str = "nothing panics while it holds the keys";

fn no_table(dir: &Path) -> LogError {
    let [first, _] = copies(dir);
    LogError::NoKeyTable(first)
}

impl StreamKey {
    fn new(data: Secret, writer: WriterId) -> Self {
        Self { frame: Arc::new(seal::frame_key(&data, writer)), data, other: Mutex::default() }
    }

    /// The frame key of a writer that is not this one.
    fn of_other(&self, writer: WriterId) -> Arc<LessSafeKey> {
        let mut other = self.other.lock().expect(NOT_POISONED);
        if let Some((known, key)) = &*other
            && *known == writer
        {
            return Arc::clone(key);
        }
        let key = Arc::new(seal::frame_key(&self.data, writer));
        *other = Some((writer, Arc::clone(&key)));
        key
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

    /// AES-256-GCM with this secret as key: encrypts in place and appends the tag.
    fn seal(&self, nonce: [u8; NONCE_LEN], context: &[u8], plain: &mut Vec<u8>) {
        self.aead()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), plain)
            .expect("keys are far below the cipher's limit of 64 GiB");
    }

    /// Undoes [`Self::seal`]; `None` where anything was changed.
    fn open<'a>(&self, nonce: [u8; NONCE_LEN], context: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.aead().open_in_place(nonce, Aad::from(context), sealed).ok().map(|plain| &*plain)
    }

    fn aead(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("AES-256 takes 32 bytes"))
    }
}

#[cfg(test)]
mod tests;
