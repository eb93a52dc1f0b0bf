//! Where threads meet: the same few appends in thousands of orders of steps.
//!
//! Shuttle runs the lane's threads as coroutines and decides at every lock, channel, atomic and disk
//! operation which of them goes on, from a seed; it also finds every deadlock. An idle lane's timeout may
//! come at any time. `MILLRACE_TORTURE=1` takes a hundred times as many orders.
//!
//! Broken on purpose, the lane is found out: that it acknowledges before the sync, calls a batch durable
//! when it is handed to the sync, finishes small batches beside the second thread, or goes on after a sync
//! has failed. That a disk which lies about its syncs is found out is tested below.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::StreamId;
use fixtures::{DiskFault, DiskLayer, FakeClock, FileLayer, Layered, SeededEntropy, SimDisk};
use fragment_log::io::{File, Io};
use fragment_log::{
    Appended, Durable, Follower, FrameKind, LaneId, Log, LogError, Lsn, Options, RetentionClass, Tail,
};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};
use support::{Told, entry, options_on, replayed, torture};

const LANE: LaneId = LaneId::Records(RetentionClass::Day);
const STREAM: StreamId = StreamId(7);
const PRODUCERS: u64 = 3;
const APPENDS: u64 = 3;
const SEED: u64 = 3;

/// Every order of `scenario` that some seeds give, at random and with few changes at chosen places.
fn in_many_orders(scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let orders = if torture() { 50_000 } else { 500 };
    let config = || {
        let mut config = Config::new();
        config.stack_size = 512 * 1024;
        config.silence_warnings = true;
        config
    };
    Runner::new(RandomScheduler::new_from_seed(SEED, orders), config()).run(scenario);
    Runner::new(PctScheduler::new_from_seed(SEED, 3, orders), config()).run(scenario);
}

/// A disk at each of whose writes and syncs another thread may go on.
struct Switching(SimDisk);

struct SwitchingFile(Box<dyn File>);

impl DiskLayer for Switching {
    fn below(&self) -> &dyn Io {
        &self.0
    }

    fn file(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Layered(SwitchingFile(file)))
    }
}

impl FileLayer for SwitchingFile {
    fn below(&self) -> &dyn File {
        &*self.0
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        thread::yield_now();
        self.0.write_at(parts, offset)
    }

    fn sync(&self) -> Result<()> {
        thread::yield_now();
        let synced = self.0.sync();
        thread::yield_now();
        synced
    }
}

fn open(disk: &SimDisk, tail_bytes: usize) -> Log {
    let io = Arc::new(Layered(Switching(disk.clone())));
    let options = options_on(Path::new("/data"), io);
    let (clock, entropy) = (Arc::new(FakeClock::default()), Arc::new(SeededEntropy::new(SEED)));
    Log::open(Options { clock, entropy, tail_bytes, ..options }).unwrap()
}

/// A log on a disk, and what its follower was told.
struct Scene {
    disk: SimDisk,
    log: Log,
    told: Arc<Told>,
}

impl Scene {
    fn new(tail_bytes: usize) -> Arc<Self> {
        let disk = SimDisk::default();
        let log = open(&disk, tail_bytes);
        log.keys().create_stream_key(STREAM).unwrap();
        let told = Arc::new(Told::default());
        log.follow(Arc::clone(&told) as Arc<dyn Follower>);
        Arc::new(Self { disk, log, told })
    }

