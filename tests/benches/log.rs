//! The log against the disk it stands on: how long an ack takes beside one `fdatasync`, how fast sealed
//! bulk data goes in and out beside raw writes and reads, what many shards cost. Rounds take turns.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{StreamId, Timestamp};
use bytes::Bytes;
use fragment_log::{Entry, FrameKind, LaneId, Log, Lsn, MasterKey, Options, RetentionClass};
use rustix::fs::{Advice, FallocateFlags, Mode, OFlags};

const ROUNDS: usize = 5;
const ACKS: usize = 2_000;
const RECORD_BYTES: usize = 1024;
const BULK_BYTES: usize = 1024 * 1024;
const BULK_APPENDS: usize = 256;
const BULK_IN_FLIGHT: usize = 16;
const RECORDS: u32 = 20_000;
const SHARDS: u32 = 100_000;
/// What raw reads and writes move at a time.
const CHUNK: usize = 2 << 20;
const STREAM: StreamId = StreamId(1);

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let master = MasterKey::from_base64("bWlsbHJhY2UtdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ=").expect("32 bytes");
    let options = Options::new(folder.path().join("data"), master);
    let log = Arc::new(Log::open(options.clone()).expect("a new log opens"));
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
    // The rounds together touch every shard.
    let rates = |round: u32| {
        let one = runtime.block_on(records(&log, 0..1));
        (one, runtime.block_on(records(&log, round * RECORDS..(round + 1) * RECORDS)))
    };
    let figures: Vec<((f64, f64), (f64, f64))> = (0..SHARDS / RECORDS).map(rates).collect();
    show("1 KiB records/s, 64 in flight, one shard", figures.iter().map(|f| f.0.0), "");
    show("records a sync", figures.iter().map(|f| f.0.1), "bar 32: half of those in flight");
    show("rate with 100,000 shards ÷ with one", figures.iter().map(|f| f.1.0 / f.0.0), "bar 0.9");
    let reads = |_| {
        let raw = raw_reads(folder.path()).expect("the disk gives what it took");
        (raw, runtime.block_on(cold_reads(&log, folder.path())))
    };
    let figures: Vec<(f64, f64)> = (0..ROUNDS).map(reads).collect();
    show("cold reads of 1 MiB, verified and opened, MB/s", figures.iter().map(|f| f.1), "");
    show("raw O_DIRECT reads of the same files, MB/s", figures.iter().map(|f| f.0), "");
    show("opened ÷ raw", figures.iter().map(|f| f.1 / f.0), "bar 0.6");
    show("replay of the bulk lane, GB of log/s", (0..ROUNDS).map(|_| replay(&log)), "bar 1");
    drop(log);
    let log = Log::open(options).expect("it was closed");
    let figures = (0..ROUNDS).map(|_| runtime.block_on(catch_up(&log)));
    show("catching up with a shard by runs of 1 KiB records, MB/s", figures, "bar 500");
}

