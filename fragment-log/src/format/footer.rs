//! The footer of a sealed segment: every frame's header and place, so that an index is rebuilt and a
//! log opened without touching a payload.

use base::Timestamp;

use super::{FORMAT, FRAME_HEADER_BYTES, Fields, FormatError, FrameHeader, Lsn, SegmentHeader, SegmentUuid};
use crate::LaneId;

const MAGIC: [u8; 4] = [b'M', b'R', b'F', FORMAT];
const HEAD: usize = 72;
const ROW: usize = 16 + FRAME_HEADER_BYTES;
/// Bytes at the very end of the file that tell where the footer begins.
pub(crate) const TRAILER_BYTES: usize = 16;

/// One frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterRow {
    /// Its place in the lane's order.
    pub lsn: Lsn,
    /// Its first byte in the segment's file.
    pub offset: u64,
    /// Its clear part.
    pub header: FrameHeader,
}

/// The end of a sealed segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The segment's header again, which thereby survives damage to the first block.
    pub segment: SegmentHeader,
    /// The place after the segment's last frame, and after any that a crash may have cost it.
    pub next: Lsn,
    /// Its frames, in order.
    pub rows: Vec<FooterRow>,
}

/// Where the footer is, from the last [`TRAILER_BYTES`] of a file of `size` bytes.
pub(crate) fn footer_range(trailer: &[u8], size: u64) -> Option<(u64, usize)> {
    let (offset, rest) = trailer.split_first_chunk::<8>()?;
    let offset = u64::from_le_bytes(*offset);
    let len = usize::try_from(size.checked_sub(offset)?).ok()?;
    (rest.ends_with(&MAGIC) && len >= HEAD + TRAILER_BYTES).then_some((offset, len))
}

impl Footer {
    /// The stored form, to be written at `offset`, the file's new end after it.
    pub fn to_bytes(&self, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.rows.len() * ROW + TRAILER_BYTES);
        let segment = &self.segment;
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[segment.lane.code(), 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&segment.uuid.0);
        bytes.extend_from_slice(&segment.number.to_le_bytes());
        bytes.extend_from_slice(&segment.first.0.to_le_bytes());
        bytes.extend_from_slice(&segment.durable.0.to_le_bytes());
        bytes.extend_from_slice(&segment.created.millis().to_le_bytes());
        bytes.extend_from_slice(&self.next.0.to_le_bytes());
        for row in &self.rows {
            bytes.extend_from_slice(&row.lsn.0.to_le_bytes());
            bytes.extend_from_slice(&row.offset.to_le_bytes());
            bytes.extend_from_slice(&row.header.to_bytes());
        }
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&MAGIC);
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads all of a footer's bytes, trailer included.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let rows_bytes = bytes
            .len()
            .checked_sub(HEAD + TRAILER_BYTES)
            .filter(|len| len % ROW == 0)
            .ok_or(FormatError("the footer's length is wrong"))?;
        let mut fields = Fields::new(bytes);
        if fields.array()? != MAGIC {
            return Err(FormatError("no footer of format 1 begins here"));
        }
        if fields.u32()? != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError("the footer's checksum is wrong"));
        }
        let [lane, ..] = fields.array::<8>()?;
        let segment = SegmentHeader {
            lane: LaneId::from_code(lane).ok_or(FormatError("the footer names no lane"))?,
            uuid: SegmentUuid(fields.array()?),
            number: fields.u64()?,
            first: Lsn(fields.u64()?),
            durable: Lsn(fields.u64()?),
            created: Timestamp::from_millis(fields.i64()?),
        };
        let next = Lsn(fields.u64()?);
        let rows = (0..rows_bytes / ROW)
            .map(|_| {
                let (lsn, offset) = (Lsn(fields.u64()?), fields.u64()?);
                let header = FrameHeader::parse(&fields.array::<FRAME_HEADER_BYTES>()?)?;
                Ok(FooterRow { lsn, offset, header })
            })
            .collect::<Result<_, FormatError>>()?;
        Ok(Self { segment, next, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::tests::any_header;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn footers_round_trip_and_no_flip_passes(
            headers in prop::collection::vec(any_header(u32::MAX), 0..6),
            numbers: [u64; 5],
            bit: prop::sample::Index,
        ) {
            let segment = SegmentHeader {
                lane: LaneId::Control,
                uuid: SegmentUuid([9; 16]),
                number: numbers[0],
                first: Lsn(numbers[1]),
                durable: Lsn(numbers[2]),
                created: Timestamp::default(),
            };
            let rows = headers.into_iter().map(|header| FooterRow { lsn: Lsn(5), offset: 7, header });
            let footer = Footer { segment, next: Lsn(numbers[3]), rows: rows.collect() };
            let offset = numbers[4] >> 8;
            let mut bytes = footer.to_bytes(offset);
            let len = bytes.len();
            let trailer = &bytes[len - TRAILER_BYTES..];
            prop_assert_eq!(footer_range(trailer, offset + len as u64), Some((offset, len)));
            prop_assert_eq!(Footer::parse(&bytes), Ok(footer));
            let bit = bit.index(len * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Footer::parse(&bytes).is_err());
        }

        #[test]
        fn a_sealed_file_never_ends_on_a_block(rows in 0u64..1 << 40) {
            let footer = HEAD as u64 + rows * ROW as u64 + TRAILER_BYTES as u64;
            prop_assert!(!footer.is_multiple_of(crate::format::BLOCK));
        }
    }
}
