//! What the log's tests share.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::print_stderr, reason = "hours of tests tell how far they are")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use base::{StreamId, Timestamp};
use bytes::Bytes;
use fragment_log::io::Io;
use fragment_log::{
    Damage, Durable, Entry, Finding, Follower, FrameKind, LaneId, Log, LogError, Lsn, MasterKey, Options,
};

/// Base64 of 32 bytes.
pub const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

pub fn master() -> MasterKey {
    MasterKey::from_base64(MASTER).expect("it is base64 of 32 bytes")
}

/// One for all threads: a runtime of its own, with its threads, would cost more than most waits.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    runtime.expect("a machine that runs tests has room for a thread")
});

pub fn options(dir: &Path) -> Options {
    Options { segment_bytes: 256 * 1024, ..Options::new(dir, master()) }
}

pub fn options_on(dir: &Path, io: Arc<dyn Io>) -> Options {
    Options { io, ..options(dir) }
}

pub fn entry(kind: FrameKind, stream: StreamId, sequence: u64, payload: Vec<u8>) -> Entry {
    let at = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(sequence).expect("it is small"));
    Entry {
        kind,
        stream,
        shard: 0,
        first_sequence: sequence,
        count: 1,
        server_time: at,
        producer_time: at,
        flags: 0,
        payload: vec![Bytes::from(payload)],
    }
}

/// Whether to take the full sizes, as `make torture` does.
pub fn torture() -> bool {
    std::env::var_os("MILLRACE_TORTURE").is_some()
}

/// How often a long test tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Tells how far a test is, while it takes the full sizes.
pub struct Progress {
    expected: usize,
    done: usize,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// `expected` cases; 0 where nobody knows.
    pub fn of(expected: usize) -> Self {
        let now = Instant::now();
        Self { expected, done: 0, began: now, told: now }
    }

    /// Another case begins.
    pub fn step(&mut self) {
        if torture() && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let (test, seconds) = (std::thread::current(), self.began.elapsed().as_secs_f64());
            let rate = self.done as f64 / seconds;
            let left = self.expected.saturating_sub(self.done) as f64 / rate / 60.0;
            let (test, done, expected) = (test.name().unwrap_or("cases"), self.done, self.expected);
            eprintln!("{test}: {done} of {expected}, {rate:.1}/s, {left:.0} minutes left");
        }
        self.done += 1;
    }
}

/// Does `each` for every case, on all cores, until one panics.
pub fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T, IntoIter: Send>, each: impl Fn(T) + Sync) {
    let name = std::thread::current().name().unwrap_or("cases").to_owned();
    let cases = cases.into_iter();
    let (least, most) = cases.size_hint();
    let cases = Mutex::new((cases, Progress::of(most.unwrap_or(least))));
    let next = || {
        let (cases, progress) = &mut *cases.lock().expect("an iterator does not panic");
        progress.step();
        cases.next()
    };
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let cases = || {
                let watch = Watch(&failed);
                while let Some(case) = next().filter(|_| !failed.load(Ordering::Relaxed)) {
                    each(case);
                }
                std::mem::forget(watch);
            };
            // So that progress, and a panic, name the test.
            let thread = std::thread::Builder::new().name(name.clone());
            thread.spawn_scoped(scope, cases).expect("the machine has room for a thread");
        }
    });
}

/// Raises the flag unless it is forgotten.
struct Watch<'a>(&'a AtomicBool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a check has found, if it is damage.
pub fn damage(finding: Finding<'_>) -> Option<Damage> {
    match finding {
        Finding::Damage(damage) => Some(damage),
        _ => None,
    }
}

/// Runs a future of the log: all it needs is somewhere to block.
pub fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

pub fn replayed(log: &Log, lane: LaneId, from: Lsn) -> Result<Vec<Durable>, LogError> {
    let mut frames = Vec::new();
    log.replay(lane, from, &mut |frame| {
        frames.push(frame);
        Ok(())
    })?;
    Ok(frames)
}

/// Remembers what it is told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<(LaneId, Durable)>>);

impl Follower for Told {
    fn durable(&self, lane: LaneId, frames: &[Durable]) {
        let mut told = self.0.lock().expect("no test panics here");
        told.extend(frames.iter().map(|frame| (lane, frame.clone())));
    }
}
