//! Fragments as Matroska files (RFC 9559): written, read back, taken from a stream, and laid out for delivery.

mod block;
mod delivery;
mod ebml;
mod entry;
mod incoming;
mod read;
mod received;
mod timing;
mod write;

pub use block::Block;
pub use delivery::{Live, closing, delivery, failure};
pub use incoming::{Event, Header, Reader, ReaderLimits, Tag, Violation, ViolationKind};
pub use read::{MAX_FRAMES, StoredFragment, order_by_block_times, read_fragment};
pub use received::{Received, has_media};
pub use write::{FileEnds, FragmentWriter, write_fragment};

#[cfg(test)]
mod tests;
