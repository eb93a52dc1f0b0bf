//! Flipped bits: found, told, and never served.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base::StreamId;
use fragment_log::{Appended, Damage, FrameKind, LaneId, Log, LogError, Lsn, RetentionClass};
use proptest::prelude::*;
use support::{entry, master, options, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const FRAMES: u64 = 12;

fn payload(sequence: u64) -> Vec<u8> {
    vec![u8::try_from(sequence).unwrap(); 200 + usize::try_from(sequence).unwrap() * 700]
}

/// A log of one sealed segment, and what is in it.
fn written(dir: &Path) -> (PathBuf, Vec<Appended>) {
    let log = Log::open(options(dir)).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let append = |sequence| {
        wait(log.append(BULK, vec![entry(FrameKind::FragmentMeta, CAMERA, sequence, payload(sequence))]))
            .unwrap()
    };
    let appended = (0..FRAMES).map(append).collect();
    drop(log);
    (dir.join("log/bulk-week/00000000000000000001.seg"), appended)
}

fn verified(dir: &Path, with_key: bool) -> Vec<Damage> {
    let mut damages = Vec::new();
    let master = master();
    let summary = Log::verify(dir, with_key.then_some(&master), &mut |damage| damages.push(damage)).unwrap();
    assert_eq!(summary.damages as usize, damages.len());
    damages
}

/// Every frame reads as it was written or not at all. Returns how many do not.
fn unreadable(log: &Log, appended: &[Appended]) -> usize {
    let mut lost = 0;
    for (sequence, appended) in (0..).zip(appended) {
        match wait(log.read(&appended.locations[0])) {
            Ok(read) => assert_eq!(read, payload(sequence)),
            Err(LogError::Corrupt { .. }) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    for frame in replayed(log, BULK, Lsn(0)).unwrap() {
        assert_eq!(frame.payload.unwrap(), payload(frame.header.first_sequence));
    }
    lost
}

fn flip(file: &Path, bit: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(file, bytes).unwrap();
}

/// A copy of one written log, because writing it anew would wait for the disk.
fn copied(dir: &Path) -> (PathBuf, Vec<Appended>) {
    static WRITTEN: LazyLock<(tempfile::TempDir, PathBuf, Vec<Appended>)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let (file, appended) = written(dir.path());
        (dir, file, appended)
    });
    let (from, file, appended) = &*WRITTEN;
    let within = file.strip_prefix(from).unwrap();
    for folder in ["keys", "log/bulk-week"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for name in [Path::new("format"), Path::new("keys/table.0"), Path::new("keys/table.1"), within] {
        std::fs::copy(from.path().join(name), dir.join(name)).unwrap();
    }
    (dir.join(within), appended.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn a_flipped_bit_anywhere_is_told_and_costs_one_frame_at_most(at: prop::sample::Index) {
        let dir = tempfile::tempdir().unwrap();
        let (file, appended) = copied(dir.path());
        let len = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
        let bit = at.index(len * 8);
        flip(&file, bit);
        for with_key in [false, true] {
            let damages = verified(dir.path(), with_key);
            let near = |damage: &Damage| {
                damage.file == file && (damage.offset..damage.offset + damage.bytes).contains(&(bit as u64 / 8))
            };
            prop_assert!(damages.iter().any(near), "byte {}: {:?}", bit / 8, damages);
        }
        let log = Log::open(options(dir.path())).unwrap();
        prop_assert!(unreadable(&log, &appended) <= 1);
        // The log goes on.
        wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 99, vec![1])])).unwrap();
    }
}

#[test]
fn damage_in_an_unsealed_segment_is_quarantined_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (file, appended) = written(dir.path());
    // As if the process had been killed: no footer, reserved space behind the last batch.
    let unsealed = |bytes: &[u8]| {
        let end = appended.last().unwrap().locations[0];
        let end = (end.offset + u64::from(end.len)).next_multiple_of(4096);
        let mut bytes = bytes[..usize::try_from(end).unwrap()].to_vec();
        bytes.resize(256 * 1024, 0);
        bytes
    };
    let good = unsealed(&std::fs::read(&file).unwrap());
    let batch = appended[4].locations[0].offset & !4095;
    for (byte, damaged, torn) in [
        // A batch's head: the batch is lost, what is after it is not.
        (batch + 5, 1, 0),
        // A frame that later batches vouch for: found when it is read, not when the log is opened.
        (appended[4].locations[0].offset + 100, 0, 0),
        // The last batch, which nothing vouches for: a torn tail.
        (appended[11].locations[0].offset + 100, 0, 1),
    ] {
        std::fs::write(&file, &good).unwrap();
        flip(&file, usize::try_from(byte).unwrap() * 8);
        let log = Log::open(options(dir.path())).unwrap();
        let metrics = log.metrics();
        assert_eq!((metrics.damages, metrics.torn_tails), (damaged, torn), "byte {byte}");
        if let [damage] = log.damages() {
            assert_eq!((damage.offset, damage.bytes, damage.stream), (batch, 4096, Some(CAMERA)));
            assert_eq!(damage.time.unwrap().millis(), 1_700_000_000_004);
        }
        let replayed = replayed(&log, BULK, Lsn(0)).unwrap();
        assert_eq!(replayed.len() as u64, FRAMES - 1, "byte {byte}");
        drop(log);
        for name in std::fs::read_dir(file.parent().unwrap()).unwrap() {
            let name = name.unwrap().path();
            assert_eq!(name.extension().is_some_and(|e| e == "torn"), name != file);
            std::fs::remove_file(name).unwrap();
        }
    }
}

#[test]
fn every_cut_of_the_last_batches_leaves_the_whole_ones_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, appended) = written(dir.path());
    let good = std::fs::read(&file).unwrap();
    let begin = |index: usize| appended[index].locations[0].offset & !4095;
    for cut in (begin(9)..begin(11) + 8192).step_by(509) {
        std::fs::write(&file, &good[..usize::try_from(cut & !511).unwrap()]).unwrap();
        // The rest of the block that a crash left in reserved space.
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(256 * 1024).unwrap();
        let log = Log::open(options(dir.path())).unwrap();
        let whole = appended.iter().filter(|appended| {
            let at = appended.locations[0];
            at.offset + u64::from(at.len) <= cut & !511
        });
        assert_eq!(replayed(&log, BULK, Lsn(0)).unwrap().len(), whole.count(), "cut at {cut}");
        drop(log);
        for name in std::fs::read_dir(file.parent().unwrap()).unwrap() {
            std::fs::remove_file(name.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn damaged_key_tables_and_superblocks_are_told() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    for name in ["keys/table.0", "keys/table.1", "superblock"] {
        let file = dir.path().join(name);
        let good = std::fs::read(&file).unwrap();
        let last = good.len() * 8 - 3;
        flip(&file, last);
        let damages = verified(dir.path(), true);
        let files: Vec<_> = damages.iter().map(|damage| &damage.file).collect();
        assert_eq!(files, [&file]);
        std::fs::write(&file, good).unwrap();
    }
    assert!(verified(dir.path(), true).is_empty());
}
