//! The index over a log of a million fragments and more: what it costs to build it again, and how long its
//! queries take while fragments keep coming.
//!
//! Sizes in fragments may be given as arguments: `cargo bench -p tests --bench index -- 200000`.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::{
    Clock, ClockSource, FragmentMeta, FragmentNumber, Limits, RunId, StreamId, StreamName, SystemClock,
    SystemEntropy, Tags, Timestamp, TrackMeta,
};
use bytes::Bytes;
use catalog::{Catalog, CatalogOptions, NewStream, StreamGlob};
use fragment_log::{Entry, FrameKind, LaneId, Log, Lsn, MasterKey, Options, RetentionClass};
use indexer::{ClockKind, Indexer, IndexerOptions, SearchQuery, Window};

const SIZES: [u64; 2] = [1_000_000, 5_000_000];
const STREAMS: u64 = 100;
const FRAGMENT_MS: u64 = 2_000;
const QUERIES: usize = 2_000;
const HOUR: Duration = Duration::from_hours(1);
const LANE: LaneId = LaneId::Bulk(RetentionClass::Week);
/// Fragments of one append.
const AT_ONCE: u64 = 2_000;

struct World {
    log: Arc<Log>,
    catalog: Arc<Catalog>,
    options: IndexerOptions,
    streams: Vec<StreamId>,
    /// The number of every stream's first fragment.
    first: u64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let asked: Vec<u64> = std::env::args().filter_map(|size| size.parse().ok()).collect();
    for &size in if asked.is_empty() { &SIZES[..] } else { &asked } {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let world = runtime.block_on(World::new(folder.path(), size));
        runtime.block_on(world.fill(0..size));
        println!("{size} fragments of two tracks and two tags");
        world.rebuild(size);
        let indexer = world.open();
        runtime.block_on(measure(&Arc::new(world), &indexer, size));
    }
}

