//! Frames whose space is given back while their segment stays.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::StreamId;
use fixtures::SimDisk;
use fragment_log::{Damage, FrameKind, LaneId, Location, Log, LogError, Lsn, RetentionClass, Summary};
use support::{entry, master, options, options_on, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const FRAMES: u64 = 6;
const PAYLOAD: usize = 20_000;

fn payload(sequence: u64) -> Vec<u8> {
    vec![u8::try_from(sequence).unwrap() + 1; PAYLOAD]
}

fn append(log: &Log) -> Vec<Location> {
    let append = |sequence| {
        let entry = entry(FrameKind::Media, CAMERA, sequence, payload(sequence));
        wait(log.append(BULK, vec![entry])).unwrap().locations[0]
    };
    (0..FRAMES).map(append).collect()
}

/// A log with one sealed segment, and where its frames are.
fn written(dir: &Path) -> (Log, Vec<Location>) {
    let log = Log::open(options(dir)).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let locations = append(&log);
    drop(log);
    (Log::open(options(dir)).unwrap(), locations)
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("log/bulk-week/00000000000000000001.seg")
}

fn note(dir: &Path) -> PathBuf {
    dir.join("log/bulk-week/00000000000000000001.freed")
}

fn verified(dir: &Path) -> (Summary, Vec<Damage>) {
    let mut damages = Vec::new();
    let summary = Log::verify(dir, Some(&master()), &mut |damage| damages.push(damage)).unwrap();
    (summary, damages)
}

/// Every frame but those in `freed` reads; those are gone.
fn check(log: &Log, locations: &[Location], freed: &[u64]) {
    for (sequence, at) in (0..).zip(locations) {
        match wait(log.read(at)) {
            Ok(read) => assert!(!freed.contains(&sequence) && read == payload(sequence)),
            Err(LogError::Gone(gone)) => assert!(gone == *at && freed.contains(&sequence)),
            Err(error) => panic!("{error}"),
        }
    }
    let kept = (0..FRAMES).filter(|sequence| !freed.contains(sequence));
    let replayed = replayed(log, BULK, Lsn(0)).unwrap();
    assert!(replayed.iter().map(|frame| frame.header.first_sequence).eq(kept.clone()));
    assert_eq!(log.frames(BULK, 1).unwrap().len(), kept.count());
}

#[test]
fn freed_frames_are_gone_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (log, locations) = written(dir.path());
    let (size, blocks) =
        std::fs::metadata(segment(dir.path())).map(|file| (file.len(), file.blocks())).unwrap();
    let bytes =
        log.punch(BULK, 1, &locations[1..3]).unwrap().expect("the temporary folder's file system has holes");
    assert_eq!(bytes, 2 * 12_288, "the whole blocks of each payload");
    let file = std::fs::metadata(segment(dir.path())).unwrap();
    assert_eq!((file.len(), blocks - file.blocks()), (size, bytes / 512));
    check(&log, &locations, &[1, 2]);
    assert_eq!(log.punch(BULK, 1, &locations[..1]).unwrap(), Some(12_288));
    check(&log, &locations, &[0, 1, 2]);
    drop(log);
    let (summary, damages) = verified(dir.path());
    assert_eq!((summary.freed, summary.frames, damages), (3, FRAMES, Vec::new()));
    let log = Log::open(options(dir.path())).unwrap();
    check(&log, &locations, &[0, 1, 2]);
    // With the segment goes its note.
    log.remove_segment(BULK, 1).unwrap();
    assert!(!note(dir.path()).exists());
    assert!(matches!(wait(log.read(&locations[0])), Err(LogError::Gone(_))));
}

#[test]
fn a_segment_that_is_written_is_not_punched() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let locations = append(&log);
    assert!(matches!(log.punch(BULK, 1, &locations), Err(LogError::InUse { .. })));
    assert!(log.frames(BULK, 1).unwrap().is_empty(), "it has no footer yet");
    assert!(matches!(log.punch(BULK, 2, &locations), Err(LogError::Gone(_))));
    check_reads(&log, &locations);
}

