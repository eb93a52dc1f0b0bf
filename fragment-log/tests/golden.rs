//! A data folder of format 1, as it was when the format became stable: every later version reads it.
//!
//! `tests/golden/format-1/` is never written again. It was made by `the_folder_is_made_once` with
//! `MILLRACE_BLESS=1`, which only writes where there is none; another format gets a folder of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::StreamId;
use fixtures::{FakeClock, SeededEntropy};
use fragment_log::{Entry, FrameKind, LaneId, Log, Lsn, Options, RetentionClass};
use support::{entry, master, options, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const LEDGER: StreamId = StreamId(8);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const RECORDS: LaneId = LaneId::Records(RetentionClass::Day);

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn payload(kind: FrameKind, sequence: u64) -> Vec<u8> {
    let bytes = match kind {
        FrameKind::Media => 9_000,
        FrameKind::Records => 700,
        _ => 90,
    };
    let text = format!("{kind:?} {sequence} ");
    text.bytes().cycle().take(bytes).collect()
}

fn entries(stream: StreamId, sequence: u64, kinds: &[FrameKind]) -> Vec<Entry> {
    let made = |(index, kind): (usize, &FrameKind)| Entry {
        count: u32::try_from(index).unwrap(),
        ..entry(*kind, stream, sequence, payload(*kind, sequence))
    };
    kinds.iter().enumerate().map(made).collect()
}

/// One start: a command, two fragments, two calls' records.
fn one_start(dir: &Path, start: u64) -> Log {
    let log = Log::open(Options {
        clock: Arc::new(FakeClock::default()),
        entropy: Arc::new(SeededEntropy::new(start)),
        ..options(dir)
    })
    .unwrap();
    for stream in [CAMERA, LEDGER] {
        if !log.keys().has_stream_key(stream) {
            log.keys().create_stream_key(stream).unwrap();
        }
    }
    log.keys().rotate_stream_key(CAMERA).unwrap();
    let append = |lane, entries| wait(log.append(lane, entries)).unwrap();
    append(LaneId::Control, entries(fragment_log::INSTALLATION, start, &[FrameKind::Command]));
    for sequence in [10 * start, 10 * start + 1] {
        use FrameKind::{FragmentMeta, Media};
        append(BULK, entries(CAMERA, sequence, &[Media, Media, FragmentMeta]));
        append(RECORDS, entries(LEDGER, sequence, &[FrameKind::Records]));
    }
    log
}

/// Every frame that the log gives: its clear part, and a checksum of what it says.
fn told(log: &Log) -> String {
    let mut text = String::new();
    for lane in log.lanes() {
        for frame in replayed(log, lane, Lsn(0)).unwrap() {
            let payload = wait(log.read(&frame.location)).unwrap();
            let header = frame.header;
            writeln!(
                text,
                "{lane} {} segment {} at {} {:?} stream {} shard {} epoch {} sequence {} count {} server {} producer {} {:08x}",
                frame.lsn.0, frame.location.segment, frame.location.offset, header.kind, header.stream.0,
                header.shard, header.key_epoch, header.first_sequence, header.count,
                header.server_time.millis(), header.producer_time.millis(), crc32c::crc32c(&payload),
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn the_folder_is_made_once() {
    if std::env::var_os("MILLRACE_BLESS").is_none() || golden().exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for start in 1..=3 {
        drop(one_start(dir.path(), start));
    }
    let log = one_start(dir.path(), 4);
    let frames = log.frames(BULK, 1).unwrap();
    log.punch(BULK, 1, &[frames[0].1, frames[1].1, frames[2].1]).unwrap();
    // As kill -9 leaves it: the last segments have no footer.
    copy(dir.path(), &golden().join("data"));
    std::fs::write(golden().join("frames.txt"), told(&log)).unwrap();
}

#[test]
fn what_format_1_stored_is_read_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden().join("data"), dir.path());
    let frames = std::fs::read_to_string(golden().join("frames.txt")).unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    assert_eq!(told(&log), frames);
    assert!(log.damages().is_empty(), "{:?}", log.damages());
    assert_eq!(log.last_sequence(CAMERA, 0), Some(41));
    let next = wait(log.append(BULK, entries(CAMERA, 50, &[FrameKind::Media]))).unwrap();
    assert_eq!(wait(log.read(&next.locations[0])).unwrap(), payload(FrameKind::Media, 50));
    drop(log);
    let summary = Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
    assert_eq!((summary.damages, summary.torn_tails), (0, 0));
}
