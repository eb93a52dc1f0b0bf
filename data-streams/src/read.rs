//! Records out: from a place in a shard, in order, within limits.

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use catalog::DataStream;
use fragment_log::{Location, LogError};

use crate::index::{Frame, Next, Span, Want};
use crate::record::RecordBatch;
use crate::shard::ShardState;
use crate::streams::DataStreams;
use crate::traffic::Passed;

/// Where to begin (ShardIteratorType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that is kept.
    TrimHorizon,
    /// After the last record that is on disk now.
    Latest,
    /// The record of this index.
    At(u64),
    /// The one after it.
    After(u64),
    /// The first that arrived then or later.
    AtTime(Timestamp),
}

/// How much one read gives.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Records.
    pub records: usize,
    /// Bytes of data and partition keys; one record may be larger alone.
    pub bytes: usize,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its index in the shard.
    pub index: u64,
    /// When it arrived.
    pub arrived: Timestamp,
    /// UTF-8.
    pub partition_key: Bytes,
    /// What it says.
    pub data: Bytes,
}

/// What one read gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// In the order of their numbers.
    pub records: Vec<ReadRecord>,
    /// Where the next read begins.
    pub next: u64,
    /// How long ago the last record here arrived; zero where no more follow.
    pub behind: Duration,
}

impl DataStreams {
    /// The index where a reader begins.
    ///
    /// # Errors
    /// [`LogError`] where the disk fails.
    pub async fn position(&self, stream: &DataStream, shard: u32, start: Start) -> Result<u64, LogError> {
        let state = self.shard(stream, shard);
        match start {
            Start::TrimHorizon => Ok(0),
            Start::Latest => Ok(state.durable()),
            Start::At(index) => Ok(index),
            Start::After(index) => Ok(index.saturating_add(1)),
            Start::AtTime(at) => {
                let durable = state.durable();
                let first = self.frames(stream, shard, &state, 0, at, Want { records: 1, bytes: 0 }).await?;
                Ok(first.first().map_or(durable, |frame| frame.first))
            }
        }
    }

    /// Records from `from` on that are on disk and not expired. What is damaged is left out, and
    /// logged. Memory is bounded by the limits and the largest frame.
    ///
    /// # Errors
    /// [`LogError::NoKey`] where the stream was deleted; [`LogError`] where the disk fails.
    pub async fn read(
        &self,
        stream: &DataStream,
        shard: u32,
        from: u64,
        limits: ReadLimits,
    ) -> Result<Batch, LogError> {
        let state = self.shard(stream, shard);
        let durable = state.durable();
        let now = self.clock.now();
        let horizon = now - stream.retention;
        let mut filling = Filling { records: Vec::new(), next: from, bytes: 0, limits };
        while !filling.full() && filling.next < durable {
            let want = filling.want();
            let frames = self.frames(stream, shard, &state, filling.next, horizon, want).await?;
            if frames.is_empty() {
                // Nothing is left there: the next records come after all that was.
                filling.next = durable.max(filling.next);
                break;
            }
            for (frame, batch) in frames.iter().zip(self.fetch(&frames).await?) {
                if !filling.take(frame, batch.as_ref()) {
                    break;
                }
            }
        }
        let Filling { records, next, .. } = filling;
        let bytes =
            records.iter().map(|record| (record.data.len() + record.partition_key.len()) as u64).sum();
        state.read.add(self.clock.monotonic(), Passed { records: records.len() as u64, bytes });
        let last = records.last().map_or(horizon, |record: &ReadRecord| record.arrived);
        let behind = if next >= state.durable() { Duration::ZERO } else { now.since(last) };
        Ok(Batch { records, next, behind })
    }

