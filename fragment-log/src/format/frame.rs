//! The frame header: what is known of an entry when it is sealed. The seal covers it.

use base::{StreamId, Timestamp};

use super::{FORMAT, Fields, FormatError};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 80;
/// Bytes of the AES-256-GCM tag that follows the sealed payload.
pub const TAG_BYTES: usize = 16;

/// One start of one process: 16 random bytes, durable in the superblock before the first write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriterId(pub [u8; 16]);

/// What a frame holds. Persisted: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A command of the catalog.
    Command = 0,
    /// A piece of a fragment's media.
    Media = 1,
    /// A fragment's metadata, which commits the pieces before it.
    FragmentMeta = 2,
    /// Records of one shard.
    Records = 3,
    /// A note behind pieces of a fragment that is still open: how to close it where it stands.
    FragmentPart = 4,
    /// An event of a stream, or its removal: tags for a span of its time.
    Event = 5,
}

impl FrameKind {
    /// Whether followers and replay get the payload along: small, and needed to build an index.
    pub const fn is_metadata(self) -> bool {
        match self {
            Self::Command | Self::FragmentMeta | Self::Event => true,
            Self::Media | Self::Records | Self::FragmentPart => false,
        }
    }

    fn from_code(code: u8) -> Result<Self, FormatError> {
        match code {
            0 => Ok(Self::Command),
            1 => Ok(Self::Media),
            2 => Ok(Self::FragmentMeta),
            3 => Ok(Self::Records),
            4 => Ok(Self::FragmentPart),
            5 => Ok(Self::Event),
            _ => Err(FormatError("the frame's kind is unknown")),
        }
    }
}

/// The clear part of a frame, in front of the sealed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: FrameKind,
    /// The producer's own flags.
    pub flags: u8,
    /// Which of the stream's keys seals it.
    pub key_epoch: u32,
    /// The stream whose key seals it.
    pub stream: StreamId,
    /// The shard of the stream; 0 for video.
    pub shard: u32,
    /// Records in the payload; for media the piece's index, else how many pieces there are before it.
    pub count: u32,
    /// Number of the first record, or of the fragment.
    pub first_sequence: u64,
    /// When the server received it.
    pub server_time: Timestamp,
    /// When its producer made it.
    pub producer_time: Timestamp,
    /// Who sealed it.
    pub writer: WriterId,
    /// The writer's seal counter, which is the nonce.
    pub counter: u64,
    /// Bytes of the payload in the clear.
    pub payload_bytes: u32,
}

impl FrameHeader {
    /// Bytes of the whole frame: header, sealed payload, tag.
    pub const fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + self.payload_bytes as u64 + TAG_BYTES as u64
    }

    /// The last number that the frame takes from its shard's sequence.
    pub const fn last_sequence(&self) -> u64 {
        match self.kind {
            FrameKind::Records => self.first_sequence.saturating_add(self.count.saturating_sub(1) as u64),
            FrameKind::Command
            | FrameKind::Media
            | FrameKind::FragmentMeta
            | FrameKind::FragmentPart
            | FrameKind::Event => self.first_sequence,
        }
    }

    /// The stored form, with its checksum.
    pub fn to_bytes(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0] = FORMAT;
        bytes[1] = self.kind as u8;
        bytes[2] = self.flags;
        bytes[4..8].copy_from_slice(&self.key_epoch.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stream.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.shard.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.count.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.server_time.millis().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.producer_time.millis().to_le_bytes());
        bytes[48..64].copy_from_slice(&self.writer.0);
        bytes[64..72].copy_from_slice(&self.counter.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.payload_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..76]);
        bytes[76..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let header: &[u8; FRAME_HEADER_BYTES] =
            bytes.first_chunk().ok_or(FormatError("the frame header is cut off"))?;
        let mut fields = Fields::new(header);
        let [format, kind, flags, reserved] = fields.array()?;
        let parsed = Self {
            kind: FrameKind::from_code(kind)?,
            flags,
            key_epoch: fields.u32()?,
            stream: StreamId(fields.u64()?),
            shard: fields.u32()?,
            count: fields.u32()?,
            first_sequence: fields.u64()?,
            server_time: Timestamp::from_millis(fields.i64()?),
            producer_time: Timestamp::from_millis(fields.i64()?),
            writer: WriterId(fields.array()?),
            counter: fields.u64()?,
            payload_bytes: fields.u32()?,
        };
        if fields.u32()? != crc32c::crc32c(&header[..76]) {
            return Err(FormatError("the frame header's checksum is wrong"));
        }
        if format != FORMAT || reserved != 0 {
            return Err(FormatError("the frame is of an unknown format"));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_header(max_payload: u32) -> impl Strategy<Value = FrameHeader> {
        let ids = (0u8..6, any::<u8>(), any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>());
        let times = (any::<u64>(), 0..1i64 << 45, 0..1i64 << 45);
        (ids, times, any::<[u8; 16]>(), any::<u64>(), 0..=max_payload).prop_map(
            |((kind, flags, key_epoch, stream, shard, count), times, writer, counter, payload_bytes)| {
                FrameHeader {
                    kind: FrameKind::from_code(kind).expect("there are six kinds"),
                    flags,
                    key_epoch,
                    stream: StreamId(stream),
                    shard,
                    count,
                    first_sequence: times.0,
                    server_time: Timestamp::from_millis(times.1),
                    producer_time: Timestamp::from_millis(times.2),
                    writer: WriterId(writer),
                    counter,
                    payload_bytes,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn headers_round_trip(header in any_header(u32::MAX)) {
            prop_assert_eq!(FrameHeader::parse(&header.to_bytes()), Ok(header));
        }

        #[test]
        fn a_flipped_bit_is_no_header(header in any_header(u32::MAX), bit in 0..FRAME_HEADER_BYTES * 8) {
            let mut bytes = header.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FrameHeader::parse(&bytes).is_err());
        }
    }
}
