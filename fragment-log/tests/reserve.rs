//! A disk that others have filled: commands and footers find room all the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::StreamId;
use fixtures::SimDisk;
use fragment_log::io::Io;
use fragment_log::{FrameKind, INSTALLATION, LaneId, Log, LogError, Lsn, RetentionClass};
use support::{entry, options_on, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const RESERVE: &str = "/data/log/reserve";

fn open(disk: &SimDisk) -> Log {
    Log::open(options_on(Path::new("/data"), Arc::new(disk.clone()))).unwrap()
}

fn command(log: &Log, sequence: u64) -> Result<(), LogError> {
    let entries = vec![entry(FrameKind::Command, INSTALLATION, sequence, vec![1; 3_000])];
    wait(log.append(LaneId::Control, entries)).map(drop)
}

fn media(log: &Log, sequence: u64) -> Result<(), LogError> {
    wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, sequence, vec![1; 30_000])])).map(drop)
}

/// A log with one frame in each of two lanes, on a disk that has `spare` bytes left, of which `log/reserve`
/// takes some.
fn filled(disk: &SimDisk, spare: u64) -> Log {
    let log = open(disk);
    log.keys().create_stream_key(CAMERA).unwrap();
    media(&log, 1).unwrap();
    command(&log, 1).unwrap();
    let mut more = 2;
    disk.set_space(Some(spare));
    while media(&log, more).is_ok() {
        more += 1;
    }
    log
}

#[test]
fn commands_and_footers_find_room_when_others_have_filled_the_disk() {
    for set_aside in [true, false] {
        let disk = SimDisk::default();
        let log = filled(&disk, 0);
        assert_eq!(disk.files()[Path::new(RESERVE)].len(), 128 * 1024, "two segments of the control lane");
        if !set_aside {
            disk.unlink(Path::new(RESERVE)).unwrap();
            disk.set_space(Some(0));
        }
        // The room that the control lane's segment has reserved is used up first.
        let taken = (2..40).take_while(|&sequence| command(&log, sequence).is_ok()).count();
        if set_aside {
            assert!(taken > 25, "{taken} commands");
            assert!(!disk.files().contains_key(Path::new(RESERVE)));
        } else {
            assert!(taken < 20, "{taken} commands");
        }
        drop(log);
        let sealed = |(path, bytes): (&PathBuf, &Vec<u8>)| {
            path.extension() != Some("seg".as_ref()) || !bytes.len().is_multiple_of(4096)
        };
        assert!(disk.files().iter().all(sealed), "the newest ones were open");
        let log = open(&disk);
        assert_eq!(replayed(&log, LaneId::Control, Lsn(0)).unwrap().len(), taken + 1);
    }
}

#[test]
fn space_is_set_aside_again_when_there_is_some() {
    let disk = SimDisk::default();
    let log = filled(&disk, 0);
    while disk.files().contains_key(Path::new(RESERVE)) {
        command(&log, 1).unwrap();
    }
    let there = |disk: &SimDisk| disk.files().contains_key(Path::new(RESERVE));
    disk.set_space(Some(1_100_000));
    log.keep_reserve(1_000_000).unwrap();
    assert!(!there(&disk), "what is kept free is not for that");
    disk.set_space(Some(2_000_000));
    log.keep_reserve(1_000_000).unwrap();
    assert!(there(&disk));
    drop(log);
    drop(open(&disk));
    assert!(there(&disk));
    // A start without space takes none, and begins nothing.
    disk.unlink(Path::new(RESERVE)).unwrap();
    disk.set_space(Some(50_000));
    drop(open(&disk));
    assert!(!there(&disk));
}
