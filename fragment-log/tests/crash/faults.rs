//! Errors, full disks and short writes at every step; nonces that never repeat.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use base::SystemEntropy;
use fixtures::{DiskFault, SeededEntropy, SimDisk};
use fragment_log::format::WriterId;
use fragment_log::{Durable, Follower, FrameKind, INSTALLATION, LaneId, Log, LogError, Options};

use crate::ledger::{LANES, Ledger, Promise, STREAMS, Told, state};
use crate::support::{entry, in_parallel, torture, wait};
use crate::workload::{Producer, open, options};
use crate::{NO_MARKS, verify};

/// Opens, appends to every lane and removes, as far as `disk` lets it. Returns what was told.
fn errands(disk: &SimDisk, seed: u64) -> Vec<Promise> {
    let log = match open(disk, seed, NO_MARKS) {
        // The fault comes once: what was half made at the start is completed by the next one.
        Err(LogError::Full { .. } | LogError::Io { .. }) => open(disk, seed + 1, NO_MARKS).unwrap(),
        opened => opened.unwrap(),
    };
    let told = Told::follow(disk, &log);
    for stream in STREAMS {
        if log.keys().create_stream_key(stream).is_err() {
            log.keys().create_stream_key(stream).unwrap();
        }
    }
    let coin = SeededEntropy::new(seed);
    let mut producer = Producer { log: &log, coin: &coin, marks: false, next_id: 1, tried: BTreeMap::new() };
    for lane in LANES.into_iter().cycle().take(24) {
        match producer.try_append_to(lane) {
            Ok(()) => {}
            // Space that is there again is used without a restart.
            Err(LogError::Full { .. }) => producer.try_append_to(lane).unwrap(),
            Err(LogError::Io { .. } | LogError::Stopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for info in log.segments().into_iter().filter(|info| info.sealed && info.lane == LaneId::Control) {
        // Where it fails, the segment stays.
        let _ = log.remove_segment(info.lane, info.segment);
    }
    drop(log);
    told.promises()
}

#[test]
fn a_fault_at_any_step_breaks_no_promise() {
    let whole = SimDisk::default();
    errands(&whole, 1);
    let steps = whole.steps();
    assert!(steps > 100, "the errands have {steps} steps");
    let faults = [DiskFault::Device, DiskFault::Full, DiskFault::Short];
    let cases = (0..steps).flat_map(|step| faults.map(|fault| (step, fault)));
    in_parallel(cases, |(step, fault)| {
        let disk = SimDisk::default();
        disk.fail_at(step, fault);
        let seed = step << 8;
        let mut promises = errands(&disk, seed);
        promises.retain(|promise| promise.location.lane != LaneId::Control);
        let check = || -> Result<(), String> {
            let mut ledger = Ledger::default();
            // The same machine goes on: what it shows now, it also has after its power was cut.
            let log = open(&disk, seed + 2, NO_MARKS).map_err(|error| error.to_string())?;
            let found = state(&log, &mut ledger)?;
            found.keeps(promises.iter())?;
            drop(log);
            let disk = disk.reboot(seed);
            let log = open(&disk, seed + 3, NO_MARKS).map_err(|error| error.to_string())?;
            if !state(&log, &mut ledger)?.covers(&found) {
                return Err("what was shown after the fault is lost in a crash".to_owned());
            }
            drop(log);
            verify(&disk)
        };
        check().unwrap_or_else(|error| panic!("{fault:?} at step {step}: {error}"));
    });
}

/// Every pair of writer and seal counter that was ever used.
#[derive(Default)]
struct Nonces(Mutex<HashSet<(WriterId, u64)>>);

impl Follower for Nonces {
    fn durable(&self, _: LaneId, frames: &[Durable]) {
        let mut seen = self.0.lock().unwrap();
        for frame in frames {
            let nonce = (frame.header.writer, frame.header.counter);
            assert!(seen.insert(nonce), "{nonce:?} was used twice");
        }
    }
}

#[test]
fn no_writer_id_and_no_seal_counter_repeats() {
    const APPEND: u64 = 4000;
    let (seals, restarts) = if torture() { (10_000_000, 1000) } else { (1_000_000, 50) };
    let nonces = Arc::new(Nonces::default());
    let mut disk = SimDisk::default();
    for start in 0..restarts {
        let options = Options { entropy: Arc::new(SystemEntropy), ..options(&disk) };
        let log = Log::open(options).unwrap();
        log.follow(Arc::clone(&nonces) as _);
        for append in 0..seals / restarts / APPEND {
            let entry = |sequence| entry(FrameKind::Records, INSTALLATION, sequence, Vec::new());
            let lane = LANES[usize::try_from(append).unwrap() % LANES.len()];
            wait(log.append(lane, (0..APPEND).map(entry).collect())).unwrap();
        }
        for info in log.segments().into_iter().filter(|info| info.sealed) {
            log.remove_segment(info.lane, info.segment).unwrap();
        }
        // Every other start ends with the power, as if nobody had been there to close the log.
        if start % 2 == 0 {
            disk.crash_at(disk.steps());
        }
        drop(log);
        disk = disk.reboot(start);
    }
    let used = nonces.0.lock().unwrap();
    assert_eq!(used.len() as u64, seals);
    assert_eq!(used.iter().map(|nonce| nonce.0).collect::<HashSet<_>>().len() as u64, restarts);
}
