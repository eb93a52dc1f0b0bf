//! Full disks, failing syncs, flipped bits, destroyed keys.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::StreamId;
use fixtures::{DiskFault, SimDisk};
use fragment_log::{Appended, Entry, FrameKind, LaneId, Log, LogError, Lsn, RetentionClass};
use support::{entry, master, options, options_on, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);

fn media(sequence: u64, len: usize) -> Vec<Entry> {
    vec![entry(FrameKind::Media, CAMERA, sequence, vec![u8::try_from(sequence % 256).unwrap(); len])]
}

fn sim_log(disk: &SimDisk) -> Log {
    let log = Log::open(options_on(Path::new("/data"), Arc::new(disk.clone()))).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    log
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    let disk = SimDisk::default();
    let log = sim_log(&disk);
    let mut kept: Vec<(u64, Appended)> = Vec::new();
    let mut refused = 0;
    for sequence in 0..60 {
        disk.set_space(Some(if (20..40).contains(&sequence) { sequence % 3 * 4096 } else { 10_000_000 }));
        match wait(log.append(BULK, media(sequence, 20_000))) {
            Ok(appended) => kept.push((sequence, appended)),
            Err(LogError::Full { .. }) => refused += 1,
            Err(error) => panic!("{sequence}: {error}"),
        }
    }
    assert!(refused > 10, "space that was reserved is used up first: {refused}");
    assert_eq!(log.metrics().lanes[0].full, refused);
    let check = |log: &Log| {
        for (sequence, appended) in &kept {
            assert_eq!(
                wait(log.read(&appended.locations[0])).unwrap(),
                media(*sequence, 20_000)[0].payload[0]
            );
        }
        assert_eq!(replayed(log, BULK, Lsn(0)).unwrap().len(), kept.len());
    };
    check(&log);
    drop(log);
    check(&sim_log(&disk));
}

#[test]
fn a_log_opens_and_reads_on_a_full_disk() {
    let disk = SimDisk::default();
    let log = sim_log(&disk);
    let appended = wait(log.append(BULK, media(1, 30_000))).unwrap();
    disk.crash_at(disk.steps());
    drop(log);
    let disk = disk.reboot(1);
    disk.set_space(Some(0));
    let log = sim_log(&disk);
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), vec![1; 30_000]);
    disk.set_space(Some(0));
    assert!(matches!(wait(log.append(BULK, media(2, 10))), Err(LogError::Full { .. })));
    assert_eq!(replayed(&log, BULK, Lsn(0)).unwrap().len(), 1);
    disk.set_space(None);
    assert!(wait(log.append(BULK, media(2, 10))).unwrap().first > appended.last);
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    let disk = SimDisk::default();
    let log = sim_log(&disk);
    let appended = wait(log.append(BULK, media(1, 100))).unwrap();
    disk.fail_next_sync(DiskFault::Device);
    assert!(matches!(wait(log.append(BULK, media(2, 100))), Err(LogError::Io { doing: "sync", .. })));
    for sequence in 3..6 {
        assert!(matches!(wait(log.append(BULK, media(sequence, 100))), Err(LogError::Stopped { .. })));
    }
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), vec![1; 100], "reads go on");
    assert!(log.metrics().lanes[0].stopped);
    // The lane of another class has its own file.
    drop(log);
    let log = sim_log(&disk.reboot(1));
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), vec![1; 100]);
    wait(log.append(BULK, media(7, 100))).unwrap();
}

#[test]
fn appends_that_wait_share_a_sync() {
    const PRODUCERS: u64 = 128;
    let disk = SimDisk::default();
    let log = Arc::new(sim_log(&disk));
    disk.set_sync_delay(Duration::from_millis(10));
    let before = disk.syncs();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let append = |sequence| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(BULK, media(sequence, 1000)).await })
        };
        let appends: Vec<_> = (0..PRODUCERS).map(append).collect();
        for append in appends {
            append.await.unwrap().unwrap();
        }
    });
    let syncs = disk.syncs() - before;
    assert!(syncs <= 8, "{PRODUCERS} appends took {syncs} syncs");
    assert_eq!(replayed(&log, BULK, Lsn(0)).unwrap().len() as u64, PRODUCERS);
}

