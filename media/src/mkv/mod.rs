//! Fragments as Matroska files (RFC 9559): written, read back, and laid out for delivery.

mod delivery;
mod ebml;
mod read;
mod timing;
mod write;

pub use delivery::delivery;
pub use read::{MAX_FRAMES, StoredFragment, read_fragment};
pub use write::{FileEnds, FragmentWriter, write_fragment};

#[cfg(test)]
mod tests;
