//! The shards of a stream as one sequence: each in its own order, all together by arrival. Reads when its reader
//! has taken what was read before, so that a slow one costs no more memory than a fast one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::Shard;
use data_streams::{ReadLimits, ReadRecord, SequenceNumber, Start};
use futures::future::select_all;
use tokio::time::timeout;

use super::reader::{Bell, ReadError, RecordReader};
use super::stream::Found;

/// Bytes of records that wait for their turn, in all shards together; one more read of one shard may come on top.
const HELD: usize = 4 * 1024 * 1024;
/// Most bytes of one read of one shard.
const SLICE: usize = 1024 * 1024;
/// Most records of one read of one shard.
const RECORDS: usize = 10_000;
/// Between two looks, should nothing ring.
const LOOK: Duration = Duration::from_millis(100);

/// One reader's way through the shards.
pub struct Tail {
    records: Arc<RecordReader>,
    found: Found,
    lanes: Vec<Lane>,
    /// Bytes that wait in all lanes.
    held: usize,
}

/// One shard.
struct Lane {
    shard: Shard,
    /// Index after what was read.
    next: u64,
    /// Index of the first record that is not wanted.
    end: u64,
    /// Read, and not yet taken.
    waiting: VecDeque<ReadRecord>,
    /// Rings for new records.
    bell: Bell,
}

/// A record in its place.
pub struct Told {
    /// The shard's number.
    pub shard: u32,
    /// The record's number.
    pub sequence: SequenceNumber,
    /// The record.
    pub record: ReadRecord,
}

impl Tail {
    /// A reader of these shards, each from its position on. Where it does not follow, it ends with the records
    /// that are there now.
    pub fn new(records: Arc<RecordReader>, found: Found, from: Vec<(Shard, u64)>, follow: bool) -> Self {
        let lane = |(shard, next): (Shard, u64)| {
            let bell = records.bell(&found, shard.id);
            let end = if follow { u64::MAX } else { records.durable(&found, shard.id) };
            Lane { shard, next, end, waiting: VecDeque::new(), bell }
        };
        let lanes = from.into_iter().map(lane).collect();
        Self { records, found, lanes, held: 0 }
    }

    /// Where a reader of each of these shards begins.
    ///
    /// # Errors
    /// [`ReadError`] where the stream was deleted or the disk fails.
    pub async fn positions(
        records: &RecordReader,
        found: &Found,
        shards: Vec<Shard>,
        start: Start,
    ) -> Result<Vec<(Shard, u64)>, ReadError> {
        let mut positions = Vec::with_capacity(shards.len());
        for shard in shards {
            let position = records.position(found, shard.id, start).await?;
            positions.push((shard, position));
        }
        Ok(positions)
    }

