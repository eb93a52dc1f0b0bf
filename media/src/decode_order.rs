//! Decode times from presentation times.

use bytes::Bytes;

use crate::Frame;

/// Gives the frames of one track, which arrive in decoding order with presentation times only
/// (RTP), their decode times and durations.
///
/// The i-th frame's decode time is the i-th smallest presentation time of the run, found by looking
/// ahead as many frames as the codec may reorder. Decode times are strictly increasing whatever the
/// sender does; where it reorders deeper than it declared, the look-ahead grows.
#[derive(Clone, Debug)]
pub struct DecodeOrder {
    track: u8,
}

impl DecodeOrder {
    /// For a run of track `track` whose parameter sets declare `reorder_depth`.
    pub fn new(track: u8, reorder_depth: u8) -> Self {
        let _ = reorder_depth;
        Self { track }
    }

    /// Takes a frame and appends the frames whose decode time and duration are now known: this one
    /// comes out after `reorder_depth + 1` more.
    pub fn push(&mut self, pts: i64, key: bool, data: Bytes, out: &mut Vec<Frame>) {
        let _ = (self.track, pts, key, data, out);
        todo!("land the public face")
    }

    /// Ends the run: appends the frames still waiting. The last one takes its predecessor's duration.
    pub fn finish(&mut self, out: &mut Vec<Frame>) {
        let _ = out;
        todo!("land the public face")
    }

    /// Frames waiting for their decode time.
    pub fn waiting(&self) -> usize {
        todo!("land the public face")
    }
}
