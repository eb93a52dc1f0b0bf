//! How far the sequences of shards had come whose frames have all gone.

use std::collections::BTreeMap;

use base::StreamId;

use super::{FORMAT, Fields, FormatError};

const MAGIC: [u8; 4] = [b'M', b'R', b'Q', FORMAT];
const HEAD: usize = 8;
const ROW: usize = 20;

/// The greatest sequence numbers that removed segments held, and that no newer frame of their lane exceeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceNote {
    /// The number by stream and shard.
    pub last: BTreeMap<(StreamId, u32), u64>,
}

impl SequenceNote {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.last.len() * ROW);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        for ((stream, shard), last) in &self.last {
            bytes.extend_from_slice(&stream.0.to_le_bytes());
            bytes.extend_from_slice(&shard.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[HEAD..]);
        bytes[4..HEAD].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads all of a note's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let rows = bytes
            .len()
            .checked_sub(HEAD)
            .filter(|len| len % ROW == 0)
            .ok_or(FormatError("the length of a note of sequences is wrong"))?;
        let mut fields = Fields::new(bytes);
        if fields.array()? != MAGIC {
            return Err(FormatError("this is no note of sequences of format 1"));
        }
        if fields.u32()? != crc32c::crc32c(&bytes[HEAD..]) {
            return Err(FormatError("the checksum of a note of sequences is wrong"));
        }
        let row = |_| Ok(((StreamId(fields.u64()?), fields.u32()?), fields.u64()?));
        let last = (0..rows / ROW).map(row).collect::<Result<_, FormatError>>()?;
        Ok(Self { last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn notes_round_trip_and_no_flip_passes(
            last in prop::collection::btree_map((any::<u64>(), any::<u32>()), any::<u64>(), 0..20),
            bit: prop::sample::Index,
        ) {
            let last = last.into_iter().map(|((stream, shard), last)| ((StreamId(stream), shard), last));
            let note = SequenceNote { last: last.collect() };
            let mut bytes = note.to_bytes();
            prop_assert_eq!(SequenceNote::parse(&bytes), Ok(note));
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SequenceNote::parse(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = SequenceNote::parse(&bytes);
        }
    }
}
