//! Power cuts on a simulated disk: at every step of a workload, and during recovery.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::StreamId;
use fragment_log::{FrameKind, LaneId, Location, Log, LogError, Lsn, RetentionClass};
use support::sim::SimIo;
use support::{entry, options_on, replayed, wait};

const LANES: [LaneId; 2] = [LaneId::Control, LaneId::Bulk(RetentionClass::Day)];
const STREAM: StreamId = StreamId(3);

/// What was acknowledged: lane, sequence, place, payload.
type Acked = Vec<(LaneId, u64, Location, Vec<u8>)>;

fn open(disk: &SimIo) -> Result<Log, LogError> {
    let mut options = options_on(Path::new("/data"), Arc::new(disk.clone()));
    options.segment_bytes = 64 * 1024;
    Log::open(options)
}

fn payload(sequence: u64) -> Vec<u8> {
    let len = [10, 3000, 9000, 100][usize::try_from(sequence % 4).expect("it is below 4")];
    vec![u8::try_from(sequence % 251).expect("it is below 251"); len]
}

/// Appends until the power goes, noting what was acknowledged.
fn work(log: &Log, from: u64, acked: &mut Acked) -> Result<(), LogError> {
    log.keys().create_stream_key(STREAM)?;
    for sequence in from..from + 20 {
        let lane = LANES[usize::try_from(sequence % 2).expect("it is below 2")];
        let kinds = if sequence % 5 == 0 { 2 } else { 1 };
        let entries: Vec<_> =
            (0..kinds).map(|_| entry(FrameKind::FragmentMeta, STREAM, sequence, payload(sequence))).collect();
        let appended = wait(log.append(lane, entries))?;
        acked.extend(appended.locations.into_iter().map(|at| (lane, sequence, at, payload(sequence))));
    }
    Ok(())
}

fn check(log: &Log, acked: &Acked) {
    assert!(log.damages().is_empty(), "a crash is no damage: {:?}", log.damages());
    for (lane, sequence, at, payload) in acked {
        let read = wait(log.read(at)).unwrap_or_else(|error| panic!("{lane} {sequence}: {error}"));
        assert_eq!(read, payload, "{lane} {sequence}");
    }
    for lane in LANES {
        let frames = replayed(log, lane, Lsn(0)).unwrap();
        assert!(frames.is_sorted_by(|a, b| a.lsn < b.lsn), "{lane}: places increase");
        let found: BTreeMap<_, _> = frames.iter().map(|frame| (frame.location, frame)).collect();
        for (_, _, at, payload) in acked.iter().filter(|acked| acked.0 == lane) {
            let frame = found.get(at).unwrap_or_else(|| panic!("{at:?} is not replayed"));
            assert_eq!(frame.payload.as_deref(), Some(payload.as_slice()));
        }
        for frame in &frames {
            assert_eq!(frame.payload.as_deref(), Some(payload(frame.header.first_sequence).as_slice()));
        }
    }
}

/// Runs the workload on `disk` until its power goes.
fn run(disk: &SimIo, from: u64, acked: &mut Acked) {
    if let Ok(log) = open(disk) {
        let done = work(&log, from, acked);
        assert!(done.is_ok() || disk.crashed(), "{done:?}");
    }
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let whole = SimIo::default();
    run(&whole, 0, &mut Vec::new());
    let steps = whole.steps();
    assert!(steps > 100, "the workload has {steps} steps");
    for step in 0..steps {
        let before = SimIo::default();
        before.crash_at(step);
        let mut acked_before = Vec::new();
        run(&before, 0, &mut acked_before);
        for seed in [step * 7 + 1, step * 7 + 2] {
            let mut acked = acked_before.clone();
            let disk = before.reboot(seed);
            let log = open(&disk).unwrap_or_else(|error| panic!("step {step}, seed {seed}: {error}"));
            check(&log, &acked);
            // What comes afterwards is kept as well, under places that were never given before.
            work(&log, 100, &mut acked).unwrap();
            check(&log, &acked);
        }
    }
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let whole = SimIo::default();
    run(&whole, 0, &mut Vec::new());
    for step in (20..whole.steps()).step_by(13) {
        let disk = SimIo::default();
        disk.crash_at(step);
        let mut acked = Vec::new();
        run(&disk, 0, &mut acked);
        for again in 0.. {
            let halfway = disk.reboot(step);
            halfway.crash_at(again);
            let opened = open(&halfway).map(drop);
            let disk = halfway.reboot(again);
            check(&open(&disk).unwrap(), &acked);
            if opened.is_ok() && !halfway.crashed() {
                break;
            }
        }
    }
}

#[test]
fn opening_again_changes_nothing() {
    for step in (30..150).step_by(7) {
        let disk = SimIo::default();
        disk.crash_at(step);
        run(&disk, 0, &mut Vec::new());
        let disk = disk.reboot(step);
        let segments = open(&disk).unwrap().segments();
        let log_files = || {
            let files = disk.snapshot().into_iter();
            files.filter(|(path, _)| path.starts_with("/data/log")).collect::<BTreeMap<_, _>>()
        };
        let files = log_files();
        let log = open(&disk).unwrap();
        assert_eq!(log.segments(), segments);
        assert_eq!(log.metrics().torn_tails, 0);
        drop(log);
        assert!(log_files() == files, "step {step}");
    }
}

#[test]
fn what_was_torn_is_kept_aside() {
    // Crash between a write and its sync, often enough that some sectors arrive.
    let mut set_aside = 0;
    for step in 30..120 {
        let disk = SimIo::default();
        disk.crash_at(step);
        run(&disk, 0, &mut Vec::new());
        let disk = disk.reboot(step + 1);
        let torn = open(&disk).unwrap().metrics().torn_tails;
        let files = disk.snapshot();
        let kept = files.keys().filter(|path| path.extension().is_some_and(|e| e == "torn")).count();
        assert!(kept as u64 >= torn, "{files:?}");
        set_aside += torn;
    }
    assert!(set_aside > 0, "no crash tore anything");
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    // The proof that the tests above would see a missing sync.
    let lost = (1..20).filter(|&seed| {
        let disk = SimIo::default();
        let mut acked = Vec::new();
        let log = open(&disk).unwrap();
        disk.lie_about_syncs();
        work(&log, 0, &mut acked).unwrap();
        let disk = disk.reboot(seed);
        let Ok(log) = open(&disk) else { return true };
        acked.iter().any(|(_, _, at, payload)| wait(log.read(at)).ok().as_deref() != Some(payload.as_slice()))
    });
    assert!(lost.count() > 10);
}
