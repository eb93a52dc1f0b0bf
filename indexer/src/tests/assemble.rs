//! Fragments that come in pieces, with those of others between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;

use base::{StreamId, Timestamp};
use bytes::Bytes;
use fragment_log::format::WriterId;
use fragment_log::{Durable, FrameHeader, FrameKind, LaneId, Location, Lsn, RetentionClass};
use proptest::prelude::*;

use super::{NOON, entry};
use crate::assemble::{Assembled, Assembler, Fresh};
use crate::intake::{Lane, Position};

const PIECE: u32 = 100;

/// One fragment of a stream: how many pieces it has, and whether it was journaled part by part.
#[derive(Clone, Debug)]
struct Shape {
    pieces: u32,
    journaled: bool,
}

fn frame(stream: u64, number: i64, kind: FrameKind, count: u32, payload: Option<Bytes>) -> Durable {
    let at = Timestamp::from_millis(number);
    let header = FrameHeader {
        kind,
        flags: 0,
        key_epoch: 1,
        stream: StreamId(stream),
        shard: 0,
        count,
        first_sequence: number.unsigned_abs(),
        server_time: at,
        producer_time: at,
        writer: WriterId([0; 16]),
        counter: 0,
        payload_bytes: PIECE,
    };
    let location =
        Location { lane: LaneId::Bulk(RetentionClass::Day), segment: 0, offset: 0, len: PIECE + 96 };
    Durable { lsn: Lsn(0), header, location, payload }
}

/// The frames of a stream, fragment after fragment, in the order of appends.
fn frames(stream: u64, shapes: &[Shape]) -> Vec<Durable> {
    let mut all = Vec::new();
    for (at, Shape { pieces, journaled }) in (0..).zip(shapes) {
        let number = NOON + at * 2_000;
        let piece = |index| frame(stream, number, FrameKind::Media, index, None);
        let note = |count| frame(stream, number, FrameKind::FragmentPart, count, None);
        if *journaled {
            all.extend((1..*pieces).flat_map(|index| [piece(index), note(index)]));
            all.push(piece(0));
        } else {
            all.extend((0..*pieces).map(piece));
        }
        let mut meta = entry(stream, number, number, 0).meta;
        meta.size_bytes = u64::from(pieces * PIECE);
        let packed = meta.pack();
        all.push(frame(stream, number, FrameKind::FragmentMeta, *pieces, Some(packed.into())));
    }
    all
}

fn shapes() -> impl Strategy<Value = Vec<Vec<Shape>>> {
    let shape = (1u32..6, any::<bool>()).prop_map(|(pieces, journaled)| Shape { pieces, journaled });
    prop::collection::vec(prop::collection::vec(shape, 1..6), 1..5)
}

/// The streams' frames in one lane: which comes next, `turns` tell.
fn lane(streams: &[Vec<Shape>], turns: &[usize]) -> Vec<Durable> {
    let mut left: Vec<_> = (1..).zip(streams).map(|(id, shapes)| frames(id, shapes).into_iter()).collect();
    let mut all = Vec::new();
    for turn in turns.iter().cycle() {
        left.retain(|frames| frames.len() > 0);
        if left.is_empty() {
            break;
        }
        let turn = turn % left.len();
        all.extend(left[turn].next());
    }
    for (at, frame) in (0..).zip(&mut all) {
        frame.lsn = Lsn(at + 1);
        frame.location.segment = at / 10;
        frame.location.offset = at;
    }
    all
}

fn id(frame: &Durable) -> (StreamId, u64) {
    (frame.header.stream, frame.header.first_sequence)
}

/// The pieces of the frames by their fragments, in order.
fn pieces<'f>(
    frames: impl Iterator<Item = &'f Durable>,
) -> BTreeMap<(StreamId, u64), BTreeMap<u32, Location>> {
    let mut pieces = BTreeMap::<_, BTreeMap<_, _>>::new();
    for frame in frames.filter(|frame| frame.header.kind == FrameKind::Media) {
        pieces.entry(id(frame)).or_default().insert(frame.header.count, frame.location);
    }
    pieces
}

