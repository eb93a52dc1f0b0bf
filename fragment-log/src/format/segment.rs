//! The segment header: the first block of a segment file.

use base::Timestamp;

use super::{BLOCK, FORMAT, Fields, FormatError, Lsn};
use crate::LaneId;

const MAGIC: [u8; 4] = [b'M', b'R', b'S', FORMAT];
const USED: usize = 64;

/// 16 random bytes that every batch of a segment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentUuid(pub [u8; 16]);

/// What a segment is. On disk, with its name, before its first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its lane.
    pub lane: LaneId,
    /// Its own random id.
    pub uuid: SegmentUuid,
    /// Its number, which is also its name.
    pub number: u64,
    /// The first place in the lane's order that it may hold.
    pub first: Lsn,
    /// Everything up to here was on disk, in older segments, when it was begun.
    pub durable: Lsn,
    /// When it was begun.
    pub created: Timestamp,
}

impl SegmentHeader {
    /// The stored form: one block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[self.lane.code(), 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&self.uuid.0);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.durable.0.to_le_bytes());
        bytes.extend_from_slice(&self.created.millis().to_le_bytes());
        bytes.resize(BLOCK as usize, 0);
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a segment's first block.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let block = bytes.get(..BLOCK as usize).ok_or(FormatError("the segment header is cut off"))?;
        let mut fields = Fields::new(&block[..USED]);
        if fields.array()? != MAGIC {
            return Err(FormatError("no segment of format 1 begins here"));
        }
        if fields.u32()? != crc32c::crc32c(&block[8..]) {
            return Err(FormatError("the segment header's checksum is wrong"));
        }
        let [lane, ..] = fields.array::<8>()?;
        Ok(Self {
            lane: LaneId::from_code(lane).ok_or(FormatError("the segment names no lane"))?,
            uuid: SegmentUuid(fields.array()?),
            number: fields.u64()?,
            first: Lsn(fields.u64()?),
            durable: Lsn(fields.u64()?),
            created: Timestamp::from_millis(fields.i64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_round_trip_and_no_flip_passes(
            lane in 0usize..11, uuid: [u8; 16], numbers: [u64; 3], created in 0..1i64 << 45,
            bit in 0..BLOCK as usize * 8,
        ) {
            let header = SegmentHeader {
                lane: LaneId::all().nth(lane).expect("there are eleven lanes"),
                uuid: SegmentUuid(uuid),
                number: numbers[0],
                first: Lsn(numbers[1]),
                durable: Lsn(numbers[2]),
                created: Timestamp::from_millis(created),
            };
            let mut bytes = header.to_bytes();
            prop_assert_eq!(SegmentHeader::parse(&bytes), Ok(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SegmentHeader::parse(&bytes).is_err());
        }
    }
}
