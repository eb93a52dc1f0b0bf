//! What can go wrong between a publisher and the log.

use std::net::SocketAddr;

use base::StreamName;
use catalog::CatalogError;
use fragment_log::LogError;

/// Why a publisher is refused, or why its recording ended.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// One publisher per stream: another one is sending.
    #[error("stream {stream} is being published by {holder}: stop that publisher, or use another stream")]
    Busy {
        /// The stream asked for.
        stream: StreamName,
        /// Where the publisher that holds it sends from.
        holder: SocketAddr,
    },
    /// As many PutMedia connections as a stream may have.
    #[error("stream {stream} has {most} PutMedia connections: close one of them first")]
    Connections {
        /// The stream asked for.
        stream: StreamName,
        /// How many it may have.
        most: usize,
    },
    /// The publisher may not publish to the stream, there is none and it may not create one, or it
    /// could not be created.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The stream was deleted while it was recorded.
    #[error("stream {0} was deleted while it was recorded")]
    Deleted(StreamName),
    /// More tracks than a stream may have, none, or one number twice.
    #[error(
        "{count} tracks were announced for stream {stream}: announce 1 to {most}, each by its own number"
    )]
    Tracks {
        /// The stream they were announced for.
        stream: StreamName,
        /// How many were announced.
        count: usize,
        /// How many a stream may have.
        most: usize,
    },
    /// A frame of a track that was not announced.
    #[error("a frame of track {number} was sent to stream {stream}, which has no such track")]
    UnknownTrack {
        /// The stream it was sent to.
        stream: StreamName,
        /// The track's number.
        number: u8,
    },
    /// The log could not store a fragment, for another reason than a full disk.
    #[error("stream {stream} cannot be recorded: {source}")]
    Log {
        /// The stream being recorded.
        stream: StreamName,
        /// What the log said.
        source: LogError,
    },
}
