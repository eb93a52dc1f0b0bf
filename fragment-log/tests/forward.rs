//! Frames that move to the end of their lane.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use base::StreamId;
use fixtures::SimDisk;
use fragment_log::{FrameKind, LaneId, Location, Log, LogError, Lsn, RetentionClass};
use support::{Told, entry, master, options, options_on, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);

fn payload(sequence: u64) -> Vec<u8> {
    vec![u8::try_from(sequence).unwrap() + 1; 40_000]
}

fn append(log: &Log, count: u64) -> Vec<Location> {
    log.keys().create_stream_key(CAMERA).unwrap();
    let one = |sequence| {
        let kind = if sequence % 2 == 0 { FrameKind::Media } else { FrameKind::FragmentMeta };
        wait(log.append(BULK, vec![entry(kind, CAMERA, sequence, payload(sequence))])).unwrap().locations[0]
    };
    (0..count).map(one).collect()
}

#[test]
fn a_copy_is_told_and_read_and_outlives_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    let places = append(&log, 14);
    let told = Arc::new(Told::default());
    log.follow(Arc::clone(&told) as _);
    let copied = log.copy_forward(&places[..4]).unwrap().unwrap();
    assert_eq!((copied.first, copied.locations.len()), (Lsn(15), 4));
    let payloads: Vec<_> = told.0.lock().unwrap().iter().map(|(_, frame)| frame.payload.clone()).collect();
    assert_eq!(payloads, [None, Some(payload(1).into()), None, Some(payload(3).into())]);
    for info in log.segments().iter().filter(|info| info.segment < copied.locations[0].segment) {
        log.remove_segment(BULK, info.segment).unwrap();
    }
    assert!(matches!(wait(log.read(&places[0])), Err(LogError::Gone(_))));
    drop(log);
    let log = Log::open(options(dir.path())).unwrap();
    for (sequence, at) in (0..).zip(&copied.locations) {
        assert_eq!(wait(log.read(at)).unwrap(), payload(sequence));
    }
    assert_eq!(log.last_sequence(CAMERA, 0), Some(13));
    drop(log);
    Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
}

#[test]
fn what_is_not_whole_is_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    let places = append(&log, 14);
    let file = dir.path().join(format!("log/bulk-week/{:020}.seg", places[1].segment));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[usize::try_from(places[1].offset).unwrap() + 1000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let before = log.durable(BULK);
    assert!(matches!(log.copy_forward(&places[..2]), Err(LogError::Corrupt { .. })));
    log.punch(BULK, places[0].segment, &places[..1]).unwrap();
    assert!(matches!(log.copy_forward(&places[..1]), Err(LogError::Gone(_))));
    let stray = Location { lane: LaneId::Bulk(RetentionClass::Day), ..places[2] };
    assert!(matches!(log.copy_forward(&[places[2], stray]), Err(LogError::Gone(_))));
    assert!(log.copy_forward(&[]).unwrap().is_none());
    assert_eq!(log.durable(BULK), before, "all or nothing");
    log.keys().destroy_stream_key(CAMERA).unwrap();
    assert!(matches!(log.copy_forward(&places[2..3]), Err(LogError::NoKey(_))));
}

#[test]
fn a_crash_at_any_step_leaves_every_frame_at_least_once() {
    let disk = SimDisk::default();
    let log = Log::open(options_on(Path::new("/data"), Arc::new(disk.clone()))).unwrap();
    let places = append(&log, 14);
    let from = disk.steps();
    disk.capture_at(from..from + 1000);
    let old = places[0].segment;
    let in_it: Vec<_> = places.iter().copied().filter(|at| at.segment == old).collect();
    log.copy_forward(&in_it).unwrap().unwrap();
    log.remove_segment(BULK, old).unwrap();
    drop(log);
    let captured = disk.captured();
    assert!(captured.len() > 5);
    for (step, disk) in captured {
        for seed in 0..4 {
            let disk = disk.reboot(step * 4 + seed);
            let log = Log::open(options_on(Path::new("/data"), Arc::new(disk))).unwrap();
            assert!(log.damages().is_empty(), "step {step}");
            let found = replayed(&log, BULK, Lsn(0)).unwrap();
            for frame in &found {
                assert_eq!(wait(log.read(&frame.location)).unwrap(), payload(frame.header.first_sequence));
            }
            let numbers: BTreeSet<u64> = found.iter().map(|frame| frame.header.first_sequence).collect();
            assert!(numbers.into_iter().eq(0..14), "step {step}");
        }
    }
}
