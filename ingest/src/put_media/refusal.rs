//! Why PutMedia takes no more: AWS's error ids.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_PutMedia.html>

use media::mkv::{Violation, ViolationKind};

use crate::IngestError;

/// An error id of PutMedia.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorId {
    /// What was begun is not whole.
    StreamRead,
    /// More bytes than a fragment may have.
    MaxFragmentSize,
    /// A fragment that is longer than it may be.
    MaxFragmentDuration,
    /// The connection has lasted as long as it may.
    MaxConnectionDuration,
    /// A fragment that begins before the one before.
    FragmentTimecode,
    /// Not Matroska as it is taken.
    InvalidMkvData,
    /// A time beyond the range of time.
    InvalidProducerTimestamp,
    /// The stream was deleted, or may not be published to any more.
    StreamNotActive,
    /// More tags, or longer ones, than a fragment may have.
    FragmentMetadataLimit,
    /// A frame of a track that was not described.
    TrackNumberMismatch,
    /// A fragment without frames.
    FramesMissing,
    /// More tracks than a stream may have.
    TooManyTracks,
    /// The server's own fault.
    Internal,
    /// What came cannot be stored now.
    Archival,
}

impl ErrorId {
    /// AWS's number and word.
    pub const fn aws(self) -> (u16, &'static str) {
        match self {
            Self::StreamRead => (4000, "STREAM_READ_ERROR"),
            Self::MaxFragmentSize => (4001, "MAX_FRAGMENT_SIZE_REACHED"),
            Self::MaxFragmentDuration => (4002, "MAX_FRAGMENT_DURATION_REACHED"),
            Self::MaxConnectionDuration => (4003, "MAX_CONNECTION_DURATION_REACHED"),
            Self::FragmentTimecode => (4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"),
            Self::InvalidMkvData => (4006, "INVALID_MKV_DATA"),
            Self::InvalidProducerTimestamp => (4007, "INVALID_PRODUCER_TIMESTAMP"),
            Self::StreamNotActive => (4008, "STREAM_NOT_ACTIVE"),
            Self::FragmentMetadataLimit => (4009, "FRAGMENT_METADATA_LIMIT_REACHED"),
            Self::TrackNumberMismatch => (4010, "TRACK_NUMBER_MISMATCH"),
            Self::FramesMissing => (4011, "FRAMES_MISSING_FOR_TRACK"),
            Self::TooManyTracks => (4012, "MORE_THAN_ALLOWED_TRACKS_FOUND"),
            Self::Internal => (5000, "INTERNAL_ERROR"),
            Self::Archival => (5001, "ARCHIVAL_ERROR"),
        }
    }
}

/// Why a session ends before its producer ends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({}): {message}", id.aws().1, id.aws().0)]
pub struct Refusal {
    /// Which of AWS's errors.
    pub id: ErrorId,
    /// The time of the cluster it is about, where it is none that was begun.
    pub timecode: Option<u64>,
    /// What was wrong, and where.
    pub message: String,
}

impl Refusal {
    /// An error with its text.
    pub fn new(id: ErrorId, message: impl Into<String>) -> Self {
        Self { id, timecode: None, message: message.into() }
    }

    /// The same, about the cluster of this time.
    pub(super) fn at(self, timecode: u64) -> Self {
        Self { timecode: Some(timecode), ..self }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        let id = match violation.kind {
            ViolationKind::Malformed => ErrorId::InvalidMkvData,
            ViolationKind::TooLarge => ErrorId::MaxFragmentSize,
            ViolationKind::TooManyTracks => ErrorId::TooManyTracks,
            ViolationKind::UnknownTrack => ErrorId::TrackNumberMismatch,
            ViolationKind::Tags => ErrorId::FragmentMetadataLimit,
        };
        Self::new(id, violation.to_string())
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        let id = match error {
            IngestError::Deleted(_) | IngestError::Catalog(_) => ErrorId::StreamNotActive,
            IngestError::Log { source: fragment_log::LogError::Full { .. }, .. } => ErrorId::Archival,
            IngestError::Busy { .. }
            | IngestError::Connections { .. }
            | IngestError::Tracks { .. }
            | IngestError::UnknownTrack { .. }
            | IngestError::Log { .. } => ErrorId::Internal,
        };
        Self::new(id, error.to_string())
    }
}
