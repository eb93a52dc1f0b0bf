//! Reading records: of a data stream from the log, of a video stream's fragments from the index.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, FragmentNumber, StreamId};
use bytes::Bytes;
use catalog::{Catalog, FRAGMENTS_PREFIX};
use data_streams::{
    Batch, DataStreams, Flow, Minute, Passed, ReadLimits, ReadRecord, SECONDS, Start, Traffic,
};
use fragment_log::LogError;
use indexer::{ClockKind, FragmentEntry, IndexError, Indexer, Window};
use ingest::Ingest;
use tokio::sync::watch;

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
    /// What comes in, and rings.
    pub ingest: Ingest,
    /// What was read of video streams' fragments.
    pub fragment_reads: FragmentReads,
}

/// Counters of those streams whose fragments somebody reads.
#[derive(Debug, Default)]
pub struct FragmentReads(Mutex<HashMap<StreamId, Flow>>);

impl FragmentReads {
    fn add(&self, stream: StreamId, at: Duration, more: Passed) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !flows.contains_key(&stream) {
            flows.retain(|_, flow| !flow.is_still(at));
        }
        flows.entry(stream).or_default().add(at, more);
    }

    fn minute(&self, stream: StreamId, now: Duration) -> Minute {
        let flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.get(&stream).map_or([Passed::default(); SECONDS], |flow| flow.minute(now))
    }
}

/// Tells of new records in a shard.
pub enum Bell {
    /// Of a data stream: the index after the last record.
    Records(watch::Receiver<u64>),
    /// Of a video stream's fragments.
    Fragments(watch::Receiver<()>),
}

impl Bell {
    /// Resolves when it has rung since it was made or last asked; never where the shard was forgotten.
    pub async fn rung(&mut self) {
        let rung = match self {
            Self::Records(tip) => tip.changed().await.is_ok(),
            Self::Fragments(bell) => bell.changed().await.is_ok(),
        };
        if !rung {
            std::future::pending::<()>().await;
        }
    }
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

    /// What rings when there are new records; now and then also when there are none.
    pub fn bell(&self, found: &Found, shard: u32) -> Bell {
        if found.fragments {
            return Bell::Fragments(self.ingest.live(found.stream.id).watch());
        }
        Bell::Records(self.data_streams.watch(&found.stream, shard))
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
            let larger = size + record.data.len() + record.partition_key.len();
            if larger > limits.bytes && !records.is_empty() {
                break;
            }
            size = larger;
            next = record.index + 1;
            records.push(record);
        }
        let passed = Passed { records: records.len() as u64, bytes: size as u64 };
        self.fragment_reads.add(found.stream.id, self.clock.monotonic(), passed);
        let now = self.clock.now();
        let last = records.last().map_or(now, |record: &ReadRecord| record.arrived);
        let behind = if next >= self.durable(found, 0) { Duration::ZERO } else { now.since(last) };
        Ok(Batch { records, next, behind })
    }

    /// What went through a shard in the last minute.
    ///
    /// # Errors
    /// [`ReadError::Index`] where the index fails.
    pub async fn traffic(&self, found: &Found, shard: u32) -> Result<Traffic, ReadError> {
        if !found.fragments {
            return Ok(self.data_streams.traffic(&found.stream, shard));
        }
        let (now, mut written) = (self.clock.now(), [Passed::default(); SECONDS]);
        let start = Some(now - Duration::from_secs(SECONDS as u64));
        let window = Window { clock: ClockKind::Server, start, end: None };
        let entries = self.indexer.range(found.stream.id, window, None, FRAGMENTS).await?;
        let last = entries.last().map(|entry| entry.meta.server_timestamp);
        for entry in entries {
            let ago = usize::try_from(now.since(entry.meta.server_timestamp).as_secs()).unwrap_or(SECONDS);
            if let Some(second) = (SECONDS - 1).checked_sub(ago) {
                // Without its tags, which are another look into the log.
                let bytes = FragmentInfo::new(video_name(found), entry.meta).to_json().len() as u64;
                written[second].add(Passed { records: 1, bytes });
            }
        }
        let read = self.fragment_reads.minute(found.stream.id, self.clock.monotonic());
        Ok(Traffic { written, read, last })
    }

    async fn fragment(&self, found: &Found, entry: FragmentEntry) -> Result<ReadRecord, IndexError> {
        let tags = self.indexer.tags(&entry).await?;
        let mut meta = entry.meta;
        meta.tags = tags;
        let (index, arrived) = (meta.number.to_u64(), meta.server_timestamp);
        let name = video_name(found);
        let data = FragmentInfo::new(name, meta).to_json();
        Ok(ReadRecord {
            index,
            arrived,
            partition_key: Bytes::from(name.to_owned()),
            data: Bytes::from(data),
        })
    }
}

/// The video stream that a stream of fragments stands for.
pub fn video_name(found: &Found) -> &str {
    let name = found.stream.name.as_str();
    name.strip_prefix(FRAGMENTS_PREFIX).unwrap_or(name)
}
