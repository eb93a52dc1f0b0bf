//! Reading records: of a data stream from the log, of a video stream's fragments from the index.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, FragmentNumber};
use bytes::Bytes;
use catalog::{Catalog, FRAGMENTS_PREFIX};
use data_streams::{Batch, DataStreams, ReadLimits, ReadRecord, Start};
use fragment_log::LogError;
use indexer::{FragmentEntry, IndexError, Indexer, Window};

use super::stream::Found;
use crate::exception::Exception;
use crate::native::FragmentInfo;

/// Most fragments of one read.
const FRAGMENTS: usize = 1000;

/// Reads both kinds of streams alike.
pub struct RecordReader {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Records.
    pub data_streams: Arc<DataStreams>,
    /// Fragments.
    pub indexer: Arc<Indexer>,
    /// The clock of the installation.
    pub clock: Arc<dyn Clock>,
}

/// Why records are not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log says why.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The index says why.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl From<ReadError> for Exception {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Log(error) => error.into(),
            ReadError::Index(error) => error.into(),
        }
    }
}

impl RecordReader {
    /// The index after the last record of a shard. The index of a fragment's record is the fragment's number.
    pub fn durable(&self, found: &Found, shard: u32) -> u64 {
        if found.fragments {
            let last = self.indexer.last_recorded(found.stream.id);
            return last.map_or(0, |last| last.meta.number.to_u64().saturating_add(1));
        }
        self.data_streams.durable(&found.stream, shard)
    }

    /// The index where a reader begins.
    ///
    /// # Errors
    /// [`ReadError`] where the stream was deleted or the disk fails.
    pub async fn position(&self, found: &Found, shard: u32, start: Start) -> Result<u64, ReadError> {
        if !found.fragments {
            return Ok(self.data_streams.position(&found.stream, shard, start).await?);
        }
        Ok(match start {
            Start::TrimHorizon => 0,
            Start::Latest => self.durable(found, shard),
            Start::At(index) => index,
            Start::After(index) => index.saturating_add(1),
            Start::AtTime(at) => FragmentNumber::at(at).to_u64(),
        })
    }

    /// Records from an index on.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub async fn read(
        &self,
        found: &Found,
        shard: u32,
        from: u64,
        limits: ReadLimits,
    ) -> Result<Batch, ReadError> {
        if found.fragments {
            return Ok(self.read_fragments(found, from, limits).await?);
        }
        Ok(self.data_streams.read(&found.stream, shard, from, limits).await?)
    }

    /// A record for each fragment: its metadata, straight from the index and the log.
    async fn read_fragments(
        &self,
        found: &Found,
        from: u64,
        limits: ReadLimits,
    ) -> Result<Batch, IndexError> {
        let durable = self.durable(found, 0);
        let after = from.checked_sub(1).map(FragmentNumber::from_u64);
        let most = limits.records.min(FRAGMENTS);
        let entries = self.indexer.range(found.stream.id, Window::ALL, after, most).await?;
        let (mut records, mut size) = (Vec::new(), 0);
        let mut next = if entries.is_empty() { durable.max(from) } else { from };
        for entry in entries {
            let record = self.fragment(found, entry).await?;
            size += record.data.len() + record.partition_key.len();
            if size > limits.bytes && !records.is_empty() {
                break;
            }
            next = record.index + 1;
            records.push(record);
        }
        let now = self.clock.now();
        let last = records.last().map_or(now, |record: &ReadRecord| record.arrived);
        let behind = if next >= self.durable(found, 0) { Duration::ZERO } else { now.since(last) };
        Ok(Batch { records, next, behind })
    }

    async fn fragment(&self, found: &Found, entry: FragmentEntry) -> Result<ReadRecord, IndexError> {
        let tags = self.indexer.tags(&entry).await?;
        let mut meta = entry.meta;
        meta.tags = tags;
        let (index, arrived) = (meta.number.to_u64(), meta.server_timestamp);
        let name = found.stream.name.as_str();
        let name = name.strip_prefix(FRAGMENTS_PREFIX).unwrap_or(name).to_owned();
        let data = FragmentInfo::new(&name, meta).to_json();
        Ok(ReadRecord { index, arrived, partition_key: Bytes::from(name), data: Bytes::from(data) })
    }
}
