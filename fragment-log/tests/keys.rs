//! The master key changes while the log serves, and a stream's keys go for good.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::{Entropy, StreamId};
use fixtures::SimDisk;
use fragment_log::io::Io;
use fragment_log::{
    FrameKind, Keyring, LaneId, Location, Log, LogError, MasterKey, MasterKeyPlace, Options, RetentionClass,
};
use support::{MASTER, entry, master, options, options_on, wait};

const CAMERA: StreamId = StreamId(7);
const OTHER: StreamId = StreamId(8);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const KEY_FILE: &str = "/config/master.key";
/// The base64 of 32 bytes.
const NEXT: &str = "bmV4dC1uZXh0LW5leHQtbmV4dC1uZXh0LW5leHQtbmU=";

fn opened(disk: &SimDisk, master: MasterKey) -> Result<Log, LogError> {
    let io: Arc<dyn Io> = Arc::new(disk.clone());
    Log::open(Options { master, ..options_on(Path::new("/data"), io) })
}

/// A log with a frame of a stream, and the master key in its file where it `has_file`.
fn written(has_file: bool) -> (SimDisk, Log, Location) {
    let disk = SimDisk::default();
    let mut key = master();
    if has_file {
        let file = Path::new(KEY_FILE);
        let opened = disk.create(file).unwrap();
        opened.write_at(&[IoSlice::new(MASTER.as_bytes())], 0).unwrap();
        opened.sync().unwrap();
        disk.sync_dir(file.parent().unwrap()).unwrap();
        key = key.kept_in(file);
    }
    let log = opened(&disk, key).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let appended = wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 1, vec![1; 100])])).unwrap();
    (disk, log, appended.locations[0])
}

/// What the key file holds.
fn held(disk: &SimDisk) -> String {
    String::from_utf8(disk.files().remove(Path::new(KEY_FILE)).unwrap()).unwrap()
}

fn key(text: &str) -> MasterKey {
    MasterKey::from_base64(text).unwrap()
}

/// The log opens with this key, holds what it held, and takes more.
fn check(disk: &SimDisk, text: &str, at: &Location) {
    let log = opened(disk, key(text)).unwrap();
    assert_eq!(wait(log.read(at)).unwrap(), vec![1; 100]);
    log.keys().create_stream_key(OTHER).unwrap();
    drop(log);
    assert!(opened(disk, key(text)).unwrap().keys().has_stream_key(OTHER));
}

