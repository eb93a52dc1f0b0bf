//! The note beside a segment that tells which of its frames were given back.

use std::collections::BTreeMap;

use super::{FORMAT, Fields, FormatError};
use crate::LaneId;

const MAGIC: [u8; 4] = [b'M', b'R', b'X', FORMAT];
const HEAD: usize = 24;
const ROW: usize = 12;

/// The frames of one segment whose space was given back: on disk before their bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedNote {
    /// The segment's lane.
    pub lane: LaneId,
    /// Its number.
    pub segment: u64,
    /// The length in bytes of each freed frame, by its first byte in the segment's file.
    pub frames: BTreeMap<u64, u32>,
}

impl FreedNote {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.frames.len() * ROW);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[self.lane.code(), 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        for (offset, len) in &self.frames {
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads all of a note's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let rows = bytes
            .len()
            .checked_sub(HEAD)
            .filter(|len| len % ROW == 0)
            .ok_or(FormatError("the length of a note of freed frames is wrong"))?;
        let mut fields = Fields::new(bytes);
        if fields.array()? != MAGIC {
            return Err(FormatError("this is no note of freed frames of format 1"));
        }
        if fields.u32()? != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError("the checksum of a note of freed frames is wrong"));
        }
        let [lane, ..] = fields.array::<8>()?;
        let lane = LaneId::from_code(lane).ok_or(FormatError("a note of freed frames names no lane"))?;
        let segment = fields.u64()?;
        let frames = (0..rows / ROW)
            .map(|_| Ok((fields.u64()?, fields.u32()?)))
            .collect::<Result<_, FormatError>>()?;
        Ok(Self { lane, segment, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn notes_round_trip_and_no_flip_passes(
            segment: u64, frames in prop::collection::btree_map(any::<u64>(), any::<u32>(), 0..20),
            bit: prop::sample::Index,
        ) {
            let note = FreedNote { lane: LaneId::Control, segment, frames };
            let mut bytes = note.to_bytes();
            prop_assert_eq!(FreedNote::parse(&bytes), Ok(note));
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FreedNote::parse(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = FreedNote::parse(&bytes);
        }
    }
}
