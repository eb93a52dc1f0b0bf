//! Stored fragments, given back: HLS playlists and segments, MP4 clips by byte range, Matroska.
//!
//! Nothing here knows HTTP: answers are `String`, `Bytes` and streams of `Bytes`. Who calls it says how
//! child URIs look ([`hls::Uris`]), so that AWS playback sessions and the native API share all of it.
//!
//! Video is never transcoded, and every answer is made on demand from the log and the index.

mod error;
pub mod hls;

pub use error::PlaybackError;

use std::pin::Pin;

use base::{FragmentNumber, StreamId, Timestamp};
use bytes::Bytes;
use futures::Stream;

/// Bytes as they are read, in order. An error ends it.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, PlaybackError>> + Send>>;

/// Which of a fragment's two times a window is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockKind {
    /// When the first frame was made.
    Producer,
    /// When its first packet arrived.
    Server,
}

/// Fragments that start within these bounds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The time compared.
    pub clock: ClockKind,
    /// No earlier fragment.
    pub start: Option<Timestamp>,
    /// No later fragment.
    pub end: Option<Timestamp>,
}

/// Everything that is played back, of every stream. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Playback {
    _face: (),
}

impl Playback {
    /// The multivariant playlist (RFC 8216 §4.3.4): one video variant with its audio renditions, or audio alone.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`] when the window holds none.
    pub async fn multivariant(
        &self,
        _stream: StreamId,
        _view: &hls::View,
        _uris: &dyn hls::Uris,
    ) -> Result<String, PlaybackError> {
        todo!("playlists")
    }

    /// The media playlist (RFC 8216 §4.3.3) of one track, streamed in pieces.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`], [`PlaybackError::NoTrack`].
    pub async fn media_playlist(
        &self,
        _stream: StreamId,
        _track: u8,
        _view: &hls::View,
        _uris: Box<dyn hls::Uris>,
    ) -> Result<ByteStream, PlaybackError> {
        todo!("playlists")
    }

    /// The init segment (ISO/IEC 14496-12 `ftyp` + `moov`) of one track.
    ///
    /// # Errors
    /// [`PlaybackError::NotFound`] when no fragment that is still kept uses it.
    pub async fn init_segment(
        &self,
        _stream: StreamId,
        _track: u8,
        _init: hls::InitRef,
    ) -> Result<Bytes, PlaybackError> {
        todo!("segments")
    }

    /// The media segment (`moof` + `mdat`) of one track of one fragment, as a gather list.
    ///
    /// # Errors
    /// [`PlaybackError::NotFound`], [`PlaybackError::NoTrack`].
    pub async fn media_segment(
        &self,
        _stream: StreamId,
        _track: u8,
        _number: FragmentNumber,
    ) -> Result<Vec<Bytes>, PlaybackError> {
        todo!("segments")
    }

    /// One fragmented MP4 of the whole fragments that start in the window; the same bytes every time.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`].
    pub async fn clip(&self, _stream: StreamId, _window: Window) -> Result<Clip, PlaybackError> {
        todo!("clips")
    }

    /// The fragments as GetMediaForFragmentList delivers them: one Matroska file after another, in the order
    /// asked, one fragment in memory at a time. Numbers that are not (or no longer) there are skipped.
    ///
    /// # Errors
    /// [`PlaybackError::NotFound`] when none of them is there.
    pub async fn matroska(
        &self,
        _stream: StreamId,
        _numbers: &[FragmentNumber],
    ) -> Result<ByteStream, PlaybackError> {
        todo!("Matroska")
    }
}

/// A clip that is laid out and not yet read.
#[derive(Debug)]
pub struct Clip {
    _face: (),
}

impl Clip {
    /// Size of the whole file in bytes, known before any media is read.
    pub fn total_bytes(&self) -> u64 {
        todo!("clips")
    }

    /// Changes whenever the bytes would: a strong entity tag, without quotes.
    pub fn etag(&self) -> &str {
        todo!("clips")
    }

    /// The bytes of a range that lies within the file, one fragment in memory at a time.
    pub fn bytes(&self, _range: std::ops::Range<u64>) -> ByteStream {
        todo!("clips")
    }
}
