//! What can be wrong with a request for playback.

use base::{FragmentNumber, StreamId};

/// Why something cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// The window holds no fragment.
    #[error("stream {0} has no fragment in this window: ask the timeline for what is there")]
    NoFragments(StreamId),
    /// The fragment is not there, or no longer.
    #[error("stream {stream} has no fragment {number}, or keeps it no longer")]
    NotFound {
        /// The stream asked.
        stream: StreamId,
        /// The fragment asked for.
        number: FragmentNumber,
    },
    /// The fragment has no such track.
    #[error("stream {stream} has no track {track} there")]
    NoTrack {
        /// The stream asked.
        stream: StreamId,
        /// The Matroska track number asked for.
        track: u8,
    },
}
