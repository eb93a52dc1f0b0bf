//! Flipped bits and cut files: found, told, and never served.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use base::StreamId;
use fixtures::{SeededEntropy, SimDisk};
use fragment_log::{Appended, Damage, FrameKind, LaneId, Log, LogError, Lsn, RetentionClass, Verify};
use support::{entry, in_parallel, master, options_on, replayed, torture, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);
const SEGMENT: &str = "/data/log/bulk-week/00000000000000000001.seg";
const FRAMES: u64 = 12;

/// What is in the frames, by their sequence numbers.
static PAYLOADS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let payload = |sequence| vec![u8::try_from(sequence).unwrap(); 200 + sequence * 700];
    (0..usize::try_from(FRAMES).unwrap()).map(payload).collect()
});

fn payload(sequence: u64) -> &'static [u8] {
    &PAYLOADS[usize::try_from(sequence).unwrap()]
}

fn open(disk: &SimDisk) -> Result<Log, LogError> {
    Log::open(options_on(Path::new("/data"), Arc::new(disk.clone())))
}

/// A log of one sealed segment of about 64 KiB, opened twice, and what is in it.
struct Written {
    files: BTreeMap<PathBuf, Vec<u8>>,
    appended: Vec<Appended>,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let append =
        |sequence| {
            wait(log.append(
                BULK,
                vec![entry(FrameKind::FragmentMeta, CAMERA, sequence, payload(sequence).to_vec())],
            ))
            .unwrap()
        };
    let appended = (0..FRAMES).map(append).collect();
    drop(log);
    // Each start writes one place of the superblock.
    drop(open(&disk).unwrap());
    Written { files: disk.files(), appended }
});

impl Written {
    /// The sealed segment's bytes.
    fn sealed(&self) -> &[u8] {
        &self.files[Path::new(SEGMENT)]
    }

    /// The segment's bytes as if the process had been killed: no footer, reserved space behind the
    /// last batch.
    fn unsealed(&self) -> Vec<u8> {
        let mut bytes = self.sealed()[..self.end(FRAMES - 1)].to_vec();
        bytes.resize(bytes.len() + 16 * 1024, 0);
        bytes
    }

    /// Where the frame's batch begins.
    fn begin(&self, frame: u64) -> usize {
        usize::try_from(self.appended[usize::try_from(frame).unwrap()].locations[0].offset & !4095).unwrap()
    }

    /// Where the next batch begins.
    fn end(&self, frame: u64) -> usize {
        self.bytes_end(frame).next_multiple_of(4096)
    }

    /// Where the frame ends.
    fn bytes_end(&self, frame: u64) -> usize {
        let at = self.appended[usize::try_from(frame).unwrap()].locations[0];
        usize::try_from(at.offset + u64::from(at.len)).unwrap()
    }

    /// A disk on which one file is another.
    fn with(&self, file: &str, bytes: Vec<u8>) -> SimDisk {
        let mut files = self.files.clone();
        files.insert(file.into(), bytes);
        SimDisk::with_files(&files)
    }

    fn flipped(&self, file: &str, bit: usize) -> SimDisk {
        self.with(file, flip(&self.files[Path::new(file)], bit))
    }

