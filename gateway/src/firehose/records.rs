//! What delivery streams read, as the crate `firehose` asks for it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::firehose::{SourceError, SourceStream, Streams};
use base::Arn;
use data_streams::{Batch, ReadLimits};
use fragment_log::LogError;
use futures::future::BoxFuture;
use tokio::time::timeout;

use crate::streams::{Found, ReadError, RecordReader, lookup};

/// Between two looks at whether the source still exists.
const LOOK: Duration = Duration::from_secs(1);

fn found(source: &SourceStream) -> Found {
    Found { stream: Arc::clone(&source.stream), fragments: source.fragments }
}

impl Streams for RecordReader {
    fn find(&self, arn: &Arn) -> Option<SourceStream> {
        let Found { stream, fragments } = lookup(&self.catalog, arn)?;
        Some(SourceStream { stream, fragments })
    }

    fn durable(&self, source: &SourceStream, shard: u32) -> u64 {
        Self::durable(self, &found(source), shard)
    }

    fn grown<'a>(&'a self, source: &'a SourceStream, shard: u32, end: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut bell = self.bell(&found(source), shard);
            // Reading tells that a source is gone.
            while !self.is_gone(source) && Streams::durable(self, source, shard) <= end {
                // Whichever comes first.
                let _ = timeout(LOOK, bell.rung()).await;
            }
        })
    }

    fn stored_bytes(&self, source: &SourceStream, shard: u32, records: Range<u64>) -> u64 {
        if source.fragments { 0 } else { self.data_streams.stored_bytes(&source.stream, shard, records) }
    }

    fn read<'a>(
        &'a self,
        source: &'a SourceStream,
        shard: u32,
        from: u64,
        limits: ReadLimits,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        Box::pin(async move {
            if self.is_gone(source) {
                return Err(SourceError::Gone);
            }
            let mut found = found(source);
            // Its retention may have changed since.
            if let Some(now) = self.catalog.data_stream_by_id(source.stream.id) {
                found.stream = now;
            }
            Self::read(self, &found, shard, from, limits).await.map_err(|error| match error {
                ReadError::Log(LogError::NoKey(_)) => SourceError::Gone,
                other => SourceError::Failed(other.to_string()),
            })
        })
    }
}

impl RecordReader {
    fn is_gone(&self, source: &SourceStream) -> bool {
        let id = source.stream.id;
        let there = if source.fragments {
            self.catalog.stream_by_id(id).is_some()
        } else {
            self.catalog.data_stream_by_id(id).is_some() || self.catalog.delivery_by_id(id).is_some()
        };
        !there
    }
}
