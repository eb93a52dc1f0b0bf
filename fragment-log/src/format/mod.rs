//! The stored forms, one file each: encode, decode, and a test that one undoes the other.
//!
//! `docs/fragment-log-format.md` draws every byte. All numbers are little-endian. Decoding takes
//! hostile bytes: it refuses, it never panics.

mod batch;
mod footer;
mod frame;
mod freed;
mod location;
mod part;
mod segment;
mod sequences;
mod superblock;

pub(crate) use batch::check_frame;
pub use batch::{BLOCK, Batch, BatchHead, FrameSlot, MAX_BATCH_FRAMES};
pub use footer::{Footer, FooterRow};
pub(crate) use footer::{TRAILER_BYTES, footer_range};
pub use frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, TAG_BYTES, WriterId};
pub use freed::FreedNote;
pub use location::{Location, Lsn};
pub use part::PartNote;
pub use segment::{SegmentHeader, SegmentUuid};
pub use sequences::SequenceNote;
pub use superblock::Superblock;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub &'static str);

/// The format that this program writes and reads.
pub(crate) const FORMAT: u8 = 1;

/// Bytes that are taken from the front, field by field.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(FormatError("the bytes end too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        self.array().map(i64::from_le_bytes)
    }
}
