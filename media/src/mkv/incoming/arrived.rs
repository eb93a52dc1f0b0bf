//! The bytes of a stream that have arrived and are not used yet.

use bytes::BytesMut;

use super::super::ebml::{Element, id, unsigned};
use super::{Violation, ViolationKind, broken};

/// Bytes that are kept in one piece: blocks are slices of it.
const PIECE_BYTES: usize = 16 * 1024;

/// Bytes of a stream, from where it is read on.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    buffer: BytesMut,
    /// Where in the stream the buffer begins.
    offset: u64,
    /// Bytes that are to be passed over.
    skip: u64,
}

/// An element's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u32,
    /// Bytes of the header itself: 12 at most.
    header: u8,
    /// Bytes of what is in it; `None` where that is not known.
    pub(super) size: Option<u64>,
}

impl Arrived {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.buffer.is_empty() {
            let passed = passed(self.skip, bytes.len());
            bytes = &bytes[passed..];
            self.advance(passed);
        }
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.buffer.reserve(bytes.len().max(PIECE_BYTES));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Where in the stream it is read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that wait for more.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Whether an element has begun that is not there as a whole.
    pub(super) fn is_within_element(&self) -> bool {
        !self.buffer.is_empty() || self.skip > 0
    }

    /// Whether all is passed over that is to be.
    pub(super) fn has_passed_over(&mut self) -> bool {
        let passed = passed(self.skip, self.buffer.len());
        let _ = self.buffer.split_to(passed);
        self.advance(passed);
        self.skip == 0
    }

    fn advance(&mut self, passed: usize) {
        self.skip -= passed as u64;
        self.offset += passed as u64;
    }

    /// The next element's header; `None` until it is there.
    pub(super) fn head(&self) -> Result<Option<Head>, Violation> {
        let id = unsigned(&self.buffer, 4).map_err(|error| broken(self.offset, &error))?;
        let Some((id, id_length)) = id else { return Ok(None) };
        let size = unsigned(&self.buffer[id_length..], 8).map_err(|error| broken(self.offset, &error))?;
        let Some((size, size_length)) = size else { return Ok(None) };
        let mask = (1_u64 << (7 * size_length)) - 1;
        let head = Head {
            id: u32::try_from(id).unwrap_or_default(),
            header: (id_length + size_length) as u8,
            size: (size & mask != mask).then_some(size & mask),
        };
        if head.size.is_none() && !matches!(head.id, id::SEGMENT | id::CLUSTER) {
            return Err(self.malformed("an element of unknown size that is neither Segment nor Cluster"));
        }
        Ok(Some(head))
    }

    /// The whole element, of at most so many bytes; `None` until it is there.
    pub(super) fn whole(&mut self, head: Head, most: u64) -> Result<Option<Element>, Violation> {
        let size = head.size.unwrap_or(u64::MAX);
        if size > most {
            return Err(self.malformed(format!("an element 0x{:X} of more than {most} bytes", head.id)));
        }
        let length = usize::try_from(u64::from(head.header) + size).unwrap_or(usize::MAX);
        if self.buffer.len() < length {
            return Ok(None);
        }
        let whole = self.buffer.split_to(length).freeze();
        self.offset += length as u64;
        let data = whole.slice(usize::from(head.header)..);
        Ok(Some(Element { id: head.id, whole, data }))
    }

    /// Goes on with what is in the element.
    pub(super) fn enter(&mut self, head: Head) {
        let _ = self.buffer.split_to(head.header.into());
        self.offset += u64::from(head.header);
    }

    /// Passes the element over.
    pub(super) fn pass_over(&mut self, head: Head) {
        self.skip = u64::from(head.header) + head.size.unwrap_or_default();
    }

    fn malformed(&self, what: impl Into<String>) -> Violation {
        Violation { kind: ViolationKind::Malformed, offset: self.offset, what: what.into() }
    }
}

/// How many of so many bytes are passed over.
fn passed(skip: u64, bytes: usize) -> usize {
    usize::try_from(skip).unwrap_or(usize::MAX).min(bytes)
}

impl Head {
    /// Where the element ends, if it says so and begins at `offset`.
    pub(super) fn end(&self, offset: u64) -> Option<u64> {
        offset.checked_add(self.header.into())?.checked_add(self.size?)
    }
}
