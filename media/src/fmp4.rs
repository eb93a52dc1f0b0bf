//! Fragmented MP4 (ISO/IEC 14496-12, CMAF): init segments and media segments for HLS.

use base::Timestamp;
use bytes::Bytes;

use crate::{Frame, MediaError, Track};

/// One track's share of a media segment.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The track.
    pub track: &'a Track,
    /// Decode time of the first frame, in ticks of the track: see [`base_decode_time`].
    pub base_decode_time: u64,
    /// The frames of this track in decoding order. Their own times count only in relation to each other.
    pub frames: &'a [Frame],
}

/// Decode time that a segment starts at, in ticks: the run's origin (milliseconds since the epoch,
/// scaled to the track) plus the media start. A segment is then the same bytes in every playlist.
pub fn base_decode_time(run_origin: Timestamp, timescale: u32, start: i64) -> u64 {
    let _ = (run_origin, timescale, start);
    todo!("land the public face")
}

/// The init segment (ftyp, moov) of a set of tracks.
pub fn init_segment(tracks: &[&Track]) -> Result<Bytes, MediaError> {
    let _ = tracks;
    todo!("land the public face")
}

/// A media segment (moof, mdat) as a list of pieces; the frames' bytes are not copied. Its total
/// size is [`media_segment_size`].
pub fn media_segment(sequence: u32, parts: &[Part<'_>]) -> Result<Vec<Bytes>, MediaError> {
    let _ = (sequence, parts);
    todo!("land the public face")
}

/// Exact bytes of the media segment whose parts have these numbers of frames and bytes of frame data.
pub fn media_segment_size(parts: &[(u32, u64)]) -> u64 {
    let _ = parts;
    todo!("land the public face")
}