    /// The next records: none where all that is there was taken.
    ///
    /// # Errors
    /// As [`Self::positions`].
    pub async fn take(&mut self, most: ReadLimits) -> Result<Vec<Told>, ReadError> {
        for lane in 0..self.lanes.len() {
            self.fill(lane).await?;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most.records && bytes < most.bytes {
            let first = |lane: usize| Some((self.lanes[lane].waiting.front()?.arrived, lane));
            let Some((_, earliest)) = (0..self.lanes.len()).filter_map(first).min() else { break };
            let lane = &mut self.lanes[earliest];
            let Some(record) = lane.waiting.pop_front() else { break };
            let size = size(&record);
            bytes += size;
            self.held -= size;
            let sequence = SequenceNumber::new(&lane.shard, record.index, record.arrived);
            taken.push(Told { shard: lane.shard.id, sequence, record });
            self.fill(earliest).await?;
        }
        Ok(taken)
    }

    /// Reads the next records of a lane where none wait, and there is room.
    async fn fill(&mut self, at: usize) -> Result<(), ReadError> {
        let limits = ReadLimits { records: RECORDS, bytes: SLICE.min(HELD / self.lanes.len()) };
        let lane = &mut self.lanes[at];
        if !lane.waiting.is_empty() || self.held >= HELD {
            return Ok(());
        }
        let durable = self.records.durable(&self.found, lane.shard.id);
        if lane.next >= durable.min(lane.end) {
            return Ok(());
        }
        let batch = self.records.read(&self.found, lane.shard.id, lane.next, limits).await?;
        lane.next = batch.next;
        let wanted = batch.records.into_iter().filter(|record| record.index < lane.end);
        lane.waiting.extend(wanted.map(own));
        self.held += lane.waiting.iter().map(size).sum::<usize>();
        Ok(())
    }

    /// Whether everything was taken that was there when the reader began, and it does not follow.
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.is_empty() && lane.next >= lane.end)
    }

    /// How long ago the first record arrived that waits; zero where none does.
    pub fn behind(&self) -> Duration {
        let first = self.lanes.iter().filter_map(|lane| Some(lane.waiting.front()?.arrived)).min();
        first.map_or(Duration::ZERO, |first| self.records.clock.now().since(first))
    }

    /// For each shard the index where another reader would go on.
    pub fn places(&self) -> Vec<(u32, u64)> {
        let place = |lane: &Lane| lane.waiting.front().map_or(lane.next, |record| record.index);
        self.lanes.iter().map(|lane| (lane.shard.id, place(lane))).collect()
    }

    /// Resolves when there are new records, or when it is time to look.
    pub async fn grown(&mut self) {
        let bells: Vec<_> = self.lanes.iter_mut().map(|lane| Box::pin(lane.bell.rung())).collect();
        if bells.is_empty() {
            tokio::time::sleep(LOOK).await;
        } else {
            let _ = timeout(LOOK, select_all(bells)).await;
        }
    }
}

fn size(record: &ReadRecord) -> usize {
    record.data.len() + record.partition_key.len()
}

/// A record that does not hold the whole frame in memory.
fn own(record: ReadRecord) -> ReadRecord {
    let copied = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    ReadRecord { partition_key: copied(&record.partition_key), data: copied(&record.data), ..record }
}

#[cfg(test)]
mod tests {
    use catalog::{DataStream, NewDataStream, StreamMode};
    use data_streams::{NewRecord, Record};

    use super::*;
    use crate::native::tests::world::World;

    const SHARDS: u32 = 16;
    const LARGE: usize = 1024 * 1024;

    /// A stream with some large records in each of its shards.
    async fn full(world: &World) -> Arc<DataStream> {
        let new = NewDataStream {
            name: base::StreamName::new("orders").unwrap(),
            shards: SHARDS,
            retention: Duration::from_hours(24),
            mode: StreamMode::Provisioned,
            tags: base::Tags::new(),
            max_record_kib: 1024,
        };
        let stream = world.app.catalog.create_data_stream(new).await.unwrap();
        for _ in 0..2 {
            for shard in &stream.shards {
                let data = Bytes::from(vec![0; LARGE]);
                let record = Record { partition_key: Bytes::from_static(b"key"), data };
                let new = NewRecord { record, hash: shard.start };
                world.app.data_streams.put(&stream, vec![new]).await[0].as_ref().unwrap();
                world.clock.advance(Duration::from_millis(1));
            }
        }
        stream
    }

    #[tokio::test]
    async fn memory_is_bounded_whatever_the_shards_hold_and_all_of_it_comes() {
        let world = World::with(0).await;
        let stream = full(&world).await;
        let found = Found { stream: Arc::clone(&stream), fragments: false };
        let from = stream.shards.iter().map(|shard| (shard.clone(), 0)).collect();
        let mut tail = Tail::new(Arc::clone(&world.app.records), found, from, false);
        let mut seen = vec![Vec::new(); SHARDS as usize];
        while !tail.is_over() {
            for told in tail.take(ReadLimits { records: 1, bytes: 1 }).await.unwrap() {
                seen[told.shard as usize].push(told.sequence.index);
            }
            assert!(tail.held <= HELD + LARGE + 3, "{} bytes are held", tail.held);
        }
        assert_eq!(tail.held, 0);
        assert!(seen.iter().all(|indexes| indexes == &[1, 2]), "{seen:?}");
    }
}
