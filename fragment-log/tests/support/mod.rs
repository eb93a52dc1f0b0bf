//! What the log's tests share.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

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

/// Does `each` for every case, on all cores, until one panics.
pub fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T, IntoIter: Send>, each: impl Fn(T) + Sync) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().expect("an iterator does not panic").next();
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let watch = Watch(&failed);
                while let Some(case) = next().filter(|_| !failed.load(Ordering::Relaxed)) {
                    each(case);
                }
                std::mem::forget(watch);
            });
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
