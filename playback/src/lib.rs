//! Stored fragments, given back: HLS playlists and segments, MP4 clips by byte range, Matroska.
//!
//! Nothing here knows HTTP: answers are `String`, `Bytes` and streams of `Bytes`. Who calls it says how
//! child URIs look ([`hls::Uris`]), so that AWS playback sessions and the native API share all of it.
//!
//! Playlists come from index entries alone; media is read from the log when a segment, a byte range of a
//! clip or a Matroska file is asked for. Video is never transcoded; audio that no browser plays becomes AAC on
//! the way out, or is left out.
//!
//! Invariants: a fragment's segment is the same bytes, with the same numbers and duration, in every playlist
//! and after every restart (of audio that becomes AAC: for as long as the fragment before it is kept); a
//! clip's bytes do not depend on the range they are asked in; what one answer
//! holds in memory does not grow with the media it delivers.

mod audio;
mod cache;
mod clip;
mod error;
pub mod hls;
mod matroska;
mod presented;
mod read;
mod segments;

pub use clip::Clip;
pub use error::PlaybackError;
pub use indexer::{ClockKind, Window};
pub use presented::playable;

use std::pin::Pin;
use std::sync::Arc;

use base::Clock;
use bytes::Bytes;
use fragment_log::Log;
use futures::Stream;
use indexer::Indexer;

use audio::Converter;
use cache::FragmentCache;
use hls::TargetDurations;

/// Bytes as they are read, in order. An error ends it.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, PlaybackError>> + Send>>;

/// Bytes of fragments kept ready for HLS: the live edge of a hundred streams, opened once for all viewers.
const CACHE_BYTES: u64 = 96 * 1024 * 1024;

/// Bytes of audio kept ready that was made for browsers: some minutes of a hundred cameras.
const CONVERTED_BYTES: u64 = 32 * 1024 * 1024;

/// Everything that is played back, of every stream. Shared behind an `Arc`.
pub struct Playback {
    log: Arc<Log>,
    indexer: Arc<Indexer>,
    clock: Arc<dyn Clock>,
    fragments: FragmentCache,
    /// Of each fragment the audio that becomes AAC, and nothing else.
    converted: FragmentCache,
    converter: Converter,
    targets: TargetDurations,
}

impl Playback {
    /// Playback of what this log keeps and this index knows.
    pub fn new(log: Arc<Log>, indexer: Arc<Indexer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            indexer,
            clock,
            fragments: FragmentCache::new(CACHE_BYTES),
            converted: FragmentCache::new(CONVERTED_BYTES),
            converter: Converter::default(),
            targets: TargetDurations::default(),
        }
    }
}
