//! A clip: many fragments as one seekable MP4 file, any byte range of which can be made on its own.

use std::ops::Range;
use std::sync::Arc;

use base::FragmentMeta;
use bytes::Bytes;

use crate::mkv::StoredFragment;
use crate::{MediaError, Track};

/// The plan of a clip's file: ftyp, moov, sidx, then one moof and mdat per fragment. Offsets and
/// total size come from metadata alone; media is needed only for the ranges that are read.
///
/// The clip's time starts at zero. Within a run media time is kept as it is; a new run follows the
/// previous one without a gap.
#[derive(Clone, Debug)]
pub struct ClipLayout {
    head: Bytes,
}

impl ClipLayout {
    /// Plans the clip of `fragments`, in the order given. `inits` holds a track for every different
    /// (number, init_id) that occurs in them.
    pub fn new(inits: &[Arc<Track>], fragments: &[FragmentMeta]) -> Result<Self, MediaError> {
        let _ = (inits, fragments);
        todo!("land the public face")
    }

    /// Bytes of the whole file.
    pub fn total_bytes(&self) -> u64 {
        todo!("land the public face")
    }

    /// The file's beginning, up to the first fragment.
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// Where in the file the fragment of this index lies.
    pub fn span(&self, index: usize) -> Range<u64> {
        let _ = index;
        todo!("land the public face")
    }

    /// The indexes of the fragments that a byte range of the file touches.
    pub fn locate(&self, range: &Range<u64>) -> Range<usize> {
        let _ = range;
        todo!("land the public face")
    }

    /// The bytes of [`Self::span`], as a list of pieces.
    pub fn fragment_bytes(&self, index: usize, fragment: &StoredFragment) -> Result<Vec<Bytes>, MediaError> {
        let _ = (index, fragment);
        todo!("land the public face")
    }
}

/// Cuts a list of pieces that lies at `at` in a file down to what falls into `range` of the file.
pub fn cut(pieces: Vec<Bytes>, at: u64, range: &Range<u64>) -> Vec<Bytes> {
    let _ = (pieces, at, range);
    todo!("land the public face")
}
