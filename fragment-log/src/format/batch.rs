//! The batch: what one write and one sync make durable. Its head is written by the lane.

use super::{FORMAT, FRAME_HEADER_BYTES, Fields, FormatError, FrameHeader, Lsn, SegmentUuid};
use crate::LaneId;

/// Batches begin, and segments grow, in multiples of this.
pub const BLOCK: u64 = 4096;
/// The most frames that a batch may have; keeps a hostile head from asking for memory.
pub const MAX_BATCH_FRAMES: u32 = 8192;

const MAGIC: [u8; 4] = [b'M', b'R', b'B', FORMAT];
/// Bytes of the head without its table of frames.
const FIXED: usize = 64;
const SLOT: usize = 8;

/// One row of the batch's table: a frame's length and the CRC32C of all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSlot {
    /// Bytes of the frame: header, sealed payload, tag.
    pub len: u32,
    /// CRC32C of them.
    pub crc: u32,
}

/// The front of a batch. Its CRC32C covers the table, and so, through the table, every frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// The lane it was written to.
    pub lane: LaneId,
    /// The segment it was written to: makes stale bytes of another file no batch.
    pub segment: SegmentUuid,
    /// Where in the segment it was written: makes a misplaced write no batch.
    pub offset: u64,
    /// Place of its first frame in the lane's order; the others follow without gaps.
    pub first: Lsn,
    /// Everything up to here was on disk when the batch was written.
    pub durable: Lsn,
    /// Its frames. None in a durable mark.
    pub frames: Vec<FrameSlot>,
}

impl BatchHead {
    /// Bytes of the stored head.
    pub fn head_bytes(&self) -> u64 {
        (FIXED + SLOT * self.frames.len()) as u64
    }

    /// Bytes of head and frames, without the padding to the next block.
    pub fn bytes(&self) -> u64 {
        self.head_bytes() + self.frames.iter().map(|frame| u64::from(frame.len)).sum::<u64>()
    }

    /// Bytes that the batch takes in the segment.
    pub fn padded_bytes(&self) -> u64 {
        self.bytes().next_multiple_of(BLOCK)
    }

    /// The place after its last frame.
    pub fn next(&self) -> Lsn {
        Lsn(self.first.0 + self.frames.len() as u64)
    }

    /// Each frame's place in the order, its offset in the segment, and its row.
    pub fn places(&self) -> impl Iterator<Item = (Lsn, u64, FrameSlot)> {
        let mut at = self.offset + self.head_bytes();
        self.frames.iter().zip(self.first.0..).map(move |(&slot, lsn)| {
            let offset = at;
            at += u64::from(slot.len);
            (Lsn(lsn), offset, slot)
        })
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED + SLOT * self.frames.len());
        let count = u32::try_from(self.frames.len()).expect("the lane limits a batch's frames");
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[self.lane.code(), 0, 0, 0]);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.durable.0.to_le_bytes());
        bytes.extend_from_slice(&self.segment.0);
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.bytes().to_le_bytes());
        for slot in &self.frames {
            bytes.extend_from_slice(&slot.len.to_le_bytes());
            bytes.extend_from_slice(&slot.crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// How many bytes [`Self::parse`] needs, told from the first block. `None` where no batch begins.
    pub fn needed(block: &[u8]) -> Option<usize> {
        let fixed: &[u8; FIXED] = block.first_chunk()?;
        let count = u32::from_le_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]);
        (fixed[..4] == MAGIC && count <= MAX_BATCH_FRAMES).then(|| FIXED + SLOT * count as usize)
    }

    /// Reads the head at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let needed = Self::needed(bytes).ok_or(FormatError("no batch begins here"))?;
        let head = bytes.get(..needed).ok_or(FormatError("the batch head is cut off"))?;
        let mut fields = Fields::new(&head[4..]);
        if fields.u32()? != crc32c::crc32c(&head[8..]) {
            return Err(FormatError("the batch head's checksum is wrong"));
        }
        let [lane, reserved @ ..] = fields.array::<4>()?;
        let count = fields.u32()?;
        let (first, durable) = (Lsn(fields.u64()?), Lsn(fields.u64()?));
        let segment = SegmentUuid(fields.array()?);
        let (offset, total) = (fields.u64()?, fields.u64()?);
        let frames = (0..count)
            .map(|_| Ok(FrameSlot { len: fields.u32()?, crc: fields.u32()? }))
            .collect::<Result<Vec<_>, FormatError>>()?;
        let lane = LaneId::from_code(lane).ok_or(FormatError("the batch names no lane"))?;
        let parsed = Self { lane, segment, offset, first, durable, frames };
        let in_order = first.0.checked_add(u64::from(count)).is_some() && durable < first;
        let placed = offset.checked_add(total).is_some();
        if reserved != [0; 3] || total != parsed.bytes() || !in_order || !placed {
            return Err(FormatError("the batch head contradicts itself"));
        }
        Ok(parsed)
    }
}

