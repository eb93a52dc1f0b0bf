//! The superblock: who writes now. Written at every start, before the first write to the log.

use base::Timestamp;

use super::{FORMAT, Fields, FormatError, WriterId};

const MAGIC: [u8; 4] = [b'M', b'R', b'W', FORMAT];
const BYTES: usize = 40;

/// The running process's id, made durable before it seals anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How many times the folder was opened.
    pub starts: u64,
    /// The id that this start seals with.
    pub writer: WriterId,
    /// When it started.
    pub started: Timestamp,
}

impl Superblock {
    /// The stored form.
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.starts.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.writer.0);
        bytes[32..].copy_from_slice(&self.started.millis().to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks all bytes of a place: a superblock and zeros.
    pub(crate) fn check(place: &[u8]) -> Result<(), FormatError> {
        Self::parse(place)?;
        if place[BYTES..].iter().any(|&byte| byte != 0) {
            return Err(FormatError("the superblock is followed by something else"));
        }
        Ok(())
    }

    /// Reads the superblock at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes: &[u8; BYTES] = bytes.first_chunk().ok_or(FormatError("the superblock is cut off"))?;
        if bytes[..4] != MAGIC {
            return Err(FormatError("this is no superblock of format 1"));
        }
        let mut fields = Fields::new(&bytes[4..]);
        if fields.u32()? != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError("the superblock's checksum is wrong"));
        }
        Ok(Self {
            starts: fields.u64()?,
            writer: WriterId(fields.array()?),
            started: Timestamp::from_millis(fields.i64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn superblocks_round_trip_and_no_flip_passes(
            starts: u64, writer: [u8; 16], started in 0..1i64 << 45, bit in 0..BYTES * 8,
        ) {
            let started = Timestamp::from_millis(started);
            let block = Superblock { starts, writer: WriterId(writer), started };
            let mut bytes = block.to_bytes();
            prop_assert_eq!(Superblock::parse(&bytes), Ok(block));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Superblock::parse(&bytes).is_err());
        }
    }
}