#[test]
fn a_crash_at_any_step_of_a_change_leaves_a_key_file_that_opens() {
    for step in 0.. {
        let (disk, log, at) = written(true);
        disk.crash_at(disk.steps() + step);
        let rotated = log.keys().rotate_master_key(None);
        let crashed = disk.crashed();
        assert_eq!(rotated.is_err(), crashed);
        drop(log);
        for seed in 0..20 {
            let disk = disk.reboot(step * 100 + seed);
            let text = held(&disk);
            check(&disk, &text, &at);
            if text != MASTER {
                assert!(matches!(opened(&disk, master()), Err(LogError::MasterKey(_))), "step {step}");
            }
        }
        if !crashed {
            assert_eq!(rotated.unwrap(), MasterKeyPlace::File(KEY_FILE.into()));
            assert_ne!(held(&disk), MASTER);
            assert!(step > 10, "a change has {step} steps");
            return;
        }
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_old_key_or_the_new_one_of_whoever_keeps_both() {
    for step in 0.. {
        let (disk, log, at) = written(false);
        disk.crash_at(disk.steps() + step);
        let rotated = log.keys().rotate_master_key(Some(key(NEXT)));
        let crashed = disk.crashed();
        drop(log);
        for seed in 0..20 {
            let disk = disk.reboot(step * 100 + seed);
            let opens = [MASTER, NEXT].into_iter().find(|text| opened(&disk, key(text)).is_ok()).unwrap();
            check(&disk, opens, &at);
            if rotated.is_ok() {
                assert_eq!(opens, NEXT, "the old key is good no more");
            }
        }
        if !crashed {
            assert_eq!(rotated.unwrap(), MasterKeyPlace::Caller);
            return;
        }
    }
}

#[test]
fn a_change_that_a_full_disk_refuses_leaves_the_old_key() {
    for has_file in [true, false] {
        let mut refused = 0;
        for space in (0..).step_by(40) {
            let (disk, log, at) = written(has_file);
            disk.set_space(Some(space));
            let next = (!has_file).then(|| key(NEXT));
            let rotated = log.keys().rotate_master_key(next);
            disk.set_space(None);
            // Keys are made and lost as before, under the key that the next start gets.
            log.keys().rotate_stream_key(CAMERA).unwrap();
            drop(log);
            let text =
                if has_file { held(&disk) } else { (if rotated.is_ok() { NEXT } else { MASTER }).into() };
            check(&disk, &text, &at);
            match rotated {
                Ok(_) => break,
                Err(LogError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(!disk.files().contains_key(Path::new("/config/master.key.tmp")));
        }
        assert!(refused > 2, "the disk was never full enough: {refused}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_restore_leaves_the_one_table_or_the_other() {
    let backup = Path::new("/backup/keys");
    for step in 0.. {
        let (disk, log, at) = written(false);
        Keyring::back_up(&disk, Path::new("/data"), backup).unwrap();
        log.keys().create_stream_key(OTHER).unwrap();
        drop(log);
        disk.crash_at(disk.steps() + step);
        let options = options_on(Path::new("/data"), Arc::new(disk.clone()));
        let restored = Keyring::restore(&options, backup, true);
        let crashed = disk.crashed();
        assert_eq!(restored.is_err(), crashed);
        for seed in 0..10 {
            let disk = disk.reboot(step * 100 + seed);
            if !crashed {
                assert!(!opened(&disk, master()).unwrap().keys().has_stream_key(OTHER));
            }
            check(&disk, MASTER, &at);
        }
        if !crashed {
            assert!(step > 6, "a restore has {step} steps");
            return;
        }
    }
}

#[test]
fn a_key_that_is_not_in_a_file_needs_a_successor() {
    let (_, log, _) = written(false);
    let refused = log.keys().rotate_master_key(None).unwrap_err().to_string();
    assert!(refused.contains("master key") && refused.contains("name the new one"), "{refused}");
    let refused = log.keys().rotate_master_key(Some(master())).unwrap_err().to_string();
    assert!(refused.contains("the one in use"), "{refused}");
}

/// Counts, and remembers what it gave: none of it may ever be found in a file in the clear.
#[derive(Default)]
struct Canaries(Mutex<Vec<Vec<u8>>>);

impl Entropy for Canaries {
    fn fill(&self, bytes: &mut [u8]) {
        let mut given = self.0.lock().unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(given.len() as u64 + 1);
        for byte in bytes.iter_mut() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_be_bytes()[0];
        }
        given.push(bytes.to_vec());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every run of this many bytes in the files of the folder.
const RUN: usize = 16;

fn runs(dir: &Path) -> BTreeSet<[u8; RUN]> {
    let files = files(dir).into_iter().map(|file| std::fs::read(file).unwrap());
    files
        .flat_map(|bytes| bytes.windows(RUN).map(|run| run.try_into().unwrap()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn of_a_deleted_stream_no_key_is_left_in_any_file_plain_or_wrapped() {
    let dir = tempfile::tempdir().unwrap();
    let canaries = Arc::new(Canaries::default());
    let log = Log::open(Options { entropy: Arc::clone(&canaries) as _, ..options(dir.path()) }).unwrap();
    log.keys().create_stream_key(OTHER).unwrap();
    let before = canaries.0.lock().unwrap().len();
    log.keys().create_stream_key(CAMERA).unwrap();
    let table = dir.path().join("keys/table.0");
    // The wrapped table key and the sealed rows, behind the head and the nonce, which names nothing.
    let wrapped = |bytes: Vec<u8>| bytes[20 + 12..].to_vec();
    let mut tables = vec![wrapped(std::fs::read(&table).unwrap())];
    for _ in 0..2 {
        wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 1, vec![1; 100])])).unwrap();
        log.keys().rotate_stream_key(CAMERA).unwrap();
        tables.push(wrapped(std::fs::read(&table).unwrap()));
    }
    let keys: Vec<Vec<u8>> =
        canaries.0.lock().unwrap()[before..].iter().filter(|given| given.len() == 32).cloned().collect();
    assert!(keys.len() >= 6, "three data keys and three table keys");
    // As a crash in the middle of a change leaves it.
    std::fs::copy(&table, dir.path().join("keys/table.0.tmp")).unwrap();
    let newest = tables.last().unwrap();
    let found = runs(dir.path());
    assert!(newest.windows(RUN).all(|run| found.contains(run)), "the search sees what is there");

    log.keys().destroy_stream_key(CAMERA).unwrap();
    drop(log);
    let found = runs(dir.path());
    for secret in keys.iter().chain(&tables) {
        assert!(!secret.windows(RUN).any(|run| found.contains(run)), "{secret:02x?} is still there");
    }
    let log = Log::open(options(dir.path())).unwrap();
    assert!(log.keys().has_stream_key(OTHER) && !log.keys().has_stream_key(CAMERA));
}