    /// Every frame is replayed and read as it was written, or not at all. Returns how many are not.
    fn unreadable(&self, log: &Log) -> usize {
        let frames = replayed(log, BULK, Lsn(0)).unwrap();
        for frame in &frames {
            assert_eq!(*frame.payload.as_ref().unwrap(), payload(frame.header.first_sequence));
        }
        if frames.len() < self.appended.len() {
            let places: Vec<_> = self.appended.iter().map(|appended| appended.locations[0]).collect();
            for (sequence, read) in (0..).zip(wait(log.read_run(&places))) {
                let read = match read {
                    // Alone it can be read no better.
                    Err(LogError::Corrupt { .. }) => {
                        wait(log.read(&places[usize::try_from(sequence).unwrap()]))
                    }
                    read => read,
                };
                match read {
                    Ok(read) => assert_eq!(read, payload(sequence)),
                    Err(LogError::Corrupt { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        self.appended.len() - frames.len()
    }
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn verified(disk: &SimDisk, with_key: bool) -> Vec<Damage> {
    let mut damages = Vec::new();
    let verify = Verify { io: Arc::new(disk.clone()), ..Verify::new("/data", with_key.then(master)) };
    let summary = verify.run(&mut |finding| damages.extend(support::damage(finding))).unwrap();
    assert_eq!(summary.damages as usize, damages.len());
    damages
}

/// The damage is told at the flipped bit: with keys, and for every sixteenth byte also without.
fn told(disk: &SimDisk, file: &str, bit: usize) {
    let ways: &[bool] = if (bit / 8).is_multiple_of(16) { &[true, false] } else { &[true] };
    for &with_key in ways {
        let damages = verified(disk, with_key);
        let near = |damage: &Damage| {
            let range = damage.offset..damage.offset + damage.bytes;
            damage.file == Path::new(file) && range.contains(&(bit as u64 / 8))
        };
        assert!(damages.iter().any(near), "{file}, byte {}, keys {with_key}: {damages:?}", bit / 8);
    }
}

#[test]
fn every_flipped_bit_of_a_segment_is_told_and_costs_one_frame_at_most() {
    let step = if torture() { 1 } else { 16 };
    let bits = WRITTEN.sealed().len() * 8;
    assert!(bits > 60 * 1024 * 8, "the segment has {} bytes", bits / 8);
    in_parallel((0..bits).step_by(step), |bit| {
        let disk = WRITTEN.flipped(SEGMENT, bit);
        told(&disk, SEGMENT, bit);
        let log = open(&disk).unwrap();
        assert!(WRITTEN.unreadable(&log) <= 1, "byte {}", bit / 8);
        if bit % 4096 > 0 {
            return;
        }
        // The log goes on.
        wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 99, vec![1])])).unwrap();
    });
}

#[test]
fn a_flipped_bit_of_an_unsealed_segment_is_told_or_set_aside() {
    let step = if torture() { 1 } else { 16 };
    let good = WRITTEN.unsealed();
    let last = WRITTEN.begin(FRAMES - 1);
    in_parallel((0..WRITTEN.end(FRAMES - 1) * 8).step_by(step), |bit| {
        let bytes = flip(&good, bit);
        let disk = WRITTEN.with(SEGMENT, bytes.clone());
        // Nothing vouches for the last batch: what is wrong in it may be an unfinished write.
        if bit / 8 < last {
            told(&disk, SEGMENT, bit);
        }
        let log = open(&disk).unwrap();
        let (torn, lost) = (log.metrics().torn_tails, WRITTEN.unreadable(&log));
        assert!(lost <= 1, "byte {}", bit / 8);
        if bit / 8 >= last && lost == 1 {
            assert_eq!(torn, 1, "byte {}", bit / 8);
            let aside = SEGMENT.replace(".seg", &format!("-{last}.torn"));
            let aside = &disk.files()[Path::new(&aside)];
            assert_eq!(*aside, bytes[last..last + aside.len()], "nothing is deleted");
        } else {
            assert_eq!(torn, 0, "byte {}", bit / 8);
        }
    });
}

#[test]
fn random_flips_in_footers_superblock_and_key_tables_are_told_and_cost_nothing() {
    let flips = if torture() { 10_000 } else { 500 };
    let footer = WRITTEN.end(FRAMES - 1) * 8;
    in_parallel(0..flips, |seed| {
        let coin = SeededEntropy::new(seed);
        let file = [SEGMENT, "/data/superblock", "/data/keys/table.0", "/data/keys/table.1"]
            [usize::try_from(coin.next_u64() % 4).unwrap()];
        let from = if file == SEGMENT { footer } else { 0 };
        let bits = WRITTEN.files[Path::new(file)].len() * 8 - from;
        let bit = from + usize::try_from(coin.next_u64() % bits as u64).unwrap();
        let disk = WRITTEN.flipped(file, bit);
        told(&disk, file, bit);
        let log = open(&disk).unwrap();
        assert_eq!(WRITTEN.unreadable(&log), 0, "{file}, byte {}", bit / 8);
        drop(log);
        if file.starts_with("/data/keys") {
            assert!(verified(&disk, true).is_empty(), "a copy is replaced by the other");
        }
    });
}

#[test]
fn every_cut_of_the_last_batches_leaves_the_whole_ones_before_it() {
    let good = WRITTEN.unsealed();
    let last_three = WRITTEN.begin(FRAMES - 3)..WRITTEN.end(FRAMES - 1);
    in_parallel(last_three, |cut| {
        for (size, whole_at) in [(cut, Written::end as fn(&_, _) -> _), (good.len(), Written::bytes_end)] {
            let mut bytes = good[..cut].to_vec();
            bytes.resize(size, 0);
            let disk = WRITTEN.with(SEGMENT, bytes.clone());
            let log = open(&disk).unwrap();
            let whole = (0..FRAMES).filter(|&frame| whole_at(&WRITTEN, frame) <= cut).count();
            let frames = replayed(&log, BULK, Lsn(0)).unwrap();
            assert_eq!(frames.len(), whole, "cut at {cut}, {size} bytes");
            for frame in frames {
                assert_eq!(frame.payload.unwrap(), payload(frame.header.first_sequence));
            }
            let end = WRITTEN.end(whole as u64 - 1);
            let left = &bytes[end.min(cut)..cut];
            let aside = SEGMENT.replace(".seg", &format!("-{end}.torn"));
            match disk.files().get(Path::new(&aside)) {
                Some(kept) => assert!(left.starts_with(kept) && left[kept.len()..].iter().all(|&b| b == 0)),
                None => assert!(left.iter().all(|&byte| byte == 0), "cut at {cut}, {size} bytes"),
            }
        }
    });
}

#[test]
fn damage_in_an_unsealed_segment_is_quarantined_and_named() {
    let good = WRITTEN.unsealed();
    let appended = &WRITTEN.appended;
    let batch = appended[4].locations[0].offset & !4095;
    for (byte, damaged, torn) in [
        // A batch's head: the batch is lost, what is after it is not.
        (batch + 5, 1, 0),
        // A frame that later batches vouch for: found when it is read, not when the log is opened.
        (appended[4].locations[0].offset + 100, 0, 0),
        // The last batch, which nothing vouches for: a torn tail.
        (appended[11].locations[0].offset + 100, 0, 1),
    ] {
        let disk = WRITTEN.with(SEGMENT, flip(&good, usize::try_from(byte).unwrap() * 8));
        let log = open(&disk).unwrap();
        let metrics = log.metrics();
        assert_eq!((metrics.damages, metrics.torn_tails), (damaged, torn), "byte {byte}");
        if let [damage] = log.damages() {
            assert_eq!((damage.offset, damage.bytes, damage.stream), (batch, 4096, Some(CAMERA)));
            assert_eq!(damage.time.unwrap().millis(), 1_700_000_000_004);
        }
        assert_eq!(replayed(&log, BULK, Lsn(0)).unwrap().len() as u64, FRAMES - 1, "byte {byte}");
    }
}
