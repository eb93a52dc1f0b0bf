//! What records are delivered from.

use std::ops::Range;
use std::sync::Arc;

use base::Arn;
use catalog::DataStream;
use data_streams::{Batch, ReadLimits};
use futures::future::BoxFuture;

/// A stream to deliver from: a data stream, a video stream's fragments, or a delivery stream's own records.
#[derive(Clone, Debug)]
pub struct SourceStream {
    /// The stream; one of fragments is described like any other.
    pub stream: Arc<DataStream>,
    /// Whether it stands for the fragments of the video stream of the same id.
    pub fragments: bool,
}

/// Why records could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The stream was deleted.
    #[error("the source stream was deleted")]
    Gone,
    /// Something else, which may pass.
    #[error("the source cannot be read: {0}")]
    Failed(String),
}

/// How streams are found and read. The server knows where: in the log for records, in the index for fragments.
pub trait Streams: Send + Sync {
    /// The stream with this ARN.
    fn find(&self, arn: &Arn) -> Option<SourceStream>;

    /// The index after the last record of a shard that is on disk.
    fn durable(&self, source: &SourceStream, shard: u32) -> u64;

    /// Resolves when [`Self::durable`] is above `end`.
    fn grown<'a>(&'a self, source: &'a SourceStream, shard: u32, end: u64) -> BoxFuture<'a, ()>;

    /// About how many bytes the records of these indexes take; 0 where that is not known.
    fn stored_bytes(&self, source: &SourceStream, shard: u32, records: Range<u64>) -> u64;

    /// Records from an index on, as [`data_streams::DataStreams::read`].
    fn read<'a>(
        &'a self,
        source: &'a SourceStream,
        shard: u32,
        from: u64,
        limits: ReadLimits,
    ) -> BoxFuture<'a, Result<Batch, SourceError>>;
}
