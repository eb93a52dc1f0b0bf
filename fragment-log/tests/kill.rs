//! `kill -9` under 64 producers, and the same on a disk that forgets what was not synced.
//!
//! A child, which is this test binary itself, appends for as long as it lives and tells of every
//! acknowledgement on its standard output. The test kills it, opens the log and looks for each.
//! `MILLRACE_TORTURE=1` takes the full sizes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IoSlice, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::StreamId;
use fixtures::{DiskLayer, FileLayer, Layered, SeededEntropy};
use fragment_log::io::{DiskIo, File, Io};
use fragment_log::{FrameKind, LaneId, Location, Log, Lsn, Options, RetentionClass};
use support::{Progress, entry, options_on, replayed, torture};

const PRODUCERS: u64 = 64;
const LANES: [LaneId; 2] = [LaneId::Records(RetentionClass::Day), LaneId::Bulk(RetentionClass::Day)];
/// Names the child's folder and kind of disk.
const FOLDER: &str = "MILLRACE_KILL_FOLDER";
const DISK: &str = "MILLRACE_KILL_DISK";

/// Every eighth producer makes fragments, the others records.
fn kind(producer: u64) -> (LaneId, FrameKind, usize) {
    match producer % 8 {
        0 => (LANES[1], FrameKind::Media, 1024 * 1024),
        _ => (LANES[0], FrameKind::Records, 1024),
    }
}

/// Different for every frame that any child ever makes.
fn payload(producer: u64, sequence: u64, cycle: u64) -> Vec<u8> {
    let mut payload = vec![u8::try_from(sequence % 251).unwrap(); kind(producer).2];
    let id = [producer, sequence, cycle].map(u64::to_le_bytes).concat();
    payload[..id.len()].copy_from_slice(&id);
    payload[kind(producer).2 - id.len()..].copy_from_slice(&id);
    payload
}

fn open(dir: &Path, disk: Arc<dyn Io>) -> Log {
    let log = Log::open(Options { segment_bytes: 32 * 1024 * 1024, ..options_on(dir, disk) }).unwrap();
    for producer in 0..PRODUCERS {
        log.keys().create_stream_key(StreamId(producer + 1)).unwrap();
    }
    log
}

/// The machine's disk, behind a page cache that dies with the process.
struct Forgetful {
    /// Says that it has synced, and has not.
    lies: bool,
}

struct ForgetfulFile {
    file: Box<dyn File>,
    lies: bool,
    /// Writes since the last sync, by offset; later ones on top.
    unsynced: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl DiskLayer for Forgetful {
    fn below(&self) -> &dyn Io {
        &DiskIo
    }

    fn file(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Layered(ForgetfulFile { file, lies: self.lies, unsynced: Mutex::default() }))
    }
}

impl FileLayer for ForgetfulFile {
    fn below(&self) -> &dyn File {
        &*self.file
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
        self.unsynced.lock().unwrap().push((offset, parts.concat()));
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        self.flush()?;
        self.file.punch(offset, len)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        // The bytes in front of the cut may not be there yet.
        self.flush()?;
        self.file.truncate(len)
    }

    fn sync(&self) -> Result<()> {
        if self.lies {
            return Ok(());
        }
        self.flush()
    }
}

impl ForgetfulFile {
    fn flush(&self) -> Result<()> {
        let unsynced = std::mem::take(&mut *self.unsynced.lock().unwrap());
        unsynced.iter().try_for_each(|(offset, bytes)| self.file.write_at(&[IoSlice::new(bytes)], *offset))
    }
}

/// Not a test: what the killed process does. Without its variables it does nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let disk: Arc<dyn Io> = match std::env::var(DISK).unwrap().as_str() {
        "forgets" => Arc::new(Layered(Forgetful { lies: false })),
        "lies" => Arc::new(Layered(Forgetful { lies: true })),
        _ => Arc::new(DiskIo),
    };
    let log = Arc::new(open(Path::new(&folder), disk));
    // No two lives of the child make the same bytes.
    let cycle = u64::from(std::process::id());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let produce = |producer| {
        let log = Arc::clone(&log);
        runtime.spawn(async move {
            let (lane, kind, _) = kind(producer);
            let stream = StreamId(producer + 1);
            let first = log.last_sequence(stream, 0).map_or(1, |last| last + 1);
            for sequence in first.. {
                let entries = vec![entry(kind, stream, sequence, payload(producer, sequence, cycle))];
                let Location { lane, segment, offset, len } =
                    log.append(lane, entries).await.unwrap().locations[0];
                let told =
                    format!("\nack {producer} {sequence} {cycle} {} {segment} {offset} {len}\n", lane.code());
                // One write a line: the pipe keeps it whole. The harness may have begun one.
                std::io::stdout().write_all(told.as_bytes()).unwrap();
            }
        })
    };
    let producers: Vec<_> = (0..PRODUCERS).map(produce).collect();
    producers.into_iter().for_each(|producer| runtime.block_on(producer).unwrap());
}

