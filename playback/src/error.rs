//! What can be wrong with a request for playback.

use base::{FragmentNumber, StreamId};

use crate::hls::InitRef;

/// Why something cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// The window holds no fragment.
    #[error("no fragment starts in this window: ask the timeline for what is there")]
    NoFragments,
    /// The window holds more fragments than one clip takes.
    #[error("more than {limit} fragments start in this window: ask for a shorter one")]
    TooLong {
        /// Fragments that one clip takes.
        limit: usize,
    },
    /// The window holds more changes of codec than one clip takes.
    #[error("the codecs change more than {limit} times in this window: ask for a shorter one")]
    TooManyInits {
        /// Different init segments that one clip takes.
        limit: usize,
    },
    /// The fragment is not there, or no longer.
    #[error("there is no fragment {0}, or it is kept no longer")]
    NoFragment(FragmentNumber),
    /// No fragment that is still kept uses this init segment.
    #[error("there is no init segment {0}, or what used it is kept no longer: reload the playlist")]
    NoInit(InitRef),
    /// The track does not exist there.
    #[error("there is no track {0} here: the multivariant playlist names those that are")]
    NoTrack(u8),
    /// Browsers do not play this track.
    #[error("track {track} is {codec}: {why}")]
    Unplayable {
        /// The track's number.
        track: u8,
        /// Its codec.
        codec: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The audio of a fragment could not be made into AAC.
    #[error("the audio of fragment {number} of stream {stream} cannot be made into AAC: {why}")]
    Conversion {
        /// The stream.
        stream: StreamId,
        /// The fragment.
        number: FragmentNumber,
        /// What went wrong.
        why: String,
    },
    /// The index could not answer.
    #[error(transparent)]
    Index(#[from] indexer::IndexError),
    /// The log could not be read.
    #[error("fragment {number} of stream {stream}: {source}")]
    Log {
        /// The stream.
        stream: StreamId,
        /// The fragment.
        number: FragmentNumber,
        /// The log's own reason.
        source: fragment_log::LogError,
    },
    /// What the log gave is not the fragment that the index describes.
    #[error("fragment {number} of stream {stream}: {source}; run `millrace verify`")]
    Media {
        /// The stream.
        stream: StreamId,
        /// The fragment.
        number: FragmentNumber,
        /// What is wrong with it.
        source: media::MediaError,
    },
}
