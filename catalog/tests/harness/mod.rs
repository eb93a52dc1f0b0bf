//! An installation in a temporary folder that can be stopped and started again.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Limits, StreamId, StreamName, SystemClock, SystemEntropy, Timestamp};
use bytes::Bytes;
use catalog::{
    AccessKey, Catalog, CatalogError, CatalogOptions, Consumer, DataStream, Device, Hold, MediaSecret,
    Sources, Stream,
};
use fragment_log::{Entry, FrameKind, INSTALLATION, LaneId, Log, MasterKey, Options};
use tempfile::TempDir;

pub const DEVICE_RETENTION: Duration = Duration::from_hours(24 * 7);

pub struct Installation {
    home: TempDir,
    pub limits: Limits,
}

/// Everything the catalog can be asked for, to compare before and after.
#[derive(Debug, PartialEq)]
pub struct Answers {
    pub streams: Vec<Arc<Stream>>,
    pub access_keys: Vec<Arc<AccessKey>>,
    pub devices: Vec<Arc<Device>>,
    pub holds: Vec<Arc<Hold>>,
    pub sources: Sources,
    pub media_secrets: Vec<Arc<MediaSecret>>,
    pub data_streams: Vec<Arc<DataStream>>,
    pub consumers: Vec<Arc<Consumer>>,
}

impl Installation {
    pub fn new() -> Self {
        Self { home: TempDir::new().unwrap(), limits: Limits::default() }
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn index(&self) -> PathBuf {
        self.data().join("index")
    }

    pub fn view(&self) -> PathBuf {
        self.index().join("catalog.sqlite")
    }

    pub fn log(&self) -> Arc<Log> {
        let file = self.home.path().join("master.key");
        let master =
            if file.exists() { MasterKey::load(&file) } else { MasterKey::create(&file, &SystemEntropy) };
        Arc::new(Log::open(Options::new(self.data(), master.unwrap())).unwrap())
    }

    pub fn open_on(&self, log: &Arc<Log>) -> Result<Arc<Catalog>, CatalogError> {
        let options = CatalogOptions {
            dir: self.index(),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            limits: self.limits.clone(),
            device_retention: DEVICE_RETENTION,
        };
        Catalog::open(Arc::clone(log), options)
    }

    pub fn start(&self) -> Running {
        let log = self.log();
        let catalog = self.open_on(&log).unwrap();
        Running { catalog, log }
    }

    /// What a crash at this moment would leave.
    pub fn crash_image(&self) -> Self {
        let image = Self { home: TempDir::new().unwrap(), limits: self.limits.clone() };
        copy_folder(self.home.path(), image.home.path());
        image
    }

    pub fn delete_view(&self) {
        fs::remove_dir_all(self.index()).unwrap();
    }
}

/// Fields are dropped in this order.
pub struct Running {
    pub catalog: Arc<Catalog>,
    pub log: Arc<Log>,
}

impl Running {
    pub fn answers(&self) -> Answers {
        let streams: Vec<_> = self.catalog.streams().values().cloned().collect();
        let data_streams: Vec<_> = self.catalog.data_streams().values().cloned().collect();
        let ids = streams.iter().map(|stream| stream.id).chain(data_streams.iter().map(|stream| stream.id));
        Answers {
            consumers: ids.flat_map(|id| self.catalog.consumers(id)).collect(),
            data_streams,
            holds: streams.iter().flat_map(|stream| self.catalog.holds(stream.id)).collect(),
            streams,
            access_keys: self.catalog.access_keys(),
            devices: self.catalog.devices(),
            sources: Arc::clone(&self.catalog.sources().borrow()),
            media_secrets: self.catalog.media_secrets(),
        }
    }

    /// Appends a command as another part of the program, or a newer one, might have.
    pub async fn append_raw(&self, command: &str) {
        append_raw(&self.log, command).await;
    }

    /// Stops, with the view written and the data folder unlocked.
    pub fn stop(self) {
        drop(self.catalog);
        let log = Arc::into_inner(self.log).expect("the catalog lets go of the log when it is dropped");
        log.close();
    }
}

pub async fn append_raw(log: &Log, command: &str) {
    let entry = Entry {
        kind: FrameKind::Command,
        stream: INSTALLATION,
        shard: 0,
        first_sequence: 0,
        count: 1,
        server_time: Timestamp::from_millis(0),
        producer_time: Timestamp::from_millis(0),
        flags: 0,
        payload: vec![Bytes::from(command.to_owned())],
    };
    log.append(LaneId::Control, vec![entry]).await.unwrap();
}

pub fn media_entry(stream: StreamId, payload: &'static [u8]) -> Entry {
    Entry {
        kind: FrameKind::Media,
        stream,
        shard: 0,
        first_sequence: 1,
        count: 0,
        server_time: Timestamp::from_millis(0),
        producer_time: Timestamp::from_millis(0),
        flags: 0,
        payload: vec![Bytes::from_static(payload)],
    }
}

pub fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

/// Every file under a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

pub fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}
