//! A log, a catalog and recording on a disk that can fail, with a clock that stands still.

#![allow(clippy::unwrap_used, reason = "a test's own machinery")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use base::{Clock, FragmentMeta, Limits, StreamId, StreamName, Timestamp};
use bytes::Bytes;
use catalog::{Allow, Catalog, CatalogOptions, Principal, StreamGlob};
use fixtures::{AUDIO, Arrival, Camera, FakeClock, FaultyDisk, Happening, SeededEntropy, VIDEO};
use fragment_log::{
    Durable, Entry, Follower, FrameKind, INSTALLATION, LaneId, Location, Log, Lsn, MasterKey, Options,
    RetentionClass,
};
use ingest::{
    Ingest, IngestError, IngestOptions, Publisher, Recorder, Resume, StoredFile, TimestampSource, TrackSource,
};
use tempfile::TempDir;

/// What is on disk, as an index would know it.
#[derive(Default)]
pub struct Index(Mutex<Known>);

#[derive(Default)]
struct Known {
    pieces: BTreeMap<(StreamId, u64), BTreeMap<u32, Location>>,
    fragments: Vec<(StreamId, FragmentMeta, Vec<Location>)>,
    parts: usize,
    /// Where files are read.
    log: Option<Weak<Log>>,
}

impl Follower for Index {
    fn durable(&self, _: LaneId, frames: &[Durable]) {
        let mut known = self.0.lock().unwrap();
        for Durable { header, location, payload, .. } in frames {
            let key = (header.stream, header.first_sequence);
            match header.kind {
                FrameKind::Media => {
                    let before = known.pieces.entry(key).or_default().insert(header.count, *location);
                    assert_eq!(before, None, "a piece is written once");
                }
                FrameKind::FragmentMeta => {
                    let meta = FragmentMeta::unpack(payload.as_ref().unwrap()).unwrap();
                    let pieces = known.pieces.remove(&key).unwrap();
                    assert!(
                        pieces.keys().copied().eq(0..header.count),
                        "{:?} {}",
                        pieces.keys(),
                        header.count
                    );
                    known.fragments.push((header.stream, meta, pieces.into_values().collect()));
                }
                FrameKind::FragmentPart => known.parts += 1,
                FrameKind::Command | FrameKind::Records | FrameKind::Event => {}
            }
        }
    }
}

impl Resume for Index {
    fn last(&self, stream: StreamId) -> Option<FragmentMeta> {
        let known = self.0.lock().unwrap();
        let of_stream = known.fragments.iter().filter(|(id, ..)| *id == stream);
        of_stream.map(|(_, meta, _)| meta.clone()).next_back()
    }

    fn made_at(
        &self,
        stream: StreamId,
        producer: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<StoredFile>> + Send + '_>> {
        let known = self.0.lock().unwrap();
        let log = known.log.clone().and_then(|log| log.upgrade());
        let of_stream = known.fragments.iter().filter(move |(id, ..)| *id == stream);
        let then = of_stream.filter(move |(_, meta, _)| meta.producer_timestamp == producer);
        let found: Vec<_> = then.map(|(_, meta, pieces)| (meta.number, pieces.clone())).collect();
        Box::pin(async move {
            let mut files = Vec::new();
            for (number, pieces) in found {
                files.push((number, log.as_ref().unwrap().read_all(&pieces).await.unwrap()));
            }
            files
        })
    }
}

pub struct Installation {
    pub clock: Arc<FakeClock>,
    pub disk: FaultyDisk,
    pub log: Arc<Log>,
    pub catalog: Arc<Catalog>,
    pub index: Arc<Index>,
    pub ingest: Ingest,
    pub device: Principal,
    home: TempDir,
    /// How often the data folder was opened.
    starts: u64,
}

impl Installation {
    pub async fn new() -> Self {
        let home = TempDir::new().unwrap();
        MasterKey::create(&home.path().join("master.key"), &SeededEntropy::new(0)).unwrap();
        let new = Self::open(home, Arc::new(FakeClock::default()), 1).await;
        new.make_segment().await;
        new
    }

