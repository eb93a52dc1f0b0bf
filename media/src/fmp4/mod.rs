//! Fragmented MP4 (ISO/IEC 14496-12, CMAF): init segments and media segments.

mod init;
mod segment;

pub use init::init_segment;
pub(crate) use init::{TrackBox, movie};
pub use segment::{Part, base_decode_time, media_segment, media_segment_size};
pub(crate) use segment::{Run, segment};

use mp4_atom::{Encode, FourCC};

use crate::MediaError;

/// The brands of everything written here: signed composition offsets and `default-base-is-moof`.
pub(crate) const BRAND: FourCC = FourCC::new(b"iso6");

/// Appends a box.
pub(crate) fn encode(out: &mut Vec<u8>, atom: &impl Encode) -> Result<(), MediaError> {
    // mp4-atom refuses fields that are wider than their box gives them room for.
    let refused =
        |_| MediaError::Malformed { what: "MP4 box (ISO/IEC 14496-12)", why: "a value out of range" };
    atom.encode(out).map_err(refused)
}

#[cfg(test)]
mod tests;
