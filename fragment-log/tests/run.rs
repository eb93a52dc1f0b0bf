//! Catching up with a shard, and its numbers when retention has taken all of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::Arc;

use base::StreamId;
use fixtures::SimDisk;
use fragment_log::{Entry, FrameKind, LaneId, Location, Log, LogError, Options, RetentionClass};
use support::{entry, master, options, options_on, wait};

const ORDERS: StreamId = StreamId(7);
const RECORDS: LaneId = LaneId::Records(RetentionClass::Day);

fn record(shard: u32, sequence: u64, len: usize) -> Entry {
    Entry { shard, ..entry(FrameKind::Records, ORDERS, sequence, payload(shard, sequence, len)) }
}

fn payload(shard: u32, sequence: u64, len: usize) -> Vec<u8> {
    vec![u8::try_from((u64::from(shard) * 31 + sequence) % 256).unwrap(); len]
}

/// Without memory of what was written.
fn open(dir: &Path) -> Log {
    let log = Log::open(Options { tail_bytes: 0, ..options(dir) }).unwrap();
    log.keys().create_stream_key(ORDERS).unwrap();
    log
}

/// Frames of three shards, taking turns; where they are, by shard.
fn written(log: &Log) -> [Vec<Location>; 3] {
    let mut places = [const { Vec::new() }; 3];
    for sequence in 0..60 {
        let entries = (0..3).map(|shard| record(shard, sequence, length(sequence))).collect();
        let appended = wait(log.append(RECORDS, entries)).unwrap();
        places.iter_mut().zip(appended.locations).for_each(|(places, place)| places.push(place));
    }
    places
}

fn length(sequence: u64) -> usize {
    [10, 3_000, 17_000][usize::try_from(sequence % 3).unwrap()]
}

#[test]
fn a_shard_is_read_in_order_over_segments_and_the_gaps_between_its_frames() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let places = written(&log);
    assert!(log.segments().len() > 3);
    for (shard, places) in (0..).zip(&places) {
        let read = wait(log.read_run(places));
        for (sequence, read) in (0..).zip(read) {
            assert_eq!(read.unwrap(), payload(shard, sequence, length(sequence)));
        }
    }
    let backwards: Vec<_> = places[1].iter().rev().copied().collect();
    let read = wait(log.read_run(&backwards));
    assert!(read.into_iter().rev().zip(0..).all(|(read, n)| read.unwrap() == payload(1, n, length(n))));
    assert!(wait(log.read_run(&[])).is_empty());
}

#[test]
fn what_cannot_be_read_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut places = written(&log)[0].clone();
    // A flipped byte, a place beyond the end, one that is no frame, a segment that has gone.
    let file = dir.path().join(format!("log/records-day/{:020}.seg", places[1].segment));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[usize::try_from(places[1].offset).unwrap() + 90] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    places[3].offset += 1 << 40;
    places[5].len = 3;
    let gone = places[20].segment;
    log.remove_segment(RECORDS, gone).unwrap();
    for ((number, read), place) in (0..).zip(wait(log.read_run(&places))).zip(&places) {
        match read {
            Ok(read) => assert_eq!(read, payload(0, number, length(number))),
            Err(LogError::Corrupt { .. }) => assert!([1, 3, 5].contains(&number)),
            Err(LogError::Gone(_)) => assert_eq!(place.segment, gone),
            Err(error) => panic!("{number}: {error}"),
        }
    }
}

/// All but the newest segment of the lane.
fn remove_all(log: &Log) {
    for info in log.segments().iter().filter(|info| info.sealed) {
        log.remove_segment(info.lane, info.segment).unwrap();
    }
}

#[test]
fn numbers_go_on_when_every_frame_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    written(&log);
    wait(log.append(RECORDS, vec![record(9, 7_000, 10)])).unwrap();
    let deleted = StreamId(8);
    log.keys().create_stream_key(deleted).unwrap();
    wait(log.append(RECORDS, vec![entry(FrameKind::Records, deleted, 5, vec![0])])).unwrap();
    drop(log);
    let log = open(dir.path());
    log.keys().destroy_stream_key(deleted).unwrap();
    remove_all(&log);
    let last = |log: &Log| [0, 1, 2, 9, 3].map(|shard| log.last_sequence(ORDERS, shard));
    assert_eq!(last(&log), [Some(59), Some(59), Some(59), Some(7_000), None]);
    wait(log.append(RECORDS, vec![record(1, 60, 10)])).unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(last(&log), [Some(59), Some(60), Some(59), Some(7_000), None], "after a restart");
    assert_eq!(log.last_sequence(deleted, 0), None);
    drop(log);
    Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
    let note = dir.path().join("log/sequences");
    let mut bytes = std::fs::read(&note).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&note, bytes).unwrap();
    let summary = Log::verify(dir.path(), Some(&master()), &mut |damage| assert_eq!(damage.file, note));
    assert_eq!(summary.unwrap().damages, 1);
    assert_eq!(open(dir.path()).damages().len(), 1);
}

#[test]
fn a_crash_at_any_step_of_a_removal_forgets_no_number() {
    let dir = Path::new("/data");
    let written = |disk: &SimDisk| {
        let log = Log::open(options_on(dir, Arc::new(disk.clone()))).unwrap();
        log.keys().create_stream_key(ORDERS).unwrap();
        for sequence in 0..20 {
            wait(log.append(RECORDS, vec![record(sequence % 2, u64::from(sequence), 20_000)])).unwrap();
        }
        log
    };
    let whole = SimDisk::default();
    let log = written(&whole);
    let before = whole.steps();
    remove_all(&log);
    let steps = before..whole.steps();
    assert!(steps.clone().count() > 10);
    for step in steps {
        let disk = SimDisk::default();
        let log = written(&disk);
        disk.crash_at(step);
        for info in log.segments().iter().filter(|info| info.sealed) {
            let _ = log.remove_segment(info.lane, info.segment);
        }
        drop(log);
        let log = Log::open(options_on(dir, Arc::new(disk.reboot(step)))).unwrap();
        assert_eq!([0, 1].map(|shard| log.last_sequence(ORDERS, shard)), [Some(18), Some(19)], "step {step}");
    }
}