    /// Appends a few frames, one after the other, until the lane is stopped or closed; every second one
    /// is large enough for the second thread. What is acknowledged is looked for at once.
    fn produce(&self, producer: u64) -> Vec<Appended> {
        let mut acked = Vec::new();
        for append in 0..APPENDS {
            let sequence = producer * APPENDS + append + 1;
            let entry = entry(FrameKind::Records, STREAM, sequence, payload(sequence));
            match block_on(self.log.append(LANE, vec![entry])) {
                Ok(appended) => {
                    self.is_kept(&appended);
                    acked.push(appended);
                }
                Err(LogError::Stopped { .. } | LogError::Io { .. }) => {
                    assert!(self.log.append_fails(), "after an error nothing is taken");
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        acked
    }

    /// The acknowledged frame is on the disk to stay, and everyone was told.
    fn is_kept(&self, appended: &Appended) {
        let at = appended.locations[0];
        let range =
            usize::try_from(at.offset).unwrap()..usize::try_from(at.offset).unwrap() + at.len as usize;
        let path = PathBuf::from(format!("/data/log/{LANE}/{:020}.seg", at.segment));
        let (now, kept) = (self.disk.files(), self.disk.reboot(SEED).files());
        assert_eq!(kept[&path].get(range.clone()), now[&path].get(range), "acknowledged, not synced");
        assert!(self.log.durable(LANE) >= appended.last);
        assert!(self.last_told() >= appended.last, "acknowledged before followers saw it");
    }

    fn last_told(&self) -> Lsn {
        self.told.0.lock().unwrap().last().map_or(Lsn(0), |(_, frame)| frame.lsn)
    }

    /// What counts as durable at some moment is there after a crash then.
    fn survives(&self) {
        (0..thread_rng().gen_range(0..200)).for_each(|_| thread::yield_now());
        let durable = self.log.durable(LANE);
        let log = open(&self.disk.reboot(thread_rng().r#gen()), 0);
        assert!(log.durable(LANE) >= durable, "{:?} of {durable:?}", log.durable(LANE));
        assert!(log.damages().is_empty(), "{:?}", log.damages());
    }

    /// Runs all producers beside `meanwhile`; gives what was acknowledged, in the lane's order.
    fn run(self: &Arc<Self>, meanwhile: impl FnOnce(&Self)) -> Vec<Appended> {
        let start = |producer| {
            let scene = Arc::clone(self);
            thread::spawn(move || scene.produce(producer))
        };
        let producers: Vec<_> = (0..PRODUCERS).map(start).collect();
        meanwhile(self);
        let mut acked: Vec<_> = producers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        acked.sort_unstable_by_key(|appended| appended.first);
        acked
    }

    /// The acknowledged frames are the first ones without a gap, followers know no others, and a crash
    /// loses none.
    fn is_a_prefix(&self, acked: &[Appended]) {
        let places: Vec<u64> = acked.iter().map(|appended| appended.first.0).collect();
        assert!(places.iter().copied().eq(1..=places.len() as u64), "{places:?}");
        let told: Vec<u64> = self.told.0.lock().unwrap().iter().map(|(_, frame)| frame.lsn.0).collect();
        assert_eq!(told, places);
        let log = open(&self.disk.reboot(SEED), 0);
        let found = replayed(&log, LANE, Lsn(0)).unwrap();
        assert!(found.len() >= acked.len(), "{} of {}", found.len(), acked.len());
        assert!(found.iter().zip(acked).all(|(frame, acked)| frame.location == acked.locations[0]));
    }
}

/// Whether the lane takes nothing more.
trait Fails {
    fn append_fails(&self) -> bool;
}

impl Fails for Log {
    fn append_fails(&self) -> bool {
        block_on(self.append(LANE, vec![entry(FrameKind::Records, STREAM, 99, vec![9])])).is_err()
    }
}

fn payload(sequence: u64) -> Vec<u8> {
    let len = if sequence.is_multiple_of(2) { 9 * 1024 } else { 500 };
    vec![u8::try_from(sequence).unwrap(); len]
}

#[test]
fn what_is_acknowledged_or_called_durable_outlives_a_crash() {
    in_many_orders(|| {
        let scene = Scene::new(0);
        let acked = scene.run(Scene::survives);
        assert_eq!(acked.len() as u64, PRODUCERS * APPENDS);
        scene.is_a_prefix(&acked);
    });
}

#[test]
fn after_a_sync_that_fails_nothing_is_acknowledged() {
    in_many_orders(|| {
        let scene = Scene::new(0);
        scene.disk.fail_sync_after(thread_rng().gen_range(1..8), DiskFault::Device);
        let acked = scene.run(|_| ());
        scene.is_a_prefix(&acked);
    });
}

#[test]
fn an_append_that_a_close_overtakes_is_kept_or_refused() {
    in_many_orders(|| {
        let scene = Scene::new(0);
        let acked = scene.run(|scene| scene.log.close());
        scene.is_a_prefix(&acked);
    });
}

#[test]
fn readers_of_the_tail_miss_nothing_while_it_is_evicted() {
    in_many_orders(|| {
        let scene = Scene::new(20 * 1024);
        let reader = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || follow(&scene))
        };
        scene.run(|_| ());
        reader.join().unwrap();
    });
}

/// Reads the tail as the lane tells of more, to the end.
fn follow(scene: &Scene) {
    let mut watch = scene.log.watch(LANE);
    let mut from = Lsn(1);
    while from.0 <= PRODUCERS * APPENDS {
        let announced = *block_on(watch.wait_for(|last| *last >= from)).unwrap();
        assert!(scene.log.durable(LANE) >= announced && scene.last_told() >= announced);
        match scene.log.tail(LANE, from, 10 * 1024) {
            Tail::Behind { first } => {
                assert!(first > from);
                from = first;
            }
            Tail::Frames { frames, next } => {
                assert!(!frames.is_empty(), "announced, and not there");
                frames.iter().zip(from.0..).for_each(|(frame, lsn)| is_whole(frame, lsn));
                from = next;
            }
        }
    }
}

fn is_whole(frame: &Durable, lsn: u64) {
    assert_eq!(frame.lsn.0, lsn, "a gap");
    assert_eq!(*frame.payload.as_ref().unwrap(), payload(frame.header.first_sequence));
}

#[test]
#[should_panic(expected = "acknowledged, not synced")]
fn a_disk_that_lies_about_syncs_is_found_out() {
    in_many_orders(|| {
        let scene = Scene::new(0);
        scene.disk.lie_about_syncs();
        scene.run(|_| ());
    });
}
