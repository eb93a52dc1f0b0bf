//! What records are read from: a data stream's shards, or the fragments of a video stream.

use std::time::Duration;

use base::FragmentNumber;
use bytes::Bytes;
use catalog::{FRAGMENTS_PREFIX, Shard};
use data_streams::{Batch, ReadLimits, ReadRecord, SequenceNumber, Start};
use fragment_log::LogError;
use indexer::{FragmentEntry, IndexError, Window};

use super::record::RecordInfo;
use super::stream::{Found, absent};
use crate::app::App;
use crate::exception::Exception;
use crate::native::FragmentInfo;

/// Most fragments of one read.
const FRAGMENTS: usize = 1000;

/// A stream to read.
pub struct Source<'a> {
    /// The installation.
    pub app: &'a App,
    /// The stream.
    pub found: &'a Found,
}

impl Source<'_> {
    /// The index after the last record of a shard. The index of a fragment's record is the fragment's number.
    pub fn durable(&self, shard: u32) -> u64 {
        let stream = &self.found.stream;
        if self.found.fragments {
            let last = self.app.indexer.last_recorded(stream.id);
            return last.map_or(0, |last| last.meta.number.to_u64().saturating_add(1));
        }
        self.app.data_streams.durable(stream, shard)
    }

    /// The index where a reader begins.
    ///
    /// # Errors
    /// ResourceNotFound where the stream was deleted; InternalFailure.
    pub async fn position(&self, shard: u32, start: Start) -> Result<u64, Exception> {
        if !self.found.fragments {
            let found = self.app.data_streams.position(&self.found.stream, shard, start).await;
            return found.map_err(|error| self.failed(error));
        }
        Ok(match start {
            Start::TrimHorizon => 0,
            Start::Latest => self.durable(shard),
            Start::At(index) => index,
            Start::After(index) => index.saturating_add(1),
            Start::AtTime(at) => FragmentNumber::at(at).to_u64(),
        })
    }

    /// Records from an index on.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub async fn read(&self, shard: u32, from: u64, limits: ReadLimits) -> Result<Batch, Exception> {
        if self.found.fragments {
            return Ok(self.read_fragments(from, limits).await?);
        }
        let read = self.app.data_streams.read(&self.found.stream, shard, from, limits).await;
        read.map_err(|error| self.failed(error))
    }

    /// A record for each fragment: its metadata, straight from the index and the log.
    async fn read_fragments(&self, from: u64, limits: ReadLimits) -> Result<Batch, IndexError> {
        let (indexer, stream) = (&self.app.indexer, &self.found.stream);
        let durable = self.durable(0);
        let after = from.checked_sub(1).map(FragmentNumber::from_u64);
        let most = limits.records.min(FRAGMENTS);
        let entries = indexer.range(stream.id, Window::ALL, after, most).await?;
        let (mut records, mut size) = (Vec::new(), 0);
        let mut next = if entries.is_empty() { durable.max(from) } else { from };
        for entry in entries {
            let record = self.fragment(entry).await?;
            size += record.data.len() + record.partition_key.len();
            if size > limits.bytes && !records.is_empty() {
                break;
            }
            next = record.index + 1;
            records.push(record);
        }
        let now = self.app.clock.now();
        let last = records.last().map_or(now, |record: &ReadRecord| record.arrived);
        let behind = if next >= self.durable(0) { Duration::ZERO } else { now.since(last) };
        Ok(Batch { records, next, behind })
    }

    async fn fragment(&self, entry: FragmentEntry) -> Result<ReadRecord, IndexError> {
        let tags = self.app.indexer.tags(&entry).await?;
        let mut meta = entry.meta;
        meta.tags = tags;
        let (index, arrived) = (meta.number.to_u64(), meta.server_timestamp);
        let name = self.found.stream.name.as_str();
        let name = name.strip_prefix(FRAGMENTS_PREFIX).unwrap_or(name).to_owned();
        let data = FragmentInfo::new(&name, meta).to_json();
        Ok(ReadRecord { index, arrived, partition_key: Bytes::from(name), data: Bytes::from(data) })
    }

    fn failed(&self, error: LogError) -> Exception {
        match error {
            LogError::NoKey(_) => absent(self.app, self.found.stream.name.as_str()),
            other => other.into(),
        }
    }
}

/// The records as the AWS model has them.
pub fn records(shard: &Shard, batch: Batch) -> Vec<RecordInfo> {
    let describe = |record: ReadRecord| {
        let sequence = SequenceNumber::new(shard, record.index, record.arrived);
        RecordInfo::new(&sequence, record)
    };
    batch.records.into_iter().map(describe).collect()
}
