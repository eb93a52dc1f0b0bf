//! Fragments as Matroska files (RFC 9559): written, read back, and laid out for delivery.

use std::sync::Arc;

use base::{FragmentMeta, Timestamp};
use bytes::Bytes;

use crate::{Frame, MediaError, Track};

/// Writes a fragment as one Matroska file, as a list of pieces to be written one after the other:
/// small headers and the frames' own bytes, not copied.
///
/// `tracks` are all tracks of the fragment, `frames` its frames in the order they are to be stored
/// (decoding order within a track). `run_origin` is the wall time of media time zero: the cluster's
/// timestamp is the wall time of the earliest frame in milliseconds since the epoch. Exact times of
/// every frame go into a binary tag of their own.
pub fn write_fragment(tracks: &[Arc<Track>], frames: &[Frame], run_origin: Timestamp) -> Vec<Bytes> {
    let _ = (tracks, frames, run_origin);
    todo!("land the public face")
}

/// A fragment read back.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFragment {
    /// The tracks, as in the file.
    pub tracks: Vec<Arc<Track>>,
    /// All frames, as stored; their data are slices of the file.
    pub frames: Vec<Frame>,
}

impl StoredFragment {
    /// The track of a number.
    pub fn track(&self, number: u8) -> Option<&Arc<Track>> {
        self.tracks.iter().find(|track| track.number == number)
    }

    /// The frames of one track, in decoding order. Cheap: the data are shared.
    pub fn frames_of(&self, number: u8) -> Vec<Frame> {
        self.frames.iter().filter(|frame| frame.track == number).cloned().collect()
    }
}

/// Reads a fragment. Times are the exact ones where the file carries them, else the blocks'
/// milliseconds.
pub fn read_fragment(file: &Bytes) -> Result<StoredFragment, MediaError> {
    let _ = file;
    todo!("land the public face")
}

/// Lays a stored fragment out as GetMedia and GetMediaForFragmentList deliver it, as a list of
/// pieces: EBML header, Segment of unknown size, Info, Tracks, Tags with number and timestamps,
/// Cluster, Tags with `behind_now_ms` and continuation token. Pieces are slices of `file`.
pub fn delivery(file: &Bytes, meta: &FragmentMeta, behind_now_ms: u64) -> Result<Vec<Bytes>, MediaError> {
    let _ = (file, meta, behind_now_ms);
    todo!("land the public face")
}
