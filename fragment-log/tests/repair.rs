//! `Verify`: naming single frames, and mending what other bytes can mend.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::StreamId;
use fixtures::SimDisk;
use fragment_log::{Damage, Finding, FrameKind, LaneId, Location, Log, LogError, RetentionClass, Verify};
use support::{entry, master, options_on, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const SEGMENT: &str = "/data/log/bulk-week/00000000000000000001.seg";

fn open(disk: &SimDisk) -> Log {
    Log::open(options_on(Path::new("/data"), Arc::new(disk.clone()))).unwrap()
}

/// A disk with one sealed segment of three frames in one batch, opened twice.
fn written() -> (SimDisk, Vec<Location>) {
    let disk = SimDisk::default();
    let log = open(&disk);
    log.keys().create_stream_key(CAMERA).unwrap();
    let frame = |sequence| entry(FrameKind::Media, CAMERA, sequence, vec![1; 3000]);
    let appended = wait(log.append(BULK, (1..4).map(frame).collect())).unwrap();
    drop(log);
    drop(open(&disk));
    (disk, appended.locations)
}

/// The disk with one bit flipped in each of these bytes.
fn damaged(disk: &SimDisk, bytes: &[(&str, u64)]) -> SimDisk {
    let mut files = disk.files();
    for (file, at) in bytes {
        files.get_mut(Path::new(file)).unwrap()[usize::try_from(*at).unwrap()] ^= 4;
    }
    SimDisk::with_files(&files)
}

fn verify(disk: &SimDisk) -> Verify {
    Verify { io: Arc::new(disk.clone()), ..Verify::new("/data", Some(master())) }
}

fn damages(disk: &SimDisk) -> Vec<Damage> {
    let mut damages = Vec::new();
    verify(disk).run(&mut |finding| damages.extend(support::damage(finding))).unwrap();
    damages
}

#[test]
fn a_damaged_frame_is_named_also_behind_a_damaged_head() {
    let (disk, frames) = written();
    let second = frames[1];
    let found = damages(&damaged(&disk, &[(SEGMENT, second.offset + 100)]));
    let [frame] = &found[..] else { panic!("{found:?}") };
    assert_eq!((frame.offset, frame.bytes), (second.offset, u64::from(second.len)));
    assert_eq!(frame.stream, Some(CAMERA));
    let found = damages(&damaged(&disk, &[(SEGMENT, 4096 + 20), (SEGMENT, second.offset + 100)]));
    let [head, frame] = &found[..] else { panic!("{found:?}") };
    assert_eq!((head.offset, head.bytes), (4096, frames[0].offset - 4096));
    assert_eq!((frame.offset, frame.stream), (second.offset, Some(CAMERA)));
    assert_eq!(frame.time.unwrap().millis(), 1_700_000_000_002);
}

#[test]
fn without_a_whole_key_table_checksums_decide() {
    let (disk, _) = written();
    let found = damages(&damaged(&disk, &[("/data/keys/table.0", 30), ("/data/keys/table.1", 30)]));
    let files: Vec<_> = found.iter().map(|damage| damage.file.display().to_string()).collect();
    assert_eq!(files, ["/data/keys/table.0", "/data/keys/table.1"]);
}

#[test]
fn progress_comes_to_all_there_is() {
    let (disk, _) = written();
    let mut last = None;
    let summary = verify(&disk).run(&mut |finding| match finding {
        Finding::Progress(progress) => last = Some(progress),
        other => panic!("{other:?}"),
    });
    let (summary, last) = (summary.unwrap(), last.unwrap());
    assert_eq!((last.segments, last.bytes), (last.of_segments, last.of_bytes));
    assert_eq!((summary.segments, summary.bytes), (1, last.bytes));
}

#[test]
fn what_other_bytes_tell_is_rebuilt() {
    let (disk, frames) = written();
    let footer = disk.files()[Path::new(SEGMENT)].len() as u64 - 100;
    for places in [
        &[(SEGMENT, footer)][..],
        &[(SEGMENT, 10)],
        &[("/data/keys/table.0", 30)],
        &[("/data/keys/table.1", 99)],
        &[("/data/superblock", 9)],
        &[("/data/superblock", 4096 + 9), (SEGMENT, 2000), ("/data/keys/table.0", 3)],
    ] {
        let disk = damaged(&disk, places);
        let before = disk.files();
        let (mut rebuilt, mut copies) = (Vec::new(), Vec::new());
        let summary = verify(&disk).repair(&mut |finding| match finding {
            Finding::Rebuilt(file) => rebuilt.push(file),
            Finding::Quarantined { damage, copy } => copies.push((damage, copy)),
            _ => {}
        });
        assert_eq!(summary.unwrap().damages, 0, "{places:?}");
        rebuilt.sort();
        let mut files: Vec<PathBuf> = places.iter().map(|place| place.0.into()).collect();
        files.sort();
        assert_eq!(rebuilt, files);
        for (damage, copy) in copies {
            let from = usize::try_from(damage.offset).unwrap();
            let range = from..from + usize::try_from(damage.bytes).unwrap();
            assert_eq!(disk.files()[&copy], before[&damage.file][range], "{}", copy.display());
        }
        let log = open(&disk);
        assert_eq!(wait(log.read_all(&frames)).unwrap(), vec![1; 9000]);
    }
}

#[test]
fn what_nothing_can_rebuild_is_copied_aside_and_stays() {
    let (disk, frames) = written();
    let disk = damaged(&disk, &[(SEGMENT, frames[1].offset + 100)]);
    let before = disk.files();
    let mut copies = Vec::new();
    let summary = verify(&disk).repair(&mut |finding| {
        if let Finding::Quarantined { copy, .. } = finding {
            copies.push(copy);
        }
    });
    assert_eq!(summary.unwrap().damages, 1);
    assert_eq!(copies.len(), 1);
    let after = disk.files();
    assert!(before.iter().all(|(path, bytes)| path.ends_with("superblock") || after[path] == *bytes));
    assert_eq!(after[&copies[0]].len() as u64, u64::from(frames[1].len));
    let log = open(&disk);
    assert_eq!(wait(log.read(&frames[2])).unwrap(), vec![1; 3000]);
    assert!(matches!(wait(log.read(&frames[1])), Err(LogError::Corrupt { .. })));
    assert!(matches!(verify(&disk).repair(&mut |_| {}), Err(LogError::Locked(_))), "a server has it open");
}
