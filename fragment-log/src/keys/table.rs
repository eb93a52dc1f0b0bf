//! The key table's stored form.

use std::collections::BTreeMap;

use base::{Entropy, StreamId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{MasterKey, Secret};
use crate::format::{FORMAT, Fields, FormatError, TAG_BYTES};

const MAGIC: [u8; 4] = [b'M', b'R', b'K', FORMAT];
/// The wrapped table key: 32 bytes and the tag.
const WRAPPED: usize = 32 + TAG_BYTES;
/// Everything in front of the sealed rows.
const HEAD: usize = 16 + NONCE_LEN + WRAPPED;
const ROW: usize = 44;

/// Data keys by stream and epoch.
pub(super) type DataKeys = BTreeMap<(StreamId, u32), Secret>;

/// What the key table holds.
#[derive(Clone, Default)]
pub(super) struct Table {
    /// Grows with every replacement, so that the newer of two copies is known.
    pub(super) generation: u64,
    pub(super) keys: DataKeys,
}

/// Why a stored table does not open.
#[derive(Debug)]
pub(super) enum TableError {
    /// The bytes are damaged.
    Format(FormatError),
    /// The bytes are whole, but another master key wrapped them.
    WrongMaster,
}

impl From<FormatError> for TableError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl Table {
    /// The stored form, sealed with a new table key that `master` wraps.
    pub(super) fn seal(&self, master: &MasterKey, entropy: &dyn Entropy) -> Vec<u8> {
        let table_key: [u8; 32] = entropy.bytes();
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let aad = associated(self.generation);
        let mut wrapped = table_key.to_vec();
        seal(master.bytes(), nonce, aad, &mut wrapped);
        let mut rows = Vec::with_capacity(self.keys.len() * ROW + TAG_BYTES);
        for ((stream, epoch), secret) in &self.keys {
            rows.extend_from_slice(&stream.0.to_le_bytes());
            rows.extend_from_slice(&epoch.to_le_bytes());
            rows.extend_from_slice(&secret.0);
        }
        // The table key seals these rows and nothing else ever: its nonce can be fixed.
        seal(&table_key, [0; NONCE_LEN], aad, &mut rows);
        let body = [&self.generation.to_le_bytes(), &nonce[..], &wrapped, &rows].concat();
        [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
    }

    /// Checks the whole file's bytes as far as that goes without the master key.
    pub(super) fn check(bytes: &[u8]) -> Result<(), FormatError> {
        let mut fields = Fields::new(bytes);
        if fields.array()? != MAGIC {
            return Err(FormatError("this is no key table of format 0"));
        }
        if fields.u32()? != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError("the key table's checksum is wrong"));
        }
        Ok(())
    }

    /// Reads the whole file's bytes.
    pub(super) fn open(bytes: &[u8], master: &MasterKey) -> Result<Self, TableError> {
        Self::check(bytes)?;
        let (head, rows) = bytes.split_at_checked(HEAD).ok_or(FormatError("the key table is cut off"))?;
        let mut fields = Fields::new(&head[8..]);
        let generation = fields.u64()?;
        let nonce = fields.array()?;
        let mut wrapped = fields.array::<WRAPPED>()?;
        let aad = associated(generation);
        let table_key = open(master.bytes(), nonce, aad, &mut wrapped)
            .and_then(|plain| <[u8; 32]>::try_from(plain).ok())
            .ok_or(TableError::WrongMaster)?;
        let mut rows = rows.to_vec();
        let rows = open(&table_key, [0; NONCE_LEN], aad, &mut rows)
            .filter(|rows| rows.len() % ROW == 0)
            .ok_or(FormatError("the key table's rows were changed"))?;
        let keys = rows.chunks_exact(ROW).map(read_row).collect::<Result<_, _>>()?;
        Ok(Self { generation, keys })
    }
}

fn read_row(row: &[u8]) -> Result<((StreamId, u32), Secret), FormatError> {
    let mut fields = Fields::new(row);
    Ok(((StreamId(fields.u64()?), fields.u32()?), Secret(fields.array()?)))
}

fn associated(generation: u64) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..4].copy_from_slice(&MAGIC);
    aad[4..].copy_from_slice(&generation.to_le_bytes());
    aad
}

fn key(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes"))
}

fn seal(with: &[u8; 32], nonce: [u8; NONCE_LEN], aad: [u8; 12], plain: &mut Vec<u8>) {
    key(with)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), plain)
        .expect("the table is far below the cipher's limit of 64 GiB");
}

fn open<'a>(
    with: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    aad: [u8; 12],
    sealed: &'a mut [u8],
) -> Option<&'a [u8]> {
    let plain = key(with).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed);
    plain.ok().map(|plain| &*plain)
}