impl World {
    async fn new(folder: &Path, size: u64) -> Self {
        let master =
            MasterKey::from_base64("bWlsbHJhY2UtdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ=").expect("32 bytes");
        let data = folder.join("data");
        let log = Arc::new(Log::open(Options::new(&data, master)).expect("a new log opens"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dir = data.join("index");
        let options = CatalogOptions {
            dir: dir.clone(),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            device_retention: HOUR,
        };
        let catalog = Catalog::open(Arc::clone(&log), options).expect("a new catalog opens");
        let mut streams = Vec::new();
        for number in 0..STREAMS {
            let name = StreamName::new(&format!("camera-{number}")).expect("it is a name");
            let made = catalog.create_stream(NewStream::new(name, 24 * 7 * HOUR)).await;
            streams.push(made.expect("there is room for it").id);
        }
        let span = Duration::from_millis(size / STREAMS * FRAGMENT_MS);
        let first = FragmentNumber::at(clock.now() - span).to_u64();
        Self { log, catalog, options: IndexerOptions { dir, clock }, streams, first }
    }

    fn open(&self) -> Arc<Indexer> {
        let (log, catalog) = (Arc::clone(&self.log), Arc::clone(&self.catalog));
        Indexer::open(log, catalog, self.options.clone()).expect("the log is whole")
    }

    /// Builds the views again, both and each alone, and shows what that costs on one core.
    fn rebuild(&self, size: u64) {
        let read = cpu(|| self.log.replay(LANE, Lsn(0), &mut |_| Ok(())).expect("the log is whole"));
        let (log, catalog) = (Arc::clone(&self.log), Arc::clone(&self.catalog));
        let began = Instant::now();
        let both = cpu(|| {
            let rebuilt =
                Indexer::reindex(log, catalog, &self.options, &mut |_| {}).expect("the log is whole");
            assert_eq!(rebuilt.fragments, size, "every fragment is indexed");
        });
        let wall = began.elapsed().as_secs_f64();
        std::fs::remove_file(self.options.dir.join("fragments.sqlite")).expect("it was just built");
        let sorted = cpu(|| drop(self.open()));
        std::fs::remove_dir_all(self.options.dir.join("search")).expect("it was just built");
        let search = cpu(|| drop(self.open()));
        let show_rate = |what: &str, seconds: f64, bar: &str| {
            let micros = seconds / size as f64 * 1e6;
            let rate = format!("{:.0} ({micros:.2} µs each)", size as f64 / seconds);
            println!("{what:<62} {rate:<28} {bar}");
        };
        show_rate("both views built again, fragments per core and second", both, "bar 150000");
        show_rate("the sorted view alone", sorted, "");
        show_rate("the search view alone", search, "");
        show_rate("reading and opening the metadata alone", read, "");
        show_rate("both views, by the clock on the wall", wall, "");
    }

    async fn fill(&self, fragments: std::ops::Range<u64>) {
        let mut next = fragments.start;
        while next < fragments.end {
            let some = next..(next + AT_ONCE).min(fragments.end);
            next = some.end;
            self.log
                .append(LANE, some.flat_map(|at| self.fragment(at)).collect())
                .await
                .expect("there is room");
        }
    }

    /// The frames of one fragment: streams take turns, each every two seconds.
    fn fragment(&self, at: u64) -> [Entry; 2] {
        let stream = self.streams[(at % STREAMS) as usize];
        let number = FragmentNumber::from_u64(self.first + at / STREAMS * FRAGMENT_MS);
        let meta = meta(number, FragmentNumber::from_u64(self.first), at.is_multiple_of(1_000));
        let entry = |kind, payload| Entry {
            kind,
            stream,
            shard: 0,
            first_sequence: number.to_u64(),
            count: 0,
            server_time: meta.server_timestamp,
            producer_time: meta.producer_timestamp,
            flags: 0,
            payload: vec![payload],
        };
        let packed = meta.pack();
        [entry(FrameKind::Media, Bytes::from_static(b"x")), entry(FrameKind::FragmentMeta, packed.into())]
    }

    /// The start of some hour that is full of fragments.
    fn hour(&self, turn: u64, filled: u64) -> Timestamp {
        let hours = filled / STREAMS * FRAGMENT_MS / 3_600_000 - 1;
        FragmentNumber::from_u64(self.first + turn % hours.max(1) * 3_600_000).server_timestamp()
    }
}

fn meta(number: FragmentNumber, run: FragmentNumber, rare: bool) -> FragmentMeta {
    let event = if rare { "red truck" } else { "no motion" };
    let site = format!("gate {}", number.to_u64() / FRAGMENT_MS % 50);
    let tags = Tags::from([("event".into(), event.into()), ("site".into(), site)]);
    let video = TrackMeta {
        number: 1,
        codec: "h264".into(),
        codec_string: "avc1.64001f".into(),
        timescale: 90_000,
        start: (number.to_u64() - run.to_u64()).cast_signed() * 90,
        duration: FRAGMENT_MS * 90,
        frames: 60,
        bytes: 1,
        width: 1920,
        height: 1080,
        sample_rate: 0,
        channels: 0,
        init_id: 0x5df1_90c3_8e1b_a2f7,
    };
    let audio = TrackMeta {
        number: 2,
        codec: "aac".into(),
        codec_string: "mp4a.40.2".into(),
        timescale: 48_000,
        start: (number.to_u64() - run.to_u64()).cast_signed() * 48,
        duration: FRAGMENT_MS * 48,
        frames: 94,
        width: 0,
        height: 0,
        sample_rate: 48_000,
        channels: 2,
        init_id: 0x0c3a_97e2_51d4_6b08,
        ..video.clone()
    };
    FragmentMeta {
        number,
        producer_timestamp: number.server_timestamp(),
        server_timestamp: number.server_timestamp(),
        duration_ms: 2_000,
        size_bytes: 1,
        run_id: RunId(run),
        run_origin: run.server_timestamp(),
        media_sequence: (number.to_u64() - run.to_u64()) / FRAGMENT_MS,
        discontinuity_sequence: 0,
        starts_with_key: true,
        clock_source: ClockSource::Server,
        clock_offset_ms: None,
        clock_drift_ppm: None,
        server_clock_synced: None,
        decodes_from: None,
        tracks: vec![video, audio],
        tags,
    }
}

async fn measure(world: &Arc<World>, indexer: &Indexer, filled: u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let ingest = tokio::spawn(keep_coming(Arc::clone(world), filled, Arc::clone(&stop)));
    for (what, clock) in [("server", ClockKind::Server), ("producer", ClockKind::Producer)] {
        let mut times = Vec::with_capacity(QUERIES);
        for turn in 0..QUERIES as u64 {
            let start = world.hour(turn, filled);
            let window = Window { clock, start: Some(start), end: Some(start + HOUR) };
            let stream = world.streams[(turn % STREAMS) as usize];
            let began = Instant::now();
            let found = indexer.range(stream, window, None, 1_000).await.expect("the view answers");
            times.push(began.elapsed());
            assert_eq!(found.len(), 1_000, "an hour holds more than a page");
        }
        times.sort_unstable();
        let (middle, late) = (times[QUERIES / 2], times[QUERIES * 99 / 100]);
        show(&format!("list one hour of {what} time, 1000 fragments, p50 ms"), millis(middle), "");
        show(&format!("list one hour of {what} time, 1000 fragments, p99 ms"), millis(late), "bar 5");
    }
    for (what, q) in [("no expression", None), ("a rare tag", Some("tags.event:\"red truck\""))] {
        let mut times = Vec::new();
        for turn in 0..QUERIES as u64 / 10 {
            let start = world.hour(turn, filled);
            let query = SearchQuery {
                streams: StreamGlob::all(),
                window: Window { clock: ClockKind::Producer, start: Some(start), end: Some(start + HOUR) },
                q: q.map(str::to_owned),
                limit: 100,
                cursor: None,
            };
            let began = Instant::now();
            indexer.search(query).await.expect("the views answer");
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let late = times[times.len() * 99 / 100];
        show(&format!("search all streams, one hour, {what}, p99 ms"), millis(late), "bar 80");
    }
    let window = Window { clock: ClockKind::Producer, start: Some(world.hour(0, filled)), end: None };
    let began = Instant::now();
    let (mut listed, mut after) = (0, None);
    loop {
        // As a playlist reads it.
        let page = indexer.range(world.streams[0], window, after, 10_000).await.expect("the view answers");
        listed += page.len();
        let Some(last) = page.last() else { break };
        after = Some(last.meta.number);
    }
    let time = millis(began.elapsed());
    show(&format!("list a stream's {listed} fragments by producer time, ms"), time, "");
    let start = world.hour(0, filled);
    let began = Instant::now();
    indexer.timeline(world.streams[0], start, start + 24 * HOUR, 500).await.expect("the view answers");
    show("timeline of 24 hours, ms", millis(began.elapsed()), "");
    stop.store(true, Ordering::Relaxed);
    ingest.await.expect("ingest does not panic");
}

/// Fifty fragments a second, as 100 cameras make them.
async fn keep_coming(world: Arc<World>, filled: u64, stop: Arc<AtomicBool>) {
    let mut next = filled;
    while !stop.load(Ordering::Relaxed) {
        let entries = world.fragment(next).into();
        world.log.append(LANE, entries).await.expect("there is room");
        next += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Processor seconds that all threads of this process have spent on `work`.
fn cpu(work: impl FnOnce()) -> f64 {
    let spent = || {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // User and system time, in the hundredths of a second that Linux counts in (proc_pid_stat(5)).
        fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().expect("it is a number") / 100.0)
            .sum::<f64>()
    };
    let before = spent();
    work();
    spent() - before
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn show(what: &str, figure: f64, bar: &str) {
    let figure = format!("{figure:.2}");
    println!("{what:<62} {figure:<28} {bar}");
}
