//! Records in: each call one frame in each shard that it has records for.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use catalog::{DataStream, Shard};
use fragment_log::{Entry, FrameKind, LaneId, LogError, RetentionClass, Submitted};
use futures::future::join_all;

use crate::record::{Record, RecordBatch};
use crate::sequence::SequenceNumber;
use crate::shard::ShardState;
use crate::streams::DataStreams;
use crate::traffic::Passed;

/// A record to put.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The record.
    pub record: Record,
    /// The hash that chooses the shard: of the partition key, or as the producer says.
    pub hash: u128,
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The shard's number.
    pub shard: u32,
    /// The record's number.
    pub sequence: SequenceNumber,
}

/// The records of one call for one shard: their places in the call, and themselves.
type Group = (Vec<usize>, Vec<Record>);

impl DataStreams {
    /// Puts records, in the order given within each shard. Resolves when all are on disk, or refused:
    /// those of one shard share their fate. Where the caller stops waiting, they may be put all the same.
    ///
    /// # Errors
    /// For each record on its own: as [`fragment_log::Log::append`]. [`LogError::NoKey`] where the
    /// stream was deleted.
    pub async fn put(
        &self,
        stream: &DataStream,
        records: Vec<NewRecord>,
    ) -> Vec<Result<Placed, Arc<LogError>>> {
        let count = records.len();
        let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
        for (place, NewRecord { record, hash }) in records.into_iter().enumerate() {
            // A stream's shards leave no hash out.
            let shard = crate::shard_of(&stream.shards, hash).map_or(0, |shard| shard.id);
            let (places, records) = groups.entry(shard).or_default();
            places.push(place);
            records.push(record);
        }
        let shards = groups.into_iter().filter_map(|(shard, group)| {
            let shard = stream.shards.iter().find(|known| known.id == shard)?;
            Some(self.put_group(stream, shard, group))
        });
        let mut results: Vec<_> = std::iter::repeat_with(|| None).take(count).collect();
        for (places, outcome) in join_all(shards).await {
            for (place, result) in places.into_iter().zip(outcome) {
                results[place] = Some(result);
            }
        }
        let placed = |result: Option<_>| result.unwrap_or_else(|| Err(Arc::new(LogError::NoKey(stream.id))));
        results.into_iter().map(placed).collect()
    }

    async fn put_group(
        &self,
        stream: &DataStream,
        shard: &Shard,
        (places, records): Group,
    ) -> (Vec<usize>, Vec<Result<Placed, Arc<LogError>>>) {
        let outcome = match self.put_frame(stream, shard.id, records).await {
            Ok((first, arrived)) => (first..)
                .zip(&places)
                .map(|(index, _)| {
                    let sequence = SequenceNumber::new(shard, index, arrived);
                    Ok(Placed { shard: shard.id, sequence })
                })
                .collect(),
            Err(error) => {
                let error = Arc::new(error);
                places.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        };
        (places, outcome)
    }

    /// Index and arrival time of the frame's first record.
    async fn put_frame(
        &self,
        stream: &DataStream,
        shard: u32,
        records: Vec<Record>,
    ) -> Result<(u64, Timestamp), LogError> {
        let bytes = records.iter().map(|record| record.size() as u64).sum();
        let batch = RecordBatch(records);
        let (count, limit) = (batch.0.len(), u32::MAX as usize);
        let payload =
            batch.encode().map_err(|_| LogError::TooLarge { size: count, unit: "records", limit })?;
        let state = self.shard(stream, shard);
        let wanted = LaneId::Records(RetentionClass::class_for(stream.retention));
        let (first, arrived, submitted) =
            self.submit(&state, wanted, entry(stream, shard, count, payload)).await?;
        submitted.wait().await?;
        state.written.add(self.clock.monotonic(), Passed { records: count as u64, bytes });
        Ok((first, arrived))
    }

    /// Numbers the frame and hands it to its lane, with nothing of the shard between.
    async fn submit(
        &self,
        state: &ShardState,
        wanted: LaneId,
        mut entry: Entry,
    ) -> Result<(u64, Timestamp, Submitted), LogError> {
        loop {
            let lane = state.lane(wanted);
            let room = self.log.reserve(lane, std::slice::from_ref(&entry)).await?;
            let mut numbers = state.numbers();
            if numbers.lane != Some(lane) {
                // The retention changed while this one waited.
                continue;
            }
            let (first, arrived) = (numbers.next, self.clock.now().max(numbers.time));
            let next = first + u64::from(entry.count);
            entry.first_sequence = first;
            (entry.server_time, entry.producer_time) = (arrived, arrived);
            let submitted = self.log.submit(room, vec![entry])?;
            (numbers.next, numbers.time) = (next, arrived);
            return Ok((first, arrived, submitted));
        }
    }
}

fn entry(stream: &DataStream, shard: u32, count: usize, payload: Vec<Bytes>) -> Entry {
    Entry {
        kind: FrameKind::Records,
        stream: stream.id,
        shard,
        first_sequence: 0,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        server_time: Timestamp::MIN,
        producer_time: Timestamp::MIN,
        flags: 0,
        payload,
    }
}