    /// The frames that hold the records from `from` on, none of them before the horizon.
    async fn frames(
        &self,
        stream: &DataStream,
        shard: u32,
        state: &ShardState,
        mut from: u64,
        horizon: Timestamp,
        want: Want,
    ) -> Result<Vec<Frame>, LogError> {
        loop {
            let next = state.index().next(from, horizon, want);
            let span = match next {
                Next::Frames(frames) => return Ok(frames),
                Next::End => return Ok(Vec::new()),
                Next::Span(span) => span,
            };
            let frames = match self.footer(&span).await {
                Ok(footer) => {
                    let known = footer.get(&(stream.id, shard)).map_or(&[][..], Vec::as_slice);
                    cut(known, &span, from, horizon, want)
                }
                // Retention was quicker.
                Err(LogError::Gone(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
            if !frames.is_empty() {
                return Ok(frames);
            }
            from = span.end;
        }
    }

    async fn footer(&self, span: &Span) -> Result<Arc<crate::footers::SegmentFrames>, LogError> {
        let at @ (lane, segment) = (span.lane, span.segment);
        if let Some(kept) = self.footers.kept(at) {
            return Ok(kept);
        }
        let (log, footers) = (Arc::clone(&self.log), Arc::clone(&self.footers));
        let read = tokio::task::spawn_blocking(move || footers.get(&log, lane, segment));
        // The runtime ends.
        read.await.unwrap_or(Err(LogError::Gone(Location { lane, segment, offset: 0, len: 0 })))
    }

    /// The records of the frames, which the log reads together, or has in memory; `None` for what cannot be
    /// read.
    async fn fetch(&self, frames: &[Frame]) -> Result<Vec<Option<RecordBatch>>, LogError> {
        let locations: Vec<Location> = frames.iter().map(|frame| frame.location).collect();
        let read = self.log.read_run(&locations).await;
        frames.iter().zip(read).map(|(frame, payload)| opened(frame, payload)).collect()
    }
}

/// The frames of a span from `from` and from the horizon on, as many as are wanted and at least one.
fn cut(known: &[Frame], span: &Span, from: u64, horizon: Timestamp, want: Want) -> Vec<Frame> {
    let begin = known.partition_point(|frame| frame.end() <= from.max(span.first));
    let (mut frames, mut records, mut bytes) = (Vec::new(), 0_usize, 0_usize);
    let within = |frame: &&Frame| frame.first < span.end;
    for frame in known[begin..].iter().take_while(within).filter(|frame| frame.time >= horizon) {
        bytes += frame.payload_bytes();
        if !frames.is_empty() && (records >= want.records || bytes > want.bytes) {
            break;
        }
        records += frame.count as usize;
        frames.push(*frame);
    }
    frames
}

/// The records of a frame, if it can be read.
fn opened(frame: &Frame, payload: Result<Bytes, LogError>) -> Result<Option<RecordBatch>, LogError> {
    let payload = match payload {
        Ok(payload) => payload,
        // Retention was quicker.
        Err(LogError::Gone(_)) => return Ok(None),
        Err(error @ LogError::Corrupt { .. }) => {
            tracing::error!(%error, "records left out");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok(RecordBatch::decode(&payload)
        .inspect_err(|error| {
            let Location { lane, segment, offset, .. } = frame.location;
            tracing::error!(%lane, segment, offset, %error, "records left out");
        })
        .ok())
}

/// A batch that is being filled.
struct Filling {
    records: Vec<ReadRecord>,
    next: u64,
    bytes: usize,
    limits: ReadLimits,
}

impl Filling {
    fn full(&self) -> bool {
        self.records.len() >= self.limits.records || self.bytes >= self.limits.bytes
    }

    fn want(&self) -> Want {
        Want { records: self.limits.records - self.records.len(), bytes: self.limits.bytes - self.bytes }
    }

    /// Takes the frame's records; tells whether all of them found room.
    fn take(&mut self, frame: &Frame, batch: Option<&RecordBatch>) -> bool {
        for (index, record) in (frame.first..frame.end()).zip(batch.into_iter().flat_map(|batch| &batch.0)) {
            if index < self.next {
                continue;
            }
            let size = record.size();
            let first = self.records.is_empty();
            if self.full() || (!first && self.bytes + size > self.limits.bytes) {
                // Full, also where the next record is too large for what is left.
                self.bytes = self.limits.bytes;
                return false;
            }
            self.bytes += size;
            self.records.push(ReadRecord {
                index,
                arrived: frame.time,
                partition_key: record.partition_key.clone(),
                data: record.data.clone(),
            });
            self.next = index + 1;
        }
        self.next = frame.end().max(self.next);
        true
    }
}