/// The time of each `fdatasync` after a write of 4 KiB, one after the other.
fn disk_syncs(folder: &Path, count: usize) -> Vec<Duration> {
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
fn raw_writes(folder: &Path, cadence: usize) -> io::Result<f64> {
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

/// Acks a second of records with 64 producers that go through these shards, and records a sync.
async fn records(log: &Arc<Log>, shards: Range<u32>) -> (f64, f64) {
    const IN_FLIGHT: u32 = 64;
    let counts = || {
        let metrics = log.metrics();
        let lane = metrics.lanes.iter().find(|lane| matches!(lane.lane, LaneId::Records(_)));
        lane.map_or((0, 0), |lane| (lane.frames, lane.syncs))
    };
    let (before, began) = (counts(), Instant::now());
    let payload = Bytes::from(vec![1_u8; RECORD_BYTES]);
    let producers = (0..IN_FLIGHT).map(|producer| {
        let (log, payload, shards) = (Arc::clone(log), payload.clone(), shards.clone());
        tokio::spawn(async move {
            for turn in 0..RECORDS / IN_FLIGHT {
                let shard = shards.start + (turn * IN_FLIGHT + producer) % (shards.end - shards.start);
                let record = Entry { shard, ..entry(FrameKind::Records, turn.into(), payload.clone()) };
                log.append(LaneId::Records(RetentionClass::Day), vec![record])
                    .await
                    .expect("the log takes it");
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.expect("a producer does not panic");
    }
    let (after, took) = (counts(), began.elapsed());
    let frames = (after.0 - before.0) as f64;
    (frames / took.as_secs_f64(), frames / (after.1 - before.1).max(1) as f64)
}

/// The bulk lane's files, of which the page cache is told to forget all it has.
fn cold_files(folder: &Path) -> io::Result<Vec<(File, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.join("data/log/bulk-day"))? {
        let flags = OFlags::RDONLY | OFlags::DIRECT;
        let file = File::from(rustix::fs::open(entry?.path(), flags, Mode::empty())?);
        let len = file.metadata()?.len() / CHUNK as u64 * CHUNK as u64;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        files.push((file, len));
    }
    Ok(files)
}

/// Megabytes a second past the page cache, 2 MiB at a time.
fn raw_reads(folder: &Path) -> io::Result<f64> {
    let files = cold_files(folder)?;
    let mut memory = vec![0_u8; CHUNK + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let (mut bytes, began) = (0, Instant::now());
    for (file, len) in files {
        for at in (0..len).step_by(CHUNK) {
            file.read_exact_at(&mut memory[start..start + CHUNK], at)?;
            bytes += CHUNK;
        }
    }
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// Megabytes a second of payload, four readers at a time.
async fn cold_reads(log: &Arc<Log>, folder: &Path) -> f64 {
    const READERS: usize = 4;
    let lane = LaneId::Bulk(RetentionClass::Day);
    let mut frames = Vec::new();
    log.replay(lane, Lsn(0), &mut |frame| {
        frames.push(frame.location);
        Ok(())
    })
    .expect("the log is whole");
    drop(cold_files(folder).expect("the files are there"));
    let (frames, began) = (Arc::new(frames), Instant::now());
    let readers = (0..READERS).map(|reader| {
        let (log, frames) = (Arc::clone(log), Arc::clone(&frames));
        tokio::spawn(async move {
            let mut bytes = 0;
            for at in frames.iter().skip(reader).step_by(READERS) {
                bytes += log.read(at).await.expect("what was acknowledged is read").len();
            }
            bytes
        })
    });
    let mut bytes = 0;
    for reader in readers.collect::<Vec<_>>() {
        bytes += reader.await.expect("a reader does not panic");
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// Megabytes a second of payload of one shard's records, in order, one run after the other.
async fn catch_up(log: &Log) -> f64 {
    const RUN: usize = 4_000;
    let mut frames = Vec::new();
    log.replay(LaneId::Records(RetentionClass::Day), Lsn(0), &mut |frame| {
        if frame.header.shard == 0 {
            frames.push(frame.location);
        }
        Ok(())
    })
    .expect("the log is whole");
    let (mut bytes, began) = (0, Instant::now());
    for run in frames.chunks(RUN) {
        let read = log.read_run(run).await;
        bytes += read.into_iter().map(|payload| payload.expect("it was acknowledged").len()).sum::<usize>();
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// Gigabytes of log a second that a view of it goes through when it is built again.
fn replay(log: &Log) -> f64 {
    let began = Instant::now();
    let mut bytes = 0;
    log.replay(LaneId::Bulk(RetentionClass::Day), Lsn(0), &mut |frame| {
        bytes += u64::from(frame.location.len);
        Ok(())
    })
    .expect("the log is whole");
    bytes as f64 / 1e9 / began.elapsed().as_secs_f64()
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
