//! Power cuts on a simulated disk: at every step of a workload, and during recovery.
//!
//! A workload takes 2,000 steps. Each seed makes another one, and cuts the power at every hundredth
//! of its steps, beginning with another one: a hundred seeds have cut at each. `MILLRACE_TORTURE=1`
//! takes 10,000 seeds and every twentieth step.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod ledger;
#[path = "../support/mod.rs"]
mod support;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fixtures::{SeededEntropy, SimDisk};
use fragment_log::Verify;
use ledger::{LANES, Ledger, Promise, STREAMS, Told, state};
use support::{in_parallel, master, torture};
use workload::{Producer, STEPS, Story, open, run};

const NO_MARKS: Duration = Duration::MAX;

/// One crash: the disk at that moment, and what had been promised.
struct Crash<'a> {
    disk: SimDisk,
    at: u64,
    seed: u64,
    story: &'a Story,
}

impl Crash<'_> {
    /// The promises to be kept: those in segments that were to be removed may be broken.
    fn promises(&self) -> impl Iterator<Item = &Promise> {
        self.story.promises.iter().filter(|promise| {
            let segment = (promise.location.lane, promise.location.segment);
            let mut gone = self.story.removed.iter().filter(|removed| removed.0 < self.at);
            promise.at <= self.at && !gone.any(|&(_, lane, number)| (lane, number) == segment)
        })
    }

    fn ledger(&self) -> Result<Ledger, String> {
        let mut ledger = Ledger::default();
        for promise in self.promises() {
            ledger.note(promise.location.lane, promise.lsn, &promise.header)?;
        }
        Ok(ledger)
    }

    /// Recovers, and again, then goes on; recovers from a crash during recovery as well.
    fn check(&self) -> Result<(), String> {
        let disk = self.disk.reboot(self.seed);
        let mut ledger = self.ledger()?;
        let log = open(&disk, self.seed, NO_MARKS).map_err(|error| error.to_string())?;
        let found = state(&log, &mut ledger)?;
        found.keeps(self.promises())?;
        let segments = log.segments();
        drop(log);
        let recovery = disk.steps();
        let files = log_files(&disk);
        let log = open(&disk, self.seed + 1, NO_MARKS).map_err(|error| error.to_string())?;
        if log.metrics().torn_tails > 0 || log.segments() != segments || log_files(&disk) != files {
            return Err("opening again finds another state".to_owned());
        }
        drop(log);
        self.check_interrupted_recovery(self.seed % recovery)?;
        self.check_going_on(&disk, ledger)
    }

    /// The power goes again after `step` steps of the recovery.
    fn check_interrupted_recovery(&self, step: u64) -> Result<(), String> {
        let disk = self.disk.reboot(self.seed);
        disk.crash_at(step);
        if open(&disk, self.seed + 2, NO_MARKS).is_ok() {
            return Err("the recovery has no such step".to_owned());
        }
        let disk = disk.reboot(self.seed + 3);
        let log = open(&disk, self.seed + 4, NO_MARKS).map_err(|error| error.to_string())?;
        let during = |error| format!("cut again at step {step} of the recovery: {error}");
        let found = self.ledger().and_then(|mut ledger| state(&log, &mut ledger)).map_err(during)?;
        found.keeps(self.promises()).map_err(during)?;
        drop(log);
        verify(&disk).map_err(during)
    }

    /// What comes afterwards is kept as well, under places and numbers that were never given before.
    fn check_going_on(&self, disk: &SimDisk, mut ledger: Ledger) -> Result<(), String> {
        let log = open(disk, self.seed + 5, NO_MARKS).map_err(|error| error.to_string())?;
        let told = Told::follow(disk, &log);
        for stream in STREAMS {
            log.keys().create_stream_key(stream).unwrap();
        }
        let coin = SeededEntropy::new(self.seed);
        let mut producer =
            Producer { log: &log, coin: &coin, marks: false, next_id: 1 << 40, tried: BTreeMap::new() };
        for lane in LANES {
            producer.append_to(lane);
        }
        drop(log);
        let later = told.promises();
        for promise in &later {
            ledger.note(promise.location.lane, promise.lsn, &promise.header)?;
        }
        let log = open(disk, self.seed + 6, NO_MARKS).map_err(|error| error.to_string())?;
        state(&log, &mut ledger)?.keeps(self.promises().chain(&later))?;
        drop(log);
        verify(disk)
    }
}

/// Neither damage nor an unfinished end is left.
fn verify(disk: &SimDisk) -> Result<(), String> {
    let whole = Verify { io: Arc::new(disk.clone()), ..Verify::new("/data", Some(master())) };
    let mut damages = Vec::new();
    let summary = whole
        .run(&mut |finding| damages.extend(support::damage(finding)))
        .map_err(|error| error.to_string())?;
    if (summary.damages, summary.torn_tails) != (0, 0) {
        return Err(format!("verify after recovery: {summary:?} {damages:?}"));
    }
    Ok(())
}

fn log_files(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().filter(|(path, _)| path.starts_with(Path::new("/data/log"))).collect()
}

/// Cuts the power at every `every`th step of the seed's workload, from step `seed % every` on.
fn cut(seed: u64, every: u64, disk: &SimDisk) -> Result<(), String> {
    disk.capture_at((seed % every..STEPS).step_by(usize::try_from(every).unwrap()));
    let story = run(disk, seed);
    for (at, disk) in disk.captured() {
        let crash = Crash { disk, at, seed: seed << 20 | at << 4, story: &story };
        crash.check().map_err(|error| format!("seed {seed}, step {at}: {error}"))?;
    }
    Ok(())
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let (seeds, every) = if torture() { (10_000, 20) } else { (100, 100) };
    in_parallel(0..seeds, |seed| cut(seed, every, &SimDisk::default()).unwrap());
}

#[test]
fn one_seed_has_one_history() {
    for seed in 0..4 {
        let (first, second) = (SimDisk::default(), SimDisk::default());
        let stories = (run(&first, seed), run(&second, seed));
        assert!(first.steps() >= STEPS);
        for (step, (a, b)) in first.history().iter().zip(&second.history()).enumerate() {
            assert_eq!(a, b, "seed {seed}, step {step}");
        }
        assert_eq!(first.steps(), second.steps());
        assert_eq!(stories.0, stories.1);
        assert!(first.reboot(seed).files() == second.reboot(seed).files());
    }
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    // The proof that the test above would see a missing sync.
    for seed in 0..4 {
        let disk = SimDisk::default();
        disk.lie_about_syncs();
        let error = cut(seed, 100, &disk).expect_err("nothing was synced");
        assert!(!error.is_empty());
    }
}

#[test]
fn what_was_torn_is_kept_aside() {
    let mut set_aside = 0;
    let disk = SimDisk::default();
    disk.capture_at((0..STEPS).step_by(7));
    run(&disk, 2);
    for (step, disk) in disk.captured() {
        let disk = disk.reboot(step);
        let torn = open(&disk, 1, NO_MARKS).unwrap().metrics().torn_tails;
        let files = disk.files();
        let kept = files.keys().filter(|path| path.extension().is_some_and(|e| e == "torn")).count();
        assert!(kept as u64 >= torn, "{:?}", files.keys());
        set_aside += torn;
    }
    assert!(set_aside > 0, "no crash tore anything");
}
