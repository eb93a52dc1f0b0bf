//! Batches so large that one is written while another one is synced.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::StreamId;
use fixtures::{DiskFault, SimDisk};
use fragment_log::{Appended, FrameKind, LaneId, Log, LogError, Lsn, Options, RetentionClass};
use support::{Told, entry, options_on};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const PRODUCERS: u64 = 6;
const APPENDS: u64 = 5;

fn sim_log(disk: &SimDisk) -> Log {
    let options = options_on(Path::new("/data"), Arc::new(disk.clone()));
    Log::open(Options { segment_bytes: 16 * 1024 * 1024, ..options }).unwrap()
}

/// What the producers were told: every other one appends small pieces between the large ones.
fn produce(log: &Arc<Log>) -> Vec<(u64, Result<Appended, LogError>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let producers = (0..PRODUCERS).map(|producer| {
        let log = Arc::clone(log);
        runtime.spawn(async move {
            let mut told = Vec::new();
            for number in 0..APPENDS {
                let sequence = producer * APPENDS + number + 1;
                let appended =
                    log.append(BULK, vec![entry(FrameKind::Media, CAMERA, sequence, payload(sequence))]);
                told.push((sequence, appended.await));
            }
            told
        })
    });
    let producers: Vec<_> = producers.collect();
    producers.into_iter().flat_map(|producer| runtime.block_on(producer).unwrap()).collect()
}

fn payload(sequence: u64) -> Vec<u8> {
    let len = if sequence.is_multiple_of(2) { 700 } else { 1_300_000 };
    vec![u8::try_from(sequence).unwrap(); len]
}

fn read(log: &Log, appended: &Appended) -> Vec<u8> {
    support::wait(log.read_all(&appended.locations)).unwrap().to_vec()
}

#[test]
fn what_is_submitted_first_stands_first_whoever_waits_first() {
    let log = sim_log(&SimDisk::default());
    let entries = |sequence| vec![entry(FrameKind::Media, CAMERA, sequence, payload(2))];
    log.keys().create_stream_key(CAMERA).unwrap();
    let room = || support::wait(log.reserve(BULK, &entries(2))).unwrap();
    let rooms: Vec<_> = (0..20).map(|_| room()).collect();
    let submitted: Vec<_> = (0..)
        .step_by(2)
        .zip(rooms)
        .map(|(sequence, room)| log.submit(room, entries(sequence)).unwrap())
        .collect();
    let mut places: Vec<Lsn> =
        submitted.into_iter().rev().map(|one| support::wait(one.wait()).unwrap().first).collect();
    places.reverse();
    assert!(places.is_sorted() && places.len() == 20, "{places:?}");
    let larger = vec![entry(FrameKind::Media, CAMERA, 1, vec![0; 701])];
    let refused = log.submit(room(), larger).err();
    assert!(matches!(refused, Some(LogError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn all_are_told_in_order_and_read_back() {
    let disk = SimDisk::default();
    disk.set_sync_delay(Duration::from_millis(3));
    let log = Arc::new(sim_log(&disk));
    let followed = Arc::new(Told::default());
    log.follow(Arc::clone(&followed) as _);
    log.keys().create_stream_key(CAMERA).unwrap();
    let told = produce(&log);
    let order: Vec<Lsn> = followed.0.lock().unwrap().iter().map(|(_, frame)| frame.lsn).collect();
    assert_eq!(order, (1..=PRODUCERS * APPENDS).map(Lsn).collect::<Vec<_>>());
    for (sequence, appended) in &told {
        assert_eq!(read(&log, appended.as_ref().unwrap()), payload(*sequence));
    }
    drop(log);
    let log = sim_log(&disk);
    assert!(log.damages().is_empty());
    for (sequence, appended) in &told {
        assert_eq!(read(&log, appended.as_ref().unwrap()), payload(*sequence), "after a restart");
    }
}

#[test]
fn a_failed_sync_refuses_what_was_written_meanwhile() {
    for fail_at in 1..8 {
        let disk = SimDisk::default();
        let log = Arc::new(sim_log(&disk));
        log.keys().create_stream_key(CAMERA).unwrap();
        disk.set_sync_delay(Duration::from_millis(3));
        disk.fail_sync_after(fail_at, DiskFault::Device);
        let told = produce(&log);
        let refused = told.iter().filter(|(_, appended)| appended.is_err()).count();
        assert!(refused > 0, "the lane stopped at sync {fail_at}");
        drop(log);
        let log = sim_log(&disk.reboot(fail_at));
        for (sequence, appended) in &told {
            if let Ok(appended) = appended {
                assert_eq!(read(&log, appended), payload(*sequence), "it was acknowledged");
            }
        }
    }
}
