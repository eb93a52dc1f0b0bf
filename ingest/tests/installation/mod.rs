//! A log, a catalog and recording on a disk that can fail, with a clock that stands still.

#![allow(clippy::unwrap_used, reason = "a test's own machinery")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, FragmentMeta, Limits, StreamId, StreamName};
use bytes::Bytes;
use catalog::{Allow, Catalog, CatalogOptions, Principal, StreamGlob};
use fixtures::{AUDIO, Arrival, Camera, FakeClock, FaultyDisk, Happening, SeededEntropy, VIDEO};
use fragment_log::{Durable, Follower, FrameKind, LaneId, Location, Log, MasterKey, Options};
use ingest::{Ingest, IngestError, IngestOptions, Publisher, Recorder, Resume, TimestampSource, TrackSource};
use tempfile::TempDir;

/// What is on disk, as an index would know it.
#[derive(Default)]
pub struct Index(Mutex<Known>);

#[derive(Default)]
struct Known {
    pieces: BTreeMap<(StreamId, u64), Vec<Location>>,
    fragments: Vec<(StreamId, FragmentMeta, Vec<Location>)>,
}

impl Follower for Index {
    fn durable(&self, _: LaneId, frames: &[Durable]) {
        let mut known = self.0.lock().unwrap();
        for Durable { header, location, payload, .. } in frames {
            let key = (header.stream, header.first_sequence);
            match header.kind {
                FrameKind::Media => known.pieces.entry(key).or_default().push(*location),
                FrameKind::FragmentMeta => {
                    let meta = serde_json::from_slice(payload.as_ref().unwrap()).unwrap();
                    let pieces = known.pieces.remove(&key).unwrap();
                    assert_eq!(usize::try_from(header.count).unwrap(), pieces.len());
                    known.fragments.push((header.stream, meta, pieces));
                }
                FrameKind::Command | FrameKind::Records => {}
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
}

pub struct Installation {
    pub clock: Arc<FakeClock>,
    pub disk: FaultyDisk,
    pub log: Arc<Log>,
    pub catalog: Arc<Catalog>,
    pub index: Arc<Index>,
    pub ingest: Ingest,
    pub device: Principal,
    _home: TempDir,
}

impl Installation {
    pub async fn new() -> Self {
        let home = TempDir::new().unwrap();
        let (clock, disk) = (Arc::new(FakeClock::default()), FaultyDisk::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        let master = MasterKey::create(&home.path().join("master.key"), &*entropy).unwrap();
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
        Self { clock, disk, log, catalog, index, ingest, device, _home: home }
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
        let (zero, since) = (self.clock.now(), self.clock.monotonic());
        for Arrival { arrival, track, what, .. } in camera.run(zero).take_while(|next| next.arrival < length)
        {
            let arrival = since + arrival;
            self.clock.advance_to(arrival);
            match what {
                Happening::Unit(unit) => recorder.access_unit(track, unit, arrival).await?,
                Happening::Report(report) => recorder.sender_report(track, &report, arrival),
            }
        }
        Ok(())
    }
}

pub fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 5004))
}
