//! What the log has promised, and whether it keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base::{StreamId, Timestamp};
use fixtures::SimDisk;
use fragment_log::{
    Durable, Entry, Follower, FrameHeader, FrameKind, INSTALLATION, LaneId, Location, Log, Lsn,
    RetentionClass, SegmentInfo,
};

use crate::support::{entry, replayed, wait};

pub const LANES: [LaneId; 4] = [
    LaneId::Control,
    LaneId::Records(RetentionClass::Day),
    LaneId::Bulk(RetentionClass::Day),
    LaneId::Bulk(RetentionClass::Week),
];
pub const STREAMS: [StreamId; 4] = [INSTALLATION, StreamId(1), StreamId(2), StreamId(3)];
pub const SHARDS: u32 = 2;

/// A frame that the log has told its follower to be on disk, which it does before it acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The disk's steps when it was told.
    pub at: u64,
    pub lsn: Lsn,
    pub location: Location,
    pub header: FrameHeader,
}

/// Notes every promise.
pub struct Told {
    pub disk: SimDisk,
    pub promises: Mutex<Vec<Promise>>,
}

impl Follower for Told {
    fn durable(&self, _: LaneId, frames: &[Durable]) {
        let at = self.disk.steps();
        let promise =
            |frame: &Durable| Promise { at, lsn: frame.lsn, location: frame.location, header: frame.header };
        self.promises.lock().unwrap().extend(frames.iter().map(promise));
    }
}

impl Told {
    pub fn follow(disk: &SimDisk, log: &Log) -> Arc<Self> {
        let told = Arc::new(Self { disk: disk.clone(), promises: Mutex::default() });
        log.follow(Arc::clone(&told) as _);
        told
    }

    pub fn promises(&self) -> Vec<Promise> {
        self.promises.lock().unwrap().clone()
    }
}

/// An entry whose payload follows from `id`, which no other entry has.
pub fn marked(kind: FrameKind, stream: StreamId, shard: u32, sequence: u64, id: u64) -> Entry {
    let id_time = Timestamp::from_millis(i64::try_from(id).unwrap());
    Entry { shard, producer_time: id_time, ..entry(kind, stream, sequence, payload(id)) }
}

pub fn id(header: &FrameHeader) -> u64 {
    u64::try_from(header.producer_time.millis()).unwrap()
}

/// Mostly small, some of several blocks.
fn payload(id: u64) -> Vec<u8> {
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let len = match mixed % 16 {
        0 => 6000 + mixed % 9000,
        1..4 => mixed % 4500,
        _ => mixed % 300,
    };
    let mut payload = vec![u8::try_from(mixed % 256).unwrap(); usize::try_from(len).unwrap()];
    payload.iter_mut().zip(id.to_le_bytes()).for_each(|(byte, of_id)| *byte = of_id);
    payload
}

/// Everything that was ever told or served, in this life of the log or in one before.
#[derive(Clone, Default)]
pub struct Ledger {
    places: BTreeMap<(LaneId, Lsn), u64>,
    numbers: BTreeMap<(StreamId, u32, u64), u64>,
}

impl Ledger {
    /// Takes note of a frame; an error where its place or its number was given to another one.
    pub fn note(&mut self, lane: LaneId, lsn: Lsn, header: &FrameHeader) -> Result<(), String> {
        let id = id(header);
        let number = (header.stream, header.shard, header.first_sequence);
        let (before, numbered) =
            (*self.places.entry((lane, lsn)).or_insert(id), *self.numbers.entry(number).or_insert(id));
        if (before, numbered) != (id, id) {
            return Err(format!("{lane} {lsn:?} {number:?} was frame {before}/{numbered}, now {id}"));
        }
        Ok(())
    }
}

/// All that the log shows to its users.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    segments: Vec<SegmentInfo>,
    durable: Vec<Lsn>,
    sequences: Vec<Option<u64>>,
    frames: Vec<(Location, Lsn, u64)>,
}

/// Reads everything: no frame is damaged, out of order, or other than it was written.
pub fn state(log: &Log, ledger: &mut Ledger) -> Result<State, String> {
    if !log.damages().is_empty() {
        return Err(format!("a crash is no damage: {:?}", log.damages()));
    }
    let mut frames = Vec::new();
    let mut expected = Vec::new();
    for lane in LANES {
        let found = replayed(log, lane, Lsn(0)).map_err(|error| error.to_string())?;
        if !found.is_sorted_by(|a, b| a.lsn < b.lsn) {
            return Err(format!("{lane}: places do not increase"));
        }
        for frame in &found {
            let id = id(&frame.header);
            ledger.note(lane, frame.lsn, &frame.header)?;
            if frame.payload.as_ref().is_some_and(|replayed| *replayed != payload(id)) {
                return Err(format!("{lane} {:?}: replayed with other bytes", frame.lsn));
            }
            expected.extend(payload(id));
            frames.push((frame.location, frame.lsn, id));
        }
    }
    let places: Vec<Location> = frames.iter().map(|frame| frame.0).collect();
    if wait(log.read_all(&places)).map_err(|error| error.to_string())? != expected {
        return Err("frames read other than they were written".to_owned());
    }
    let shards = STREAMS.iter().flat_map(|&stream| (0..SHARDS).map(move |shard| (stream, shard)));
    Ok(State {
        segments: log.segments(),
        durable: LANES.map(|lane| log.durable(lane)).to_vec(),
        sequences: shards.map(|(stream, shard)| log.last_sequence(stream, shard)).collect(),
        frames,
    })
}

impl State {
    /// Whether every frame of an earlier state is still there.
    pub fn covers(&self, earlier: &Self) -> bool {
        let frames: BTreeSet<_> = self.frames.iter().collect();
        earlier.frames.iter().all(|frame| frames.contains(frame))
    }

    /// Whether every promise is kept.
    pub fn keeps<'a>(&self, promises: impl Iterator<Item = &'a Promise>) -> Result<(), String> {
        let frames: BTreeMap<Location, (Lsn, u64)> =
            self.frames.iter().map(|&(at, lsn, id)| (at, (lsn, id))).collect();
        for promise in promises {
            if frames.get(&promise.location) != Some(&(promise.lsn, id(&promise.header))) {
                return Err(format!("lost: {promise:?}"));
            }
        }
        Ok(())
    }
}
