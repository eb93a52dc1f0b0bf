//! A log, a catalog and an index in a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base::{Clock, FragmentNumber, Limits, RunId, StreamId, StreamName, SystemEntropy, Tags, Timestamp};
use bytes::Bytes;
use catalog::{Catalog, CatalogOptions, NewHold, NewStream, Principal, Stream, StreamGlob, StreamUpdate};
use fragment_log::io::{DiskIo, Io};
use fragment_log::{Entry, FrameKind, LaneId, Log, MasterKey, Options, RetentionClass};

use super::{NOON, entry};
use crate::{FragmentEntry, Indexer, IndexerOptions, SearchQuery, Window};

/// Base64 of 32 bytes.
const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// Small, so that a few fragments fill a segment.
const SEGMENT_BYTES: u64 = 64 * 1024;
const PIECE: usize = 5_000;

/// How large things are.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub segment: u64,
    /// Of a fragment's two pieces.
    pub piece: usize,
}

/// A clock that stands still until it is moved.
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn advance(&self, millis: i64) -> i64 {
        self.0.fetch_add(millis, Ordering::SeqCst) + millis
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis((self.0.load(Ordering::SeqCst) - NOON).unsigned_abs())
    }
}

/// What runs on a data folder.
pub(crate) struct World {
    pub dir: PathBuf,
    sizes: Sizes,
    io: Arc<dyn Io>,
    pub clock: Arc<StillClock>,
    pub log: Arc<Log>,
    pub catalog: Arc<Catalog>,
}

impl World {
    pub(crate) fn open(dir: &Path) -> Self {
        Self::sized(dir, Sizes { segment: SEGMENT_BYTES, piece: PIECE })
    }

    pub(crate) fn sized(dir: &Path, sizes: Sizes) -> Self {
        Self::on(dir, sizes, Arc::new(DiskIo))
    }

    pub(crate) fn on(dir: &Path, sizes: Sizes, io: Arc<dyn Io>) -> Self {
        Self::at(dir, sizes, io, Arc::new(StillClock(AtomicI64::new(NOON))))
    }

    fn at(dir: &Path, sizes: Sizes, io: Arc<dyn Io>, clock: Arc<StillClock>) -> Self {
        let options = Options {
            segment_bytes: sizes.segment,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            io: Arc::clone(&io),
            ..Options::new(dir, MasterKey::from_base64(MASTER).unwrap())
        };
        let log = Arc::new(Log::open(options).unwrap());
        let options = CatalogOptions {
            dir: dir.join("index"),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            device_retention: Duration::from_hours(1),
        };
        let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
        Self { dir: dir.to_owned(), sizes, io, clock, log, catalog }
    }

    /// Closes everything and opens it again.
    pub(crate) fn reopen(self, indexer: Option<Arc<Indexer>>) -> Self {
        drop(indexer);
        let Self { dir, sizes, io, clock, log, catalog } = self;
        drop(catalog);
        assert_eq!(Arc::strong_count(&log), 1, "somebody keeps the log open");
        drop(log);
        Self::at(&dir, sizes, io, clock)
    }

    pub(crate) fn options(&self) -> IndexerOptions {
        IndexerOptions { dir: self.dir.join("index"), clock: Arc::clone(&self.clock) as Arc<dyn Clock> }
    }

    pub(crate) fn index(&self) -> Arc<Indexer> {
        Indexer::open(Arc::clone(&self.log), Arc::clone(&self.catalog), self.options()).unwrap()
    }

    pub(crate) async fn stream(&self, name: &str, retention: Duration) -> Arc<Stream> {
        self.catalog.create_stream(NewStream::new(StreamName::new(name).unwrap(), retention)).await.unwrap()
    }

    pub(crate) async fn retain(&self, stream: StreamId, retention: Duration) {
        let update = StreamUpdate::Retention(retention);
        self.catalog.update_stream(stream, None, update).await.unwrap();
    }

    pub(crate) async fn keep_bytes(&self, stream: StreamId, retention: Duration, bytes: Option<u64>) {
        let update = StreamUpdate::Keep { retention, bytes };
        self.catalog.update_stream(stream, None, update).await.unwrap();
    }

