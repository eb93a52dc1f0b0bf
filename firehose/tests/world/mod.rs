//! An installation in a temporary folder with delivery streams, a store in memory that does as it is told, and
//! crashes: a copy of the folder, started as if the process had died.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Arn, Clock, Limits, StreamName, SystemEntropy, Tags};
use bytes::Bytes;
use catalog::{
    BufferHints, Catalog, CatalogOptions, Compression, DataStream, Delivery, DeliverySource, Destination,
    NewDataStream, NewDelivery, S3Target, StreamMode,
};
use data_streams::{Batch, DataStreams, NewRecord, ReadLimits, Record, hash_key};
use firehose::{
    ANSWER, Deliveries, Failure, Object, ObjectStore, Options, SourceError, SourceStream, Streams,
};
use fixtures::FakeClock;
use fragment_log::{Log, LogError, MasterKey, Options as LogOptions};
use futures::future::BoxFuture;
use outbound::{AddressRules, Client};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is stored, and what the store does next.
#[derive(Default)]
pub struct Store {
    pub objects: Mutex<BTreeMap<String, Bytes>>,
    /// Puts that were asked for.
    pub puts: Mutex<u64>,
    /// Whether the nth put fails, and whether it stores all the same.
    pub fate: Mutex<Option<Fate>>,
    /// Whether the process is dead, as far as the store knows: nothing reaches it, and nobody hears of it.
    pub cut_off: AtomicBool,
}

/// Of a put's number: does it store, and does it say so?
pub type Fate = Box<dyn Fn(u64) -> (bool, bool) + Send>;

impl Store {
    pub fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// The text of every object, unzipped, by name.
    pub fn texts(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(name, body)| text(name, body)).collect()
    }
}

fn text(name: &str, body: &[u8]) -> String {
    if !name.ends_with(".gz") {
        return String::from_utf8(body.to_vec()).unwrap();
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

impl ObjectStore for Store {
    fn put<'a>(&'a self, bucket: &'a str, object: Object) -> BoxFuture<'a, Result<(), Failure>> {
        assert_eq!(bucket, "lake");
        Box::pin(async move {
            if self.cut_off.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let number = {
                let mut puts = self.puts.lock().unwrap();
                *puts += 1;
                *puts
            };
            let (stores, says) = self.fate.lock().unwrap().as_ref().map_or((true, true), |fate| fate(number));
            if stores {
                self.objects.lock().unwrap().insert(object.key, object.body);
            }
            let failure = || Failure { code: "S3.InternalError", text: "no".into(), is_final: false };
            if says { Ok(()) } else { Err(failure()) }
        })
    }
}

/// Data streams and what is put to delivery streams.
struct Records {
    catalog: Arc<Catalog>,
    data_streams: Arc<DataStreams>,
}

impl Streams for Records {
    fn find(&self, arn: &Arn) -> Option<SourceStream> {
        Some(SourceStream { stream: self.catalog.data_stream_by_arn(arn)?, fragments: false })
    }

    fn durable(&self, source: &SourceStream, shard: u32) -> u64 {
        self.data_streams.durable(&source.stream, shard)
    }

    fn grown<'a>(&'a self, source: &'a SourceStream, shard: u32, end: u64) -> BoxFuture<'a, ()> {
        let mut tip = self.data_streams.watch(&source.stream, shard);
        Box::pin(async move {
            let _ = tip.wait_for(|durable| *durable > end).await;
        })
    }

    fn stored_bytes(&self, source: &SourceStream, shard: u32, records: Range<u64>) -> u64 {
        self.data_streams.stored_bytes(&source.stream, shard, records)
    }

    fn read<'a>(
        &'a self,
        source: &'a SourceStream,
        shard: u32,
        from: u64,
        limits: ReadLimits,
    ) -> BoxFuture<'a, Result<Batch, SourceError>> {
        let (catalog, id) = (&self.catalog, source.stream.id);
        let gone = catalog.data_stream_by_id(id).is_none() && catalog.delivery_by_id(id).is_none();
        Box::pin(async move {
            if gone {
                return Err(SourceError::Gone);
            }
            let read = self.data_streams.read(&source.stream, shard, from, limits).await;
            read.map_err(|error| match error {
                LogError::NoKey(_) => SourceError::Gone,
                other => SourceError::Failed(other.to_string()),
            })
        })
    }
}

pub struct World {
    home: TempDir,
    pub clock: Arc<FakeClock>,
    pub store: Arc<Store>,
}

impl World {
    pub fn new() -> Self {
        Self { home: TempDir::new().unwrap(), clock: Arc::default(), store: Arc::default() }
    }