fn assert_whole(fresh: &Fresh, pieces: &BTreeMap<(StreamId, u64), BTreeMap<u32, Location>>) {
    let own = &pieces[&(fresh.entry.stream, fresh.entry.meta.number.to_u64())];
    assert!(fresh.entry.pieces.iter().eq(own.values()), "{:?}", fresh.entry);
}

proptest! {
    #[test]
    fn interleaved_fragments_are_whole_or_not_there(
        streams in shapes(), turns in prop::collection::vec(0usize..9, 1..20),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let all = lane(&streams, &turns);
        let lost: BTreeSet<_> = lost.iter().map(|lost| lost.index(all.len())).collect();
        let pieces = pieces(all.iter());
        let mut assembler = Assembler::default();
        let (mut indexed, mut open) = (BTreeSet::new(), BTreeMap::new());
        for (at, frame) in all.iter().enumerate() {
            if lost.contains(&at) {
                continue;
            }
            match frame.header.kind {
                FrameKind::Media => drop(open.entry(id(frame)).or_insert(frame.lsn)),
                FrameKind::FragmentMeta => drop(open.remove(&id(frame))),
                _ => {}
            }
            if let Some(Assembled::Fragment(fresh)) = assembler.push(frame, |_| true) {
                assert_whole(&fresh, &pieces);
                prop_assert!(indexed.insert(id(frame)));
            }
            prop_assert_eq!(assembler.oldest(), open.values().min().copied());
        }
        let needed = |at: &usize| all[*at].header.kind != FrameKind::FragmentPart;
        let broken: BTreeSet<_> = lost.iter().filter(|at| needed(at)).map(|at| id(&all[*at])).collect();
        let expected = pieces.keys().filter(|id| !broken.contains(id)).copied();
        prop_assert_eq!(indexed, expected.collect());
    }

    #[test]
    fn reading_again_hands_every_fragment_on_once(
        streams in shapes(), turns in prop::collection::vec(0usize..9, 1..20),
        stops in prop::collection::vec(any::<prop::sample::Index>(), 0..4), restarts: bool,
    ) {
        let all = lane(&streams, &turns);
        let pieces = pieces(all.iter());
        let mut stops: Vec<_> = stops.iter().map(|stop| stop.index(all.len())).collect();
        stops.sort_unstable();
        let (mut position, mut indexed) = (Position::default(), BTreeSet::new());
        for stop in stops.into_iter().chain([all.len()]) {
            // After a restart only the views know what they have.
            let Position { next, after } = position;
            let from = if restarts { Position { next, after: next } } else { position };
            let mut lane = Lane::read_again(from, after);
            for frame in all[..stop].iter().filter(|frame| frame.lsn >= next) {
                match lane.push(frame, &Weak::new()) {
                    Some(Assembled::Fragment(fresh)) => {
                        assert_whole(&fresh, &pieces);
                        let known = frame.lsn < after;
                        prop_assert_eq!(indexed.insert(id(frame)), !known, "handed on twice");
                        prop_assert!(restarts || !known);
                    }
                    Some(Assembled::Unindexed(one)) => prop_assert!(false, "{one:?} is whole"),
                    None => {}
                }
            }
            position = lane.position();
        }
        prop_assert_eq!(indexed, pieces.into_keys().collect());
    }
}

#[test]
fn what_is_never_committed_is_given_up_and_what_is_open_is_not() {
    let mut assembler = Assembler::default();
    let minute = |at: i64| NOON + at * 60_000;
    let mut push = |frame: Durable, lsn| assembler.push(&Durable { lsn: Lsn(lsn), ..frame }, |_| true);
    push(frame(1, minute(0), FrameKind::Media, 1, None), 1);
    push(frame(2, minute(0), FrameKind::Media, 1, None), 2);
    for at in 1..60 {
        // A clock that is stepped ahead by an hour, too.
        let now = if at < 30 { minute(at) } else { minute(at + 60) };
        push(
            frame(2, minute(0), FrameKind::Media, 1 + u32::try_from(at).unwrap(), None),
            10 + at.unsigned_abs(),
        );
        for whole in frames(3, &[Shape { pieces: 1, journaled: false }]) {
            let header = FrameHeader { server_time: Timestamp::from_millis(now), ..whole.header };
            push(Durable { header, ..whole }, 1_000);
        }
    }
    assert_eq!(assembler.oldest(), Some(Lsn(2)), "the one that is added to");
}