    /// Someone who sets holds.
    async fn by(&self) -> Principal {
        Principal::AccessKey(self.catalog.create_access_key(None, None).await.unwrap())
    }

    /// Holds a span of a stream's time, in milliseconds.
    pub(crate) async fn hold(&self, stream: StreamId, id: &str, start: i64, end: i64) {
        let at = Timestamp::from_millis;
        let hold = NewHold { id: id.into(), start: at(start), end: at(end), reason: "a test".into() };
        self.catalog.set_hold(stream, hold, &self.by().await).await.unwrap();
    }

    pub(crate) async fn clear_hold(&self, stream: StreamId, id: &str) {
        self.catalog.clear_hold(stream, id, &self.by().await).await.unwrap();
    }

    /// Appends a fragment of two pieces that arrives now, and gives what the index must say of it.
    pub(crate) async fn append(&self, stream: StreamId, skew: i64, tags: &[(&str, &str)]) -> FragmentEntry {
        let (mut expected, entries) = self.fragment(stream, skew, tags);
        let lane = self.lane(stream);
        let appended = self.log.append(lane, entries).await.unwrap();
        expected.pieces = appended.locations;
        expected.commit = expected.pieces.pop().unwrap();
        expected
    }

    pub(crate) fn lane(&self, stream: StreamId) -> LaneId {
        LaneId::Bulk(RetentionClass::class_for(self.catalog.stream_by_id(stream).unwrap().retention))
    }

    /// A fragment that arrives now, as the index must tell it (but for its place), and as the log takes it.
    pub(crate) fn fragment(
        &self,
        stream: StreamId,
        skew: i64,
        tags: &[(&str, &str)],
    ) -> (FragmentEntry, Vec<Entry>) {
        let now = self.clock.now().millis();
        let mut expected = entry(stream.0, now, now + skew, 0);
        expected.has_tags = !tags.is_empty();
        expected.meta.run_id = RunId(FragmentNumber::at(Timestamp::from_millis(NOON)));
        expected.meta.size_bytes = 2 * self.sizes.piece as u64;
        let mut meta = expected.meta.clone();
        meta.tags =
            tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Tags>();
        let packed = meta.pack();
        let entry = |kind, count, payload| Entry {
            kind,
            stream,
            shard: 0,
            first_sequence: meta.number.to_u64(),
            count,
            server_time: meta.server_timestamp,
            producer_time: meta.producer_timestamp,
            flags: 0,
            payload: vec![payload],
        };
        let piece = || Bytes::from(vec![7; self.sizes.piece]);
        let entries = vec![
            entry(FrameKind::Media, 0, piece()),
            entry(FrameKind::Media, 1, piece()),
            entry(FrameKind::FragmentMeta, 0, Bytes::from(packed)),
        ];
        (expected, entries)
    }
}

/// All that a search finds, page by page.
pub(crate) async fn search_all(
    indexer: &Indexer,
    window: Window,
    q: &str,
    page: usize,
) -> Vec<FragmentEntry> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let query = SearchQuery {
            streams: StreamGlob::all(),
            window,
            q: Some(q.to_owned()),
            limit: page,
            cursor: cursor.take(),
        };
        let answer = indexer.search(query).await.unwrap();
        assert!(answer.items.len() <= page);
        found.extend(answer.items.into_iter().map(|hit| hit.entry));
        cursor = answer.next;
        if cursor.is_none() {
            return found;
        }
    }
}

/// All of a stream's fragments in a window, page by page.
pub(crate) async fn range_all(
    indexer: &Indexer,
    stream: StreamId,
    window: Window,
    page: usize,
) -> Vec<FragmentEntry> {
    let mut found: Vec<FragmentEntry> = Vec::new();
    loop {
        let after = found.last().map(|entry| entry.meta.number);
        let some = indexer.range(stream, window, after, page).await.unwrap();
        let last = some.len() < page;
        found.extend(some);
        if last {
            return found;
        }
    }
}