/// A whole batch in memory, every checksum verified: what a reader of foreign bytes starts from.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Its front.
    pub head: BatchHead,
    /// Each frame's header and its sealed payload with the tag.
    pub frames: Vec<(FrameHeader, &'a [u8])>,
}

impl<'a> Batch<'a> {
    /// Reads the batch at the start of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let head = BatchHead::parse(bytes)?;
        let mut rest = &bytes[head.frames.len() * SLOT + FIXED..];
        let mut frames = Vec::with_capacity(head.frames.len());
        for slot in &head.frames {
            let (frame, after) =
                rest.split_at_checked(slot.len as usize).ok_or(FormatError("the batch is cut off"))?;
            frames.push((check_frame(frame, *slot)?, &frame[FRAME_HEADER_BYTES..]));
            rest = after;
        }
        Ok(Self { head, frames })
    }
}

/// Checks a frame's bytes against the row of its batch.
pub(crate) fn check_frame(frame: &[u8], slot: FrameSlot) -> Result<FrameHeader, FormatError> {
    if crc32c::crc32c(frame) != slot.crc {
        return Err(FormatError("the frame's checksum is wrong"));
    }
    let header = FrameHeader::parse(frame)?;
    if header.frame_bytes() != u64::from(slot.len) {
        return Err(FormatError("the frame's length contradicts its batch"));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::tests::any_header;
    use proptest::prelude::*;

    fn any_head() -> impl Strategy<Value = BatchHead> {
        let slots = prop::collection::vec(any::<(u32, u32)>(), 0..40);
        (0usize..11, any::<[u8; 16]>(), 0..1u64 << 40, 1..u64::MAX / 2, any::<u64>(), slots).prop_map(
            |(lane, uuid, offset, first, durable, slots)| BatchHead {
                lane: LaneId::all().nth(lane).expect("there are eleven lanes"),
                segment: SegmentUuid(uuid),
                offset,
                first: Lsn(first),
                durable: Lsn(durable % first),
                frames: slots.into_iter().map(|(len, crc)| FrameSlot { len, crc }).collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn heads_round_trip(head in any_head()) {
            prop_assert_eq!(BatchHead::parse(&head.to_bytes()), Ok(head));
        }

        #[test]
        fn a_flipped_bit_is_no_head(head in any_head(), bit: prop::sample::Index) {
            let mut bytes = head.to_bytes();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(BatchHead::parse(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Batch::parse(&bytes);
            let mut begun = MAGIC.to_vec();
            begun.extend(bytes);
            let _ = Batch::parse(&begun);
        }

        #[test]
        fn whole_batches_are_read_and_no_flip_passes(
            headers in prop::collection::vec(any_header(200), 1..5),
            bit: prop::sample::Index,
        ) {
            let frames: Vec<Vec<u8>> = headers
                .iter()
                .map(|header| {
                    let sealed = header.payload_bytes as usize + crate::format::TAG_BYTES;
                    [header.to_bytes().as_slice(), &vec![7; sealed]].concat()
                })
                .collect();
            let slots = frames
                .iter()
                .map(|frame| FrameSlot { len: frame.len() as u32, crc: crc32c::crc32c(frame) })
                .collect();
            let head = BatchHead {
                lane: LaneId::Control,
                segment: SegmentUuid([3; 16]),
                offset: BLOCK,
                first: Lsn(1),
                durable: Lsn(0),
                frames: slots,
            };
            let mut bytes = [head.to_bytes(), frames.concat()].concat();
            let batch = Batch::parse(&bytes).expect("it was just written");
            prop_assert_eq!(batch.frames.iter().map(|(header, _)| *header).collect::<Vec<_>>(), headers);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Batch::parse(&bytes).is_err());
        }
    }
}
