//! The log against a plain map: random appends to several streams and lanes, restarts, removed
//! segments, destroyed keys.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use base::StreamId;
use fragment_log::{FrameKind, LaneId, Location, Log, LogError, Lsn, RetentionClass};
use proptest::prelude::*;
use support::{entry, master, options, replayed, wait};

const LANES: [LaneId; 3] =
    [LaneId::Control, LaneId::Records(RetentionClass::Day), LaneId::Bulk(RetentionClass::Longer)];
const STREAMS: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    Append { lane: usize, stream: u64, kind: FrameKind, sizes: Vec<usize> },
    Restart,
    RemoveOldest { lane: usize },
    DestroyKey { stream: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(FrameKind::Media), Just(FrameKind::FragmentMeta), Just(FrameKind::Records)];
    let sizes = prop::collection::vec(prop_oneof![0..200usize, 0..40_000usize], 1..4);
    prop_oneof![
        12 => (0..LANES.len(), 1..=STREAMS, kind, sizes)
            .prop_map(|(lane, stream, kind, sizes)| Step::Append { lane, stream, kind, sizes }),
        2 => Just(Step::Restart),
        2 => (0..LANES.len()).prop_map(|lane| Step::RemoveOldest { lane }),
        1 => (1..=STREAMS).prop_map(|stream| Step::DestroyKey { stream }),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    stream: u64,
    sequence: u64,
    kind: FrameKind,
    lsn: Lsn,
    payload: Vec<u8>,
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    frames: BTreeMap<Location, Kept>,
    destroyed: BTreeSet<u64>,
    last: BTreeMap<u64, u64>,
    sequence: u64,
}

impl Model {
    fn append(&mut self, log: &Log, lane: usize, stream: u64, kind: FrameKind, sizes: &[usize]) {
        let mut expected = Vec::new();
        for &size in sizes {
            self.sequence += 1;
            let byte = u8::try_from(self.sequence % 256).unwrap();
            let payload = vec![byte; size];
            expected.push(Kept { stream, sequence: self.sequence, kind, lsn: Lsn(0), payload });
        }
        let entries = expected
            .iter()
            .map(|kept| entry(kind, StreamId(stream), kept.sequence, kept.payload.clone()))
            .collect();
        let result = wait(log.append(LANES[lane], entries));
        if self.destroyed.contains(&stream) {
            assert!(matches!(result, Err(LogError::NoKey(_))));
            return;
        }
        let appended = result.unwrap();
        self.last.insert(stream, self.sequence);
        for ((at, mut kept), lsn) in appended.locations.into_iter().zip(expected).zip(appended.first.0..) {
            kept.lsn = Lsn(lsn);
            self.frames.insert(at, kept);
        }
    }

    fn remove_oldest(&mut self, log: &Log, lane: usize) {
        let oldest = log.segments().into_iter().find(|info| info.lane == LANES[lane] && info.sealed);
        let Some(oldest) = oldest else { return };
        log.remove_segment(oldest.lane, oldest.segment).unwrap();
        self.frames.retain(|at, _| (at.lane, at.segment) != (oldest.lane, oldest.segment));
    }

    fn check(&self, log: &Log) {
        assert!(log.damages().is_empty());
        for (at, kept) in &self.frames {
            match wait(log.read(at)) {
                Ok(payload) => assert_eq!(payload, kept.payload),
                Err(LogError::NoKey(_)) => assert!(self.destroyed.contains(&kept.stream)),
                Err(error) => panic!("{at:?}: {error}"),
            }
        }
        for lane in LANES {
            let mine: Vec<_> = self.frames.iter().filter(|(at, _)| at.lane == lane).collect();
            let found = replayed(log, lane, Lsn(0)).unwrap();
            assert_eq!(found.len(), mine.len());
            assert!(found.is_sorted_by(|a, b| a.lsn < b.lsn));
            for (frame, (at, kept)) in found.iter().zip(mine) {
                assert_eq!((frame.location, frame.lsn), (*at, kept.lsn));
                assert_eq!(
                    (frame.header.stream.0, frame.header.first_sequence),
                    (kept.stream, kept.sequence)
                );
                let told = kept.kind.is_metadata() && !self.destroyed.contains(&kept.stream);
                assert_eq!(frame.payload.as_deref(), told.then_some(kept.payload.as_slice()));
            }
        }
    }
}

fn open(dir: &std::path::Path) -> Log {
    Log::open(options(dir)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_log_holds_what_a_map_would(steps in prop::collection::vec(any_step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        let mut model = Model::default();
        for stream in 1..=STREAMS {
            log.keys().create_stream_key(StreamId(stream)).unwrap();
        }
        for step in steps {
            match step {
                Step::Append { lane, stream, kind, sizes } => model.append(&log, lane, stream, kind, &sizes),
                Step::Restart => {
                    drop(log);
                    log = open(dir.path());
                    model.check(&log);
                }
                Step::RemoveOldest { lane } => model.remove_oldest(&log, lane),
                Step::DestroyKey { stream } => {
                    log.keys().destroy_stream_key(StreamId(stream)).unwrap();
                    model.destroyed.insert(stream);
                }
            }
        }
        model.check(&log);
        for (&stream, &last) in &model.last {
            let stored = log.last_sequence(StreamId(stream), 0);
            prop_assert!(stored.is_none_or(|stored| stored <= last));
        }
        drop(log);
        let summary = Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
        prop_assert_eq!(summary.frames, model.frames.len() as u64);
    }
}
