//! What records are read from: a data stream's shards, or the fragments of a video stream.

use catalog::Shard;
use data_streams::{Batch, ReadLimits, ReadRecord, SequenceNumber, Start};
use fragment_log::LogError;

use super::reader::ReadError;
use super::record::RecordInfo;
use super::stream::{Found, absent};
use crate::app::App;
use crate::exception::Exception;

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
        self.app.records.durable(self.found, shard)
    }

    /// The index where a reader begins.
    ///
    /// # Errors
    /// ResourceNotFound where the stream was deleted; InternalFailure.
    pub async fn position(&self, shard: u32, start: Start) -> Result<u64, Exception> {
        let found = self.app.records.position(self.found, shard, start).await;
        found.map_err(|error| self.failed(error))
    }

    /// Records from an index on.
    ///
    /// # Errors
    /// As [`Self::position`].
    pub async fn read(&self, shard: u32, from: u64, limits: ReadLimits) -> Result<Batch, Exception> {
        let read = self.app.records.read(self.found, shard, from, limits).await;
        read.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ReadError) -> Exception {
        match error {
            ReadError::Log(LogError::NoKey(_)) => absent(self.app, self.found.stream.name.as_str()),
            other => other.into(),
        }
    }
}

/// The records as the AWS model has them.
pub fn records(shard: &Shard, batch: Batch) -> Vec<RecordInfo> {
    let describe = |record: ReadRecord| {
        let sequence = SequenceNumber::new(shard, record.index, record.arrived);
        RecordInfo::new(sequence, record)
    };
    batch.records.into_iter().map(describe).collect()
}
