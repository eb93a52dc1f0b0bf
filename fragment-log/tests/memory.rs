//! Memory stays within its budget, however much waits to be written and however much there is to read.
//!
//! One test, alone in its process: what any thread allocates is counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use base::StreamId;
use bytes::Bytes;
use fixtures::{DiskLayer, FileLayer, Layered};
use fragment_log::io::{DiskIo, File, Io};
use fragment_log::{Entry, FrameKind, LaneId, Log, Lsn, Options, RetentionClass, Verify};
use peak_alloc::PeakAlloc;
use support::{entry, master, options, torture, wait};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CAMERA: StreamId = StreamId(9);
const LANE: LaneId = LaneId::Bulk(RetentionClass::Week);
const MIB: usize = 1024 * 1024;
const PRODUCERS: u64 = 160;
/// Of one append. All are of the same memory, so that only the log's own is counted.
const PAYLOAD: usize = MIB;
const TAIL: usize = 8 * MIB;
/// Sealed bytes that wait for the disk (`BUDGET_BYTES` of a lane).
const QUEUE: usize = 64 * MIB;
/// Blocks on their way to the disk, footers, threads.
const SLACK: usize = 16 * MIB;
/// A reader reads ahead in pieces, and holds one frame.
const READER: usize = 4 * MIB;

/// A disk that stands still until it is let go.
#[derive(Clone)]
struct Stalled {
    disk: Arc<DiskIo>,
    stands: Arc<AtomicBool>,
}

struct StalledFile {
    file: Box<dyn File>,
    stands: Arc<AtomicBool>,
}

impl DiskLayer for Stalled {
    fn below(&self) -> &dyn Io {
        &*self.disk
    }

    fn file(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Layered(StalledFile { file, stands: Arc::clone(&self.stands) }))
    }
}

impl FileLayer for StalledFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn sync(&self) -> Result<()> {
        while self.stands.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.file.sync()
    }
}

/// What `work` takes at most, besides what was there before.
fn most<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = work();
    (MEMORY.peak_usage().saturating_sub(before), done)
}

/// Until no producer takes or gives back memory: each has its place in the queue, or waits for one.
fn until_nothing_moves() {
    let mut last = 0;
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        if std::mem::replace(&mut last, MEMORY.current_usage()) == last {
            return;
        }
    }
}

fn within(what: &str, budget: usize, used: usize) {
    assert!(used <= budget, "{what} took {} KiB, {} KiB allowed", used / 1024, budget / 1024);
}

fn produce(log: &Log, producer: u64, rounds: u64, payload: &Bytes) {
    for round in 0..rounds {
        let sequence = round * PRODUCERS + producer + 1;
        let empty = entry(FrameKind::Media, CAMERA, sequence, Vec::new());
        wait(log.append(LANE, vec![Entry { payload: vec![payload.clone()], ..empty }])).unwrap();
    }
}

#[test]
fn neither_writers_nor_readers_exceed_their_budget() {
    let rounds = if torture() { 64 } else { 3 };
    let dir = tempfile::tempdir().unwrap();
    let stands = Arc::new(AtomicBool::new(false));
    let disk = Stalled { disk: Arc::default(), stands: Arc::clone(&stands) };
    let small = Options { tail_bytes: TAIL, segment_bytes: 32 * MIB as u64, ..options(dir.path()) };
    let log = Log::open(Options { io: Arc::new(Layered(disk)), ..small }).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();

    let payload = Bytes::from(vec![7; PAYLOAD]);
    let all = Barrier::new(usize::try_from(PRODUCERS).unwrap() + 1);
    let (used, ()) = most(|| {
        std::thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                let (log, all, payload) = (&log, &all, &payload);
                scope.spawn(move || {
                    all.wait();
                    produce(log, producer, rounds, payload);
                });
            }
            stands.store(true, Ordering::Relaxed);
            all.wait();
            until_nothing_moves();
            stands.store(false, Ordering::Relaxed);
        });
    });
    within("writing", QUEUE + TAIL + SLACK, used);

    let written = rounds * PRODUCERS;
    let (used, read) = most(|| {
        let mut frames = 0;
        log.replay(LANE, Lsn(0), &mut |frame| {
            frames += 1;
            wait(log.read(&frame.location)).map(drop)
        })
        .unwrap();
        frames
    });
    assert_eq!(read, written);
    within("reading all of it", READER, used);

    let (used, summary) = most(|| Verify::new(dir.path(), Some(master())).run(&mut |_| {}).unwrap());
    assert_eq!((summary.frames, summary.damages), (written, 0));
    within("verifying all of it", READER, used);
}