/// Acknowledged frames: where, and what.
type Acked = BTreeMap<Location, (u64, u64, u64)>;

/// Starts a child, lets it acknowledge for a while, kills it. Returns what it had told.
fn cycle(dir: &Path, disk: &str, coin: &SeededEntropy) -> Acked {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .envs([(FOLDER, dir.as_os_str()), (DISK, disk.as_ref())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // It dies some acknowledgements and some microseconds after its first.
    for _ in 0..coin.next_u64() % 400 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        if line.starts_with("ack") {
            break;
        }
    }
    std::thread::sleep(Duration::from_micros(coin.next_u64() % 150_000));
    child.kill().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    // What follows the last newline was never told.
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    std::iter::once(line.trim_end()).chain(whole.lines()).filter_map(acked).collect()
}

fn acked(line: &str) -> Option<(Location, (u64, u64, u64))> {
    let numbers: Vec<u64> =
        line.strip_prefix("ack ")?.split(' ').map(|number| number.parse().unwrap()).collect();
    let [producer, sequence, cycle, lane, segment, offset, len] = numbers[..] else { panic!("{line}") };
    let lane = LaneId::from_code(u8::try_from(lane).unwrap()).unwrap();
    let at = Location { lane, segment, offset, len: u32::try_from(len).unwrap() };
    Some((at, (producer, sequence, cycle)))
}

/// Whether every acknowledged frame is there with its bytes, and no number twice.
fn check(dir: &Path, acked: &Acked) -> std::result::Result<(), String> {
    let log = Log::open(options_on(dir, Arc::new(DiskIo))).map_err(|error| error.to_string())?;
    if !log.damages().is_empty() {
        return Err(format!("a kill is no damage: {:?}", log.damages()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (at, (producer, sequence, cycle)) in acked {
        match runtime.block_on(log.read(at)) {
            Ok(read) if read == payload(*producer, *sequence, *cycle) => {}
            other => return Err(format!("{at:?} is lost: {:?}", other.map(|bytes| bytes.len()))),
        }
    }
    for lane in LANES {
        let mut last = BTreeMap::new();
        for frame in replayed(&log, lane, Lsn(0)).map_err(|error| error.to_string())? {
            let (shard, sequence) = (frame.header.stream, frame.header.first_sequence);
            if last.insert(shard, sequence).is_some_and(|last| last >= sequence) {
                return Err(format!("{lane}: number {sequence} of {shard} is there twice"));
            }
        }
    }
    Ok(())
}

/// Kills as often as `cycles` says. The folder is emptied when it has grown.
fn kill(disk: &str, cycles: u64) -> std::result::Result<u64, String> {
    let coin = SeededEntropy::new(cycles);
    let mut dir = tempfile::tempdir().unwrap();
    let (mut all, mut told) = (Acked::new(), 0);
    let mut progress = Progress::of(usize::try_from(cycles).unwrap());
    for _ in 0..cycles {
        progress.step();
        let acked = cycle(dir.path(), disk, &coin);
        told += acked.len() as u64;
        all.extend(acked);
        check(dir.path(), &all)?;
        if stored(dir.path()) > 128 << 20 {
            dir = tempfile::tempdir().unwrap();
            all.clear();
        }
    }
    Ok(told)
}

fn stored(dir: &Path) -> u64 {
    let files = LANES.map(|lane| dir.join("log").join(lane.to_string()));
    let files = files.iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    let paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
    paths.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum()
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let cycles = if torture() { 1000 } else { 50 };
    let told = kill("keeps", cycles).unwrap();
    assert!(told > cycles, "{told} acknowledgements in {cycles} cycles");
}

#[test]
fn nor_on_a_disk_that_forgets_what_was_not_synced() {
    let cycles = if torture() { 200 } else { 10 };
    let told = kill("forgets", cycles).unwrap();
    assert!(told > cycles, "{told} acknowledgements in {cycles} cycles");
}

#[test]
fn without_syncs_that_disk_is_found_out() {
    // The proof that the tests above would see a missing sync.
    let error = kill("lies", 20).expect_err("nothing was synced");
    assert!(!error.is_empty());
}