    pub fn start(&self) -> Running {
        let master = MasterKey::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        let options = LogOptions {
            clock: Arc::clone(&self.clock) as _,
            tail_bytes: 1024 * 1024,
            ..LogOptions::new(self.home.path(), master)
        };
        let log = Arc::new(Log::open(options).unwrap());
        let options = CatalogOptions {
            dir: self.home.path().join("index"),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            device_retention: Duration::from_hours(1),
        };
        let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
        let clock = Arc::clone(&self.clock) as _;
        let streams = DataStreams::open(Arc::clone(&log), Arc::clone(&catalog), clock).unwrap();
        let records = Records { catalog: Arc::clone(&catalog), data_streams: Arc::clone(&streams) };
        // Tests stay on loopback.
        let rules = AddressRules { allow: vec!["127.0.0.0/8".parse().unwrap()], own: Vec::new() };
        let deliveries = Deliveries::new(Options {
            catalog: Arc::clone(&catalog),
            streams: Arc::new(records),
            store: Some(Arc::clone(&self.store) as _),
            client: Client::new(rules, ANSWER),
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(SystemEntropy),
            memory_mib: 16,
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Arc::clone(&deliveries).run(stopped));
        Running { deliveries, streams, catalog, log, task, stop }
    }

    /// Now: what a test may tell its streams apart by.
    pub fn clock_millis(&self) -> i64 {
        self.clock.now().millis()
    }

    /// What a crash at this moment would leave; the store is the same.
    pub fn crash_image(&self) -> Self {
        let image = TempDir::new().unwrap();
        copy_folder(self.home.path(), image.path());
        Self { home: image, clock: Arc::clone(&self.clock), store: Arc::clone(&self.store) }
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

pub struct Running {
    pub deliveries: Arc<Deliveries>,
    pub streams: Arc<DataStreams>,
    pub catalog: Arc<Catalog>,
    log: Arc<Log>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    pub async fn delivery(&self, name: &str, destination: Destination) -> Arc<Delivery> {
        self.delivery_from(name, DeliverySource::DirectPut { throughput_hint: None }, destination).await
    }

    pub async fn delivery_from(
        &self,
        name: &str,
        source: DeliverySource,
        destination: Destination,
    ) -> Arc<Delivery> {
        let name = StreamName::new(name).unwrap();
        let new = NewDelivery { name, source, destination, encrypted: false, tags: Tags::new() };
        self.catalog.create_delivery(new).await.unwrap()
    }

    pub async fn data_stream(&self, name: &str, shards: u32) -> Arc<DataStream> {
        let new = NewDataStream {
            name: StreamName::new(name).unwrap(),
            shards,
            retention: Duration::from_hours(24),
            mode: StreamMode::Provisioned,
            tags: Tags::new(),
            max_record_kib: 1024,
        };
        self.catalog.create_data_stream(new).await.unwrap()
    }

    /// Puts `<3>` for the number 3, each under a key of its own.
    pub async fn put(&self, stream: &DataStream, numbers: Range<u64>) {
        let record = |n: u64| {
            let record = Record { partition_key: Bytes::new(), data: Bytes::from(format!("<{n}>")) };
            NewRecord { record, hash: hash_key(&n.to_string()) }
        };
        for placed in self.streams.put(stream, numbers.map(record).collect()).await {
            placed.unwrap();
        }
    }

    /// Until it is so; panics where it does not come.
    pub async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let waited = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "{what} did not come");
    }

    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        drop(self.deliveries);
        drop(self.streams);
        drop(self.catalog);
        self.log.close();
    }
}

pub fn target(prefix: Option<&str>, interval_secs: u32) -> S3Target {
    S3Target {
        role_arn: "arn:aws:iam::000000000000:role/delivery".into(),
        bucket_arn: "arn:aws:s3:::lake".into(),
        prefix: prefix.map(str::to_owned),
        error_prefix: Some("failed/".into()),
        buffer: BufferHints { size_mib: 1, interval_secs },
        compression: Compression::Gzip,
        kms_key_arn: None,
        logging: None,
        file_extension: None,
        time_zone: None,
    }
}

pub fn to_s3(prefix: Option<&str>, interval_secs: u32) -> Destination {
    Destination::S3 { target: target(prefix, interval_secs), backup: None }
}

/// The numbers in texts, in order.
pub fn numbers(texts: &[String]) -> Vec<u64> {
    let all = texts.concat();
    let mut numbers: Vec<u64> =
        all.split_terminator('>').map(|one| one.trim_start_matches('<').parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}