#[test]
fn a_producer_waits_while_the_budget_is_used_up() {
    let disk = SimDisk::default();
    let log = Arc::new(sim_log(&disk));
    disk.set_sync_delay(Duration::from_millis(50));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let append = |sequence| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(BULK, media(sequence, 8 << 20)).await })
        };
        let appends: Vec<_> = (0..12).map(append).collect();
        let mut most = 0;
        while !appends.iter().all(tokio::task::JoinHandle::is_finished) {
            most = most.max(log.metrics().lanes.first().map_or(0, |lane| lane.queued_bytes));
            tokio::task::yield_now().await;
        }
        assert!(most <= 64 << 20, "{most} bytes waited");
        for append in appends {
            append.await.unwrap().unwrap();
        }
    });
}

#[test]
fn what_is_too_large_or_has_no_key_is_refused() {
    let disk = SimDisk::default();
    let log = sim_log(&disk);
    let too_large = |result| matches!(result, Err(LogError::TooLarge { .. }));
    assert!(too_large(wait(log.append(BULK, media(1, (16 << 20) + 1)))));
    let many: Vec<Entry> = (0..4097).flat_map(|sequence| media(sequence, 1)).collect();
    assert!(too_large(wait(log.append(BULK, many))));
    let much: Vec<Entry> = (0..5).flat_map(|sequence| media(sequence, 14 << 20)).collect();
    assert!(too_large(wait(log.append(BULK, much))));
    let unknown = vec![entry(FrameKind::Media, StreamId(99), 1, vec![1])];
    assert!(matches!(wait(log.append(BULK, unknown)), Err(LogError::NoKey(StreamId(99)))));
    assert!(wait(log.append(BULK, Vec::new())).unwrap().locations.is_empty());
    log.close();
    assert!(matches!(wait(log.append(BULK, media(1, 1))), Err(LogError::Stopped { .. })));
}

#[test]
fn a_destroyed_key_takes_its_stream_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    let other = StreamId(8);
    for stream in [CAMERA, other] {
        log.keys().create_stream_key(stream).unwrap();
    }
    let meta = |stream| vec![entry(FrameKind::FragmentMeta, stream, 1, b"front door".to_vec())];
    let mine = wait(log.append(BULK, meta(CAMERA))).unwrap();
    let theirs = wait(log.append(BULK, meta(other))).unwrap();
    log.keys().destroy_stream_key(CAMERA).unwrap();
    assert!(matches!(wait(log.read(&mine.locations[0])), Err(LogError::NoKey(CAMERA))));
    assert_eq!(wait(log.read(&theirs.locations[0])).unwrap(), "front door");
    let payloads: Vec<_> =
        replayed(&log, BULK, Lsn(0)).unwrap().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(payloads, [None, Some("front door".into())]);
    drop(log);
    let summary = Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
    assert_eq!((summary.frames, summary.shredded), (2, 1));
    for file in walk(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"front door"), "{}", file.display());
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn removed_segments_are_gone_and_the_order_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let mut last = Lsn(0);
    let mut first_at = None;
    for sequence in 0..40 {
        let appended = wait(log.append(BULK, media(sequence, 30_000))).unwrap();
        last = appended.last;
        first_at.get_or_insert(appended.locations[0]);
    }
    let segments = log.segments();
    assert!(segments.len() > 3, "segments are closed by size: {segments:?}");
    let active = segments.last().unwrap().segment;
    assert!(matches!(log.remove_segment(BULK, active), Err(LogError::InUse { .. })));
    log.close();
    drop(log);
    // Now every segment is complete, and all of them may go.
    let log = Log::open(options(dir.path())).unwrap();
    for segment in log.segments() {
        log.remove_segment(BULK, segment.segment).unwrap();
        log.remove_segment(BULK, segment.segment).unwrap();
    }
    assert!(matches!(wait(log.read(&first_at.unwrap())), Err(LogError::Gone(_))));
    drop(log);
    let log = Log::open(options(dir.path())).unwrap();
    assert!(replayed(&log, BULK, Lsn(0)).unwrap().is_empty());
    assert!(wait(log.append(BULK, media(100, 10))).unwrap().first > last, "no place is given twice");
}