fn check_reads(log: &Log, locations: &[Location]) {
    for (sequence, at) in (0..).zip(locations) {
        assert_eq!(wait(log.read(at)).unwrap(), payload(sequence));
    }
}

#[test]
fn a_damaged_note_is_told_and_serves_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (log, locations) = written(dir.path());
    log.punch(BULK, 1, &locations[1..3]).unwrap();
    drop(log);
    let mut bytes = std::fs::read(note(dir.path())).unwrap();
    bytes[30] ^= 1;
    std::fs::write(note(dir.path()), bytes).unwrap();
    let (summary, damages) = verified(dir.path());
    assert_eq!(summary.freed, 0);
    assert!(damages.iter().any(|damage| damage.file == note(dir.path())), "{damages:?}");
    let log = Log::open(options(dir.path())).unwrap();
    assert_eq!(log.damages().len(), 1);
    assert!(matches!(wait(log.read(&locations[1])), Err(LogError::Corrupt { .. })));
    assert_eq!(wait(log.read(&locations[0])).unwrap(), payload(0));
    // Freeing again writes the note anew.
    log.punch(BULK, 1, &locations[1..3]).unwrap();
    check(&log, &locations, &[1, 2]);
    drop(log);
    assert_eq!(verified(dir.path()).1, Vec::new());
}

#[test]
fn a_note_without_its_segment_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (log, locations) = written(dir.path());
    log.punch(BULK, 1, &locations[1..3]).unwrap();
    drop(log);
    std::fs::remove_file(segment(dir.path())).unwrap();
    drop(Log::open(options(dir.path())).unwrap());
    assert!(!note(dir.path()).exists());
}

/// Frees two frames on a disk that crashes after `steps` more steps; `None` where it did not.
fn crashed(steps: u64, seed: u64) -> Option<(SimDisk, Vec<Location>)> {
    let disk = SimDisk::default();
    let open = |disk: &SimDisk| Log::open(options_on(Path::new("/data"), Arc::new(disk.clone())));
    let log = open(&disk).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let locations = append(&log);
    drop(log);
    let log = open(&disk).unwrap();
    disk.crash_at(disk.steps() + steps);
    // The error is the crash.
    let _ = log.punch(BULK, 1, &locations[1..3]);
    let crashed = disk.crashed();
    drop(log);
    crashed.then(|| (disk.reboot(seed), locations))
}

#[test]
fn a_crash_at_any_step_leaves_frames_whole_or_freed() {
    let mut both = [false; 2];
    for step in 0.. {
        for seed in 1..20 {
            let Some((disk, locations)) = crashed(step, seed) else {
                assert!(step > 5 && both == [true; 2], "{step} steps");
                return;
            };
            let log = Log::open(options_on(Path::new("/data"), Arc::new(disk))).unwrap();
            assert_eq!(log.damages(), []);
            let freed = matches!(wait(log.read(&locations[1])), Err(LogError::Gone(_)));
            both[usize::from(freed)] = true;
            check(&log, &locations, if freed { &[1, 2] } else { &[] });
            // And again, to the end.
            log.punch(BULK, 1, &locations[1..3]).unwrap();
            check(&log, &locations, &[1, 2]);
        }
    }
}

#[test]
fn what_is_left_of_the_disk_is_kept_for_commands() {
    let disk = SimDisk::default();
    let log = Log::open(options_on(Path::new("/data"), Arc::new(disk.clone()))).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let put = |lane| wait(log.append(lane, vec![entry(FrameKind::Command, CAMERA, 1, payload(1))]));
    disk.set_space(Some(10_000_000));
    assert_eq!(log.keep_reserve(20_000_000).unwrap().available, 10_000_000);
    assert!(matches!(put(BULK), Err(LogError::Full { .. })));
    put(LaneId::Control).unwrap();
    // It goes on by itself when there is space.
    disk.set_space(Some(30_000_000));
    log.keep_reserve(20_000_000).unwrap();
    put(BULK).unwrap();
    let refused: u64 = log.metrics().lanes.iter().map(|lane| lane.full).sum();
    assert_eq!(refused, 1);
}
