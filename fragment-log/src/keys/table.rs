//! The key table's stored form.

use std::collections::BTreeMap;

use base::{Entropy, StreamId};
use ring::aead::NONCE_LEN;

use super::wrap::Wrapped;
use super::{MasterKey, Secret};
use crate::LogError;
use crate::format::{FORMAT, Fields, FormatError, TAG_BYTES};

const MAGIC: [u8; 4] = [b'M', b'R', b'K', FORMAT];
/// Everything in front of the wrapped table key.
const HEAD: usize = 20;
const ROW: usize = 44;

/// Data keys by stream and epoch.
pub(super) type DataKeys = BTreeMap<(StreamId, u32), Secret>;

/// What the key table holds.
#[derive(Clone)]
pub(super) struct Table {
    /// Grows with every change, so that the newer of two copies is known.
    pub(super) generation: u64,
    pub(super) keys: DataKeys,
}

/// What can be read of a stored table without the master key.
pub(super) struct SealedTable<'a> {
    pub(super) generation: u64,
    wrapped: Wrapped,
    /// Sealed with the table key.
    rows: &'a [u8],
}

/// Why a stored table does not open.
#[derive(Debug)]
pub(super) enum TableError {
    /// The bytes are damaged.
    Format(FormatError),
    /// The bytes are whole, but the master key does not unwrap them: why, in words.
    Master {
        /// The table's generation.
        generation: u64,
        why: String,
    },
}

impl From<FormatError> for TableError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl Table {
    /// The stored form, sealed with a new table key that `master` wraps.
    ///
    /// # Errors
    /// [`LogError::MasterKey`] where its command fails.
    pub(super) fn seal(&self, master: &MasterKey, entropy: &dyn Entropy) -> Result<Vec<u8>, LogError> {
        let table_key = Secret(entropy.bytes());
        let context = context(self.generation);
        let wrapped = master.wrap.wrap(&table_key, &context, entropy).map_err(LogError::MasterKey)?;
        let mut rows = Vec::with_capacity(self.keys.len() * ROW + TAG_BYTES);
        for ((stream, epoch), secret) in &self.keys {
            rows.extend_from_slice(&stream.0.to_le_bytes());
            rows.extend_from_slice(&epoch.to_le_bytes());
            rows.extend_from_slice(&secret.0);
        }
        // The table key seals these rows and nothing else ever: its nonce can be fixed.
        table_key.seal([0; NONCE_LEN], &context, &mut rows);
        Ok(SealedTable { generation: self.generation, wrapped, rows: &rows }.to_bytes())
    }

    /// Reads the whole file's bytes.
    pub(super) fn open(bytes: &[u8], master: &MasterKey) -> Result<Self, TableError> {
        let SealedTable { generation, wrapped, rows } = SealedTable::parse(bytes)?;
        let context = context(generation);
        let table_key = master.wrap.unwrap(&wrapped, &context);
        let table_key = table_key.map_err(|why| TableError::Master { generation, why })?;
        let mut rows = rows.to_vec();
        let rows = table_key
            .open([0; NONCE_LEN], &context, &mut rows)
            .filter(|rows| rows.len() % ROW == 0)
            .ok_or(FormatError("the key table's rows were changed"))?;
        let keys = rows.chunks_exact(ROW).map(read_row).collect::<Result<_, _>>()?;
        Ok(Self { generation, keys })
    }
}

impl<'a> SealedTable<'a> {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, wrapped) = self.wrapped.to_stored();
        let length = u16::try_from(wrapped.len()).expect("a wrapped key is far below 64 KiB");
        let head = [&[kind, 0], &length.to_le_bytes()[..]].concat();
        let body = [&self.generation.to_le_bytes(), &head[..], wrapped, self.rows].concat();
        [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
    }

    /// Checks the whole file's bytes as far as that goes without the master key.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut fields = Fields::new(bytes);
        if fields.array()? != MAGIC {
            return Err(FormatError("this is no key table of format 1"));
        }
        if fields.u32()? != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError("the key table's checksum is wrong"));
        }
        let generation = fields.u64()?;
        let [kind, zero] = fields.array()?;
        let length = usize::from(u16::from_le_bytes(fields.array()?));
        let after = bytes[HEAD..].split_at_checked(length).filter(|_| zero == 0);
        let (wrapped, rows) = after.ok_or(FormatError("the key table is cut off"))?;
        Ok(Self { generation, wrapped: Wrapped::from_stored(kind, wrapped)?, rows })
    }
}

fn read_row(row: &[u8]) -> Result<((StreamId, u32), Secret), FormatError> {
    let mut fields = Fields::new(row);
    Ok(((StreamId(fields.u64()?), fields.u32()?), Secret(fields.array()?)))
}

/// What both seals authenticate besides their contents.
fn context(generation: u64) -> [u8; 12] {
    let mut context = [0; 12];
    context[..4].copy_from_slice(&MAGIC);
    context[4..].copy_from_slice(&generation.to_le_bytes());
    context
}

#[cfg(test)]
mod tests {
    use base::SystemEntropy;
    use proptest::prelude::*;

    use super::*;

    fn master() -> MasterKey {
        MasterKey::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap()
    }

    fn keys() -> impl Strategy<Value = BTreeMap<(u64, u32), [u8; 32]>> {
        prop::collection::btree_map(any::<(u64, u32)>(), any::<[u8; 32]>(), 0..20)
    }

    proptest! {
        #[test]
        fn tables_round_trip_and_no_flip_passes(
            generation: u64,
            keys in keys(),
            bit: prop::sample::Index,
        ) {
            let keys = keys.into_iter().map(|((stream, epoch), key)| ((StreamId(stream), epoch), Secret(key)));
            let table = Table { generation, keys: keys.collect() };
            let bytes = table.seal(&master(), &SystemEntropy).unwrap();
            let opened = Table::open(&bytes, &master()).unwrap();
            prop_assert!(opened.generation == table.generation && opened.keys == table.keys);
            let mut flipped = bytes.clone();
            let bit = bit.index(bytes.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refused = Table::open(&flipped, &master()).err();
            prop_assert!(matches!(refused, Some(TableError::Format(_))));
        }

        #[test]
        fn wrapped_keys_of_any_length_round_trip(
            wrapped in prop::collection::vec(any::<u8>(), 1..=4096),
            rows in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let wrapped = Wrapped::Command(wrapped);
            let bytes = SealedTable { generation: 7, wrapped: wrapped.clone(), rows: &rows }.to_bytes();
            let parsed = SealedTable::parse(&bytes).unwrap();
            prop_assert_eq!((parsed.generation, parsed.wrapped, parsed.rows), (7, wrapped, &rows[..]));
            // The kind of master key that does not fit it says so, instead of trying.
            let refused = Table::open(&bytes, &master()).err();
            let unfit = matches!(refused, Some(TableError::Master { generation: 7, .. }));
            prop_assert!(unfit);
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let body = [&MAGIC[..], &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat();
            for bytes in [bytes, body] {
                prop_assert!(Table::open(&bytes, &master()).is_err());
            }
        }
    }
}
