//! A log, a catalog and an index in a temporary folder, with footage in them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, FragmentMeta, FragmentNumber, Limits, StreamId, StreamName, SystemEntropy};
use bytes::Bytes;
use catalog::{Catalog, CatalogOptions, NewStream};
use fixtures::{Clip, FakeClock};
use fragment_log::{Entry, FrameKind, LaneId, Log, MasterKey, Options, RetentionClass};
use futures::TryStreamExt;
use indexer::{Indexer, IndexerOptions};
use playback::hls::{InitRef, Uris};
use playback::{ByteStream, ClockKind, Playback, PlaybackError, Window};

/// Base64 of 32 bytes.
const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// What runs on a data folder.
pub struct World {
    pub clock: Arc<FakeClock>,
    pub catalog: Arc<Catalog>,
    pub playback: Playback,
    pub stream: StreamId,
    log: Arc<Log>,
}

impl World {
    /// Opens the folder; `door` is the stream in it.
    pub async fn open(dir: &Path) -> Self {
        let clock = Arc::new(FakeClock::default());
        let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
        let master = MasterKey::from_base64(MASTER).unwrap();
        let log = Arc::new(Log::open(Options { clock: shared(), ..Options::new(dir, master) }).unwrap());
        let options = CatalogOptions {
            dir: dir.join("index"),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: shared(),
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            device_retention: Duration::from_hours(1),
        };
        let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
        let options = IndexerOptions { dir: dir.join("index"), clock: shared() };
        let indexer = Indexer::open(Arc::clone(&log), Arc::clone(&catalog), options).unwrap();
        let name = StreamName::new("door").unwrap();
        let stream = match catalog.stream(&name) {
            Some(stream) => stream.id,
            None => {
                let new = NewStream::new(name, Duration::from_hours(240));
                catalog.create_stream(new).await.unwrap().id
            }
        };
        let playback = Playback::new(Arc::clone(&log), indexer, shared());
        Self { clock, catalog, playback, stream, log }
    }

    /// Records these fragments of a clip.
    pub async fn record(&self, clip: &Clip, indexes: std::ops::Range<u64>) -> Vec<FragmentMeta> {
        let mut metas = Vec::new();
        for index in indexes {
            let (meta, file) = clip.fragment(index);
            self.append(&meta, file).await;
            metas.push(meta);
        }
        metas
    }

    pub async fn append(&self, meta: &FragmentMeta, file: Vec<Bytes>) {
        let entry = |kind, count, payload| Entry {
            kind,
            stream: self.stream,
            shard: 0,
            first_sequence: meta.number.to_u64(),
            count,
            server_time: meta.server_timestamp,
            producer_time: meta.producer_timestamp,
            flags: 0,
            payload,
        };
        let mut file = joined(file);
        let second = file.split_off(file.len() / 2);
        let commit = Bytes::from(meta.pack());
        let entries = vec![
            entry(FrameKind::Media, 0, vec![file]),
            entry(FrameKind::Media, 1, vec![second]),
            entry(FrameKind::FragmentMeta, 2, vec![commit]),
        ];
        let lane = LaneId::Bulk(RetentionClass::class_for(Duration::from_hours(240)));
        self.log.append(lane, entries).await.unwrap();
    }

    /// A whole answer.
    pub async fn text(&self, answer: Result<ByteStream, PlaybackError>) -> String {
        String::from_utf8(read(answer.unwrap()).await.to_vec()).unwrap()
    }
}

/// Everything a stream gives.
pub async fn read(stream: ByteStream) -> Bytes {
    joined(stream.try_collect::<Vec<_>>().await.unwrap())
}

pub fn joined(pieces: Vec<Bytes>) -> Bytes {
    Bytes::from(pieces.concat())
}

/// From the first of these fragments to the last.
pub fn window(metas: &[FragmentMeta]) -> Window {
    Window {
        clock: ClockKind::Producer,
        start: Some(metas[0].producer_timestamp),
        end: Some(metas[metas.len() - 1].producer_timestamp),
    }
}

/// URIs as file names: `1.m3u8`, `1-RUN-ID.mp4`, `1-NUMBER.m4s`.
pub struct Files;

impl Uris for Files {
    fn media_playlist(&self, out: &mut String, track: u8) {
        out.push_str(&format!("{track}.m3u8"));
    }

    fn init_segment(&self, out: &mut String, track: u8, init: InitRef) {
        out.push_str(&format!("{track}-{init}.mp4"));
    }

    fn media_segment(&self, out: &mut String, track: u8, number: FragmentNumber) {
        out.push_str(&format!("{track}-{number}.m4s"));
    }
}