    /// What the next process finds where this one is killed now, and its newest segment of footage is
    /// `cut` to so many bytes, if at all. Nothing is recovered yet.
    pub async fn killed(&self, cut: Option<u64>) -> Self {
        let home = TempDir::new().unwrap();
        copy(self.home.path(), home.path());
        if let Some(bytes) = cut {
            let folder = home.path().join("data/log/bulk-day");
            let newest = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).max();
            let file = std::fs::File::options().write(true).open(newest.unwrap()).unwrap();
            file.set_len(bytes).unwrap();
        }
        Self::open(home, Arc::clone(&self.clock), self.starts + 1).await
    }

    /// Closes what was open, as a server does before it records.
    pub async fn recover(&self) -> u64 {
        ingest::recover(&self.log, &self.catalog, &Limits::default()).await
    }

    /// Notes of parts that were journaled.
    pub fn parts(&self) -> usize {
        self.index.0.lock().unwrap().parts
    }

    async fn open(home: TempDir, clock: Arc<FakeClock>, starts: u64) -> Self {
        let disk = FaultyDisk::default();
        let entropy = Arc::new(SeededEntropy::new(starts));
        let master = MasterKey::load(&home.path().join("master.key")).unwrap();
        let mut options = Options::new(home.path().join("data"), master);
        (options.clock, options.io) = (Arc::clone(&clock) as _, Arc::new(disk.clone()));
        let log = Arc::new(Log::open(options).unwrap());
        let options = CatalogOptions {
            dir: home.path().join("data/index"),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::clone(&clock) as _,
            entropy,
            limits: Limits::default(),
            device_retention: Duration::from_hours(1),
        };
        let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
        let index = Arc::new(Index::default());
        index.0.lock().unwrap().log = Some(Arc::downgrade(&log));
        for lane in log.lanes() {
            let mut each = |frame| {
                index.durable(lane, &[frame]);
                Ok(())
            };
            log.replay(lane, Lsn(0), &mut each).unwrap();
        }
        log.follow(Arc::clone(&index) as _);
        let ingest = Ingest::new(IngestOptions {
            log: Arc::clone(&log),
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock) as _,
            limits: Arc::new(Limits::default()),
            resume: Arc::clone(&index) as _,
            timestamps: TimestampSource::Auto,
        });
        let allow = Allow { publish: true, play: false, create: true };
        let credential = catalog.create_device(StreamGlob::new("cam-*").unwrap(), allow).await.unwrap();
        let device = Principal::Device(catalog.device_by_username(&credential.username).unwrap());
        Self { clock, disk, log, catalog, index, ingest, device, home, starts }
    }

    /// What is on disk of a stream.
    pub fn stored(&self, name: &str) -> Vec<(FragmentMeta, Vec<Location>)> {
        let id = self.catalog.stream(&stream(name)).unwrap().id;
        let known = self.index.0.lock().unwrap();
        let of_stream = known.fragments.iter().filter(|(stream, ..)| *stream == id);
        of_stream.map(|(_, meta, pieces)| (meta.clone(), pieces.clone())).collect()
    }

    pub async fn file(&self, pieces: &[Location]) -> Bytes {
        self.log.read_all(pieces).await.unwrap()
    }

    pub fn health(&self, name: &str) -> ingest::StreamHealth {
        self.ingest.health(self.catalog.stream(&stream(name)).unwrap().id).unwrap()
    }

    pub async fn publish(&self, name: &str) -> Result<Recorder, IngestError> {
        let publisher = Publisher { peer: peer(), principal: self.device.clone() };
        let mut recorder = self.ingest.publish(&stream(name), &publisher).await?;
        let source = |(number, clock_rate), video| TrackSource { number, video, clock_rate };
        recorder.set_tracks(&[source(VIDEO, true), source(AUDIO, false)]).unwrap();
        Ok(recorder)
    }

    /// Lets a camera send for `length` from now on.
    pub async fn send(
        &self,
        recorder: &mut Recorder,
        camera: &Camera,
        length: Duration,
    ) -> Result<(), IngestError> {
        self.send_at(recorder, camera, length, false).await
    }

    /// The same, but each second it waits until what was sent is on disk.
    pub async fn send_slowly(
        &self,
        recorder: &mut Recorder,
        camera: &Camera,
        length: Duration,
    ) -> Result<(), IngestError> {
        self.send_at(recorder, camera, length, true).await?;
        self.rest().await;
        Ok(())
    }

    async fn send_at(
        &self,
        recorder: &mut Recorder,
        camera: &Camera,
        length: Duration,
        slowly: bool,
    ) -> Result<(), IngestError> {
        let (zero, since) = (self.clock.now(), self.clock.monotonic());
        for Arrival { arrival, track, what, .. } in camera.run(zero).take_while(|next| next.arrival < length)
        {
            let arrival = since + arrival;
            if slowly && self.clock.monotonic().as_secs() < arrival.as_secs() {
                self.rest().await;
            }
            self.clock.advance_to(arrival);
            match what {
                Happening::Unit(unit) => recorder.access_unit(track, unit, arrival).await?,
                Happening::Report(report) => recorder.sender_report(track, &report, arrival),
            }
        }
        Ok(())
    }
}

impl Installation {
    /// A lane tells of itself once it has a segment.
    async fn make_segment(&self) {
        let entry = Entry {
            kind: FrameKind::Records,
            stream: INSTALLATION,
            shard: 0,
            first_sequence: 0,
            count: 0,
            server_time: self.clock.now(),
            producer_time: self.clock.now(),
            flags: 0,
            payload: Vec::new(),
        };
        self.log.append(LaneId::Bulk(RetentionClass::Day), vec![entry]).await.unwrap();
    }

    /// Lets the writers come to rest: this runtime has one thread.
    async fn rest(&self) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            while self.log.metrics().lanes.iter().any(|lane| lane.queued_bytes > 0) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let (path, to) = (file.as_ref().unwrap().path(), to.join(file.unwrap().file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

pub fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 5004))
}
