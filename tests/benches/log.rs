//! The log against the disk it stands on: how long an ack takes beside one `fdatasync`, and how fast
//! sealed bulk data goes in beside raw writes with the same cadence of syncs. Rounds take turns.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{StreamId, Timestamp};
use bytes::Bytes;
use fragment_log::{Entry, FrameKind, LaneId, Log, MasterKey, Options, RetentionClass};
use rustix::fs::{FallocateFlags, Mode, OFlags};

const ROUNDS: usize = 5;
const ACKS: usize = 2_000;
const RECORD_BYTES: usize = 1024;
const BULK_BYTES: usize = 1024 * 1024;
const BULK_APPENDS: usize = 256;
const BULK_IN_FLIGHT: usize = 16;
const STREAM: StreamId = StreamId(1);

fn main() {
    let folder = tempfile::tempdir_in(std::env::current_dir().expect("a working folder")).expect("a folder");
    let master = MasterKey::from_base64("bWlsbHJhY2UtdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ=").expect("32 bytes");
    let log = Arc::new(Log::open(Options::new(folder.path().join("data"), master)).expect("a new log opens"));
    log.keys().create_stream_key(STREAM).expect("a new stream takes a key");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for in_flight in [1, 16, 64] {
        let rounds = || {
            let disk = percentile(&mut disk_syncs(folder.path(), ACKS / 4), 0.99);
            let acks = percentile(&mut runtime.block_on(acks(&log, in_flight)), 0.99);
            (disk.as_secs_f64() * 1e3, acks.as_secs_f64() * 1e3)
        };
        let figures: Vec<(f64, f64)> = (0..ROUNDS).map(|_| rounds()).collect();
        show(&format!("ack p99, {in_flight} x 1 KiB in flight, ms"), figures.iter().map(|f| f.1), "");
        show("fdatasync p99 of the same rounds, ms", figures.iter().map(|f| f.0), "");
        show("ack p99 ÷ fdatasync p99", figures.iter().map(|f| f.1 / f.0), "bar 2.2");
    }
    let bulk = |_| {
        let syncs = || log.metrics().lanes.iter().map(|lane| lane.syncs).sum::<u64>();
        let before = syncs();
        let ours = runtime.block_on(bulk_appends(&log));
        let cadence = BULK_APPENDS * BULK_BYTES / usize::try_from(syncs() - before).unwrap_or(1).max(1);
        (raw_writes(folder.path(), cadence).expect("the disk takes the peer's writes"), ours, cadence)
    };
    let figures: Vec<(f64, f64, usize)> = (0..ROUNDS).map(bulk).collect();
    show("sealed durable bulk append, MB/s", figures.iter().map(|f| f.1), "");
    show("MiB per sync", figures.iter().map(|f| f.2 as f64 / (1 << 20) as f64), "");
    show("raw O_DIRECT writes with the same syncs, MB/s", figures.iter().map(|f| f.0), "");
    show("sealed ÷ raw", figures.iter().map(|f| f.1 / f.0), "bar 0.8");
    let metrics = log.metrics();
    for lane in metrics.lanes {
        println!("{}: {} frames in {} syncs", lane.lane, lane.frames, lane.syncs);
    }
}

/// The time of each `fdatasync` after a write of 4 KiB, one after the other.
fn disk_syncs(folder: &std::path::Path, count: usize) -> Vec<Duration> {
    let path = folder.join("peer");
    let mut file = File::create(&path).expect("the disk takes a file");
    let block = [7_u8; 4096];
    let one = |_| {
        let began = Instant::now();
        file.write_all(&block).and_then(|()| file.sync_data()).expect("the disk takes 4 KiB");
        began.elapsed()
    };
    let times = (0..count).map(one).collect();
    std::fs::remove_file(path).expect("the file was just made");
    times
}

fn entry(kind: FrameKind, sequence: u64, payload: Bytes) -> Entry {
    let at = Timestamp::from_millis(1_700_000_000_000);
    Entry {
        kind,
        stream: STREAM,
        shard: 0,
        first_sequence: sequence,
        count: 1,
        server_time: at,
        producer_time: at,
        flags: 0,
        payload: vec![payload],
    }
}

/// The time from append to ack of each of [`ACKS`] records, with so many producers at once.
async fn acks(log: &Arc<Log>, in_flight: usize) -> Vec<Duration> {
    let payload = Bytes::from(vec![1_u8; RECORD_BYTES]);
    let producers = (0..in_flight).map(|_| {
        let (log, payload) = (Arc::clone(log), payload.clone());
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(ACKS / in_flight);
            for sequence in 0..ACKS / in_flight {
                let began = Instant::now();
                let entries = vec![entry(FrameKind::Records, sequence as u64, payload.clone())];
                log.append(LaneId::Records(RetentionClass::Day), entries).await.expect("the log takes it");
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut times = Vec::with_capacity(ACKS);
    for producer in producers.collect::<Vec<_>>() {
        times.extend(producer.await.expect("a producer does not panic"));
    }
    times
}

/// Megabytes a second of [`BULK_APPENDS`] appends of 1 MiB, sixteen at a time.
async fn bulk_appends(log: &Arc<Log>) -> f64 {
    let payload = Bytes::from(vec![2_u8; BULK_BYTES]);
    let began = Instant::now();
    let producers = (0..BULK_IN_FLIGHT).map(|_| {
        let (log, payload) = (Arc::clone(log), payload.clone());
        tokio::spawn(async move {
            for sequence in 0..BULK_APPENDS / BULK_IN_FLIGHT {
                let entries = vec![entry(FrameKind::Media, sequence as u64, payload.clone())];
                log.append(LaneId::Bulk(RetentionClass::Day), entries).await.expect("the log takes it");
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.expect("a producer does not panic");
    }
    rate(began.elapsed())
}

/// Megabytes a second past the page cache into reserved space, 2 MiB at a time, with a sync every
/// `cadence` bytes.
fn raw_writes(folder: &std::path::Path, cadence: usize) -> io::Result<f64> {
    const CHUNK: usize = 2 << 20;
    const TOTAL: usize = BULK_APPENDS * BULK_BYTES;
    let path = folder.join("peer");
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::DIRECT;
    let file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, TOTAL as u64)?;
    file.sync_all()?;
    let memory = vec![2_u8; CHUNK + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let cadence = cadence.next_multiple_of(4096);
    let began = Instant::now();
    let mut at = 0;
    while at < TOTAL {
        let until = (at + cadence).min(TOTAL);
        while at < until {
            let len = CHUNK.min(until - at);
            file.write_all_at(&memory[start..start + len], at as u64)?;
            at += len;
        }
        file.sync_data()?;
    }
    let rate = rate(began.elapsed());
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn rate(took: Duration) -> f64 {
    (BULK_APPENDS * BULK_BYTES) as f64 / 1e6 / took.as_secs_f64()
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() as f64 * share) as usize).min(times.len() - 1)]
}

/// Median, lowest and highest.
fn show(what: &str, values: impl Iterator<Item = f64>, bar: &str) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, middle, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let figure = format!("{middle:.2} ({low:.2}–{high:.2})");
    println!("{what:<62} {figure:<28} {bar}");
}
