//! An installation in a temporary folder, with a clock in the test's hand, that can be stopped,
//! copied as a crash would leave it, and started again.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Limits, StreamName, SystemEntropy, Tags, Timestamp};
use bytes::Bytes;
use catalog::{Catalog, CatalogOptions, DataStream, NewDataStream, StreamMode};
use data_streams::{Batch, DataStreams, NewRecord, Placed, ReadLimits, ReadRecord, Record, hash_key};
use fixtures::FakeClock;
use fragment_log::{LaneId, Log, MasterKey, Options};
use tempfile::TempDir;

pub const HOUR: Duration = Duration::from_hours(1);
pub const ALL: ReadLimits = ReadLimits { records: usize::MAX, bytes: usize::MAX };
/// Segments of record lanes.
const SEGMENT_BYTES: u64 = 64 * 1024;

pub struct World {
    home: TempDir,
    pub clock: Arc<FakeClock>,
}

impl World {
    pub fn new() -> Self {
        Self { home: TempDir::new().unwrap(), clock: Arc::default() }
    }

    pub fn start(&self) -> Running {
        let master = MasterKey::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let options = Options {
            segment_bytes: 4 * SEGMENT_BYTES,
            clock: Arc::clone(&clock),
            ..Options::new(self.home.path(), master)
        };
        let log = Arc::new(Log::open(options).unwrap());
        let options = CatalogOptions {
            dir: self.home.path().join("index"),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            device_retention: HOUR,
        };
        let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
        let streams = DataStreams::open(Arc::clone(&log), Arc::clone(&catalog), Arc::clone(&clock)).unwrap();
        Running { streams, catalog, log, clock }
    }

    /// What a crash at this moment would leave.
    pub fn crash_image(&self) -> Self {
        let image = Self { home: TempDir::new().unwrap(), clock: Arc::clone(&self.clock) };
        copy_folder(self.home.path(), image.home.path());
        image
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            std::fs::copy(path, copy).unwrap();
        }
    }
}

/// Fields are dropped in this order.
pub struct Running {
    pub streams: Arc<DataStreams>,
    pub catalog: Arc<Catalog>,
    pub log: Arc<Log>,
    clock: Arc<dyn Clock>,
}

impl Running {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn stream(&self, name: &str, shards: u32) -> Arc<DataStream> {
        let new = NewDataStream {
            name: StreamName::new(name).unwrap(),
            shards,
            retention: 24 * HOUR,
            mode: StreamMode::Provisioned,
            tags: Tags::new(),
            max_record_kib: 10_240,
        };
        self.catalog.create_data_stream(new).await.unwrap()
    }

    pub fn stream_named(&self, name: &str) -> Arc<DataStream> {
        self.catalog.data_stream(&StreamName::new(name).unwrap()).unwrap()
    }

    pub async fn put(&self, stream: &DataStream, records: &[NewRecord]) -> Vec<Placed> {
        let placed = self.streams.put(stream, records.to_vec()).await;
        placed.into_iter().map(Result::unwrap).collect()
    }

    pub async fn read(&self, stream: &DataStream, shard: u32, from: u64) -> Batch {
        self.streams.read(stream, shard, from, ALL).await.unwrap()
    }

    /// Puts so much to another stream that the lane begins a new segment.
    pub async fn fill_segment(&self) {
        let name = StreamName::new("filler").unwrap();
        let filler = match self.catalog.data_stream(&name) {
            Some(filler) => filler,
            None => self.stream("filler", 1).await,
        };
        let mut large = records(0..1);
        large[0].record.data = Bytes::from(vec![0; SEGMENT_BYTES as usize]);
        for _ in 0..3 {
            self.put(&filler, &large).await;
        }
    }

    /// Segments of the record lanes.
    pub fn segments(&self) -> usize {
        self.log.segments().iter().filter(|info| matches!(info.lane, LaneId::Records(_))).count()
    }

    pub fn stop(self) {
        drop(self.streams);
        drop(self.catalog);
        self.log.close();
    }
}

/// Records of these numbers: `value 3` under `key 3`.
pub fn records(numbers: Range<u64>) -> Vec<NewRecord> {
    let record = |n| {
        let key = format!("key {n}");
        let record =
            Record { partition_key: Bytes::from(key.clone()), data: Bytes::from(format!("value {n}")) };
        NewRecord { record, hash: hash_key(&key) }
    };
    numbers.map(record).collect()
}

pub fn texts(records: &[ReadRecord]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
}
