//! The sorted view against a plain list.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{FragmentNumber, StreamId, Timestamp};
use fragment_log::{LaneId, Lsn, RetentionClass};
use proptest::prelude::*;

use super::{NOON, entry};
use crate::intake::Position;
use crate::kept::Kept;
use crate::search::Blinder;
use crate::view::{self, Keys, Removal, Tracks, Writer};
use crate::{ClockKind, FragmentEntry, Window};

const LANE: LaneId = LaneId::Bulk(RetentionClass::Week);

fn writer(dir: &std::path::Path) -> (Writer, Arc<Tracks>) {
    let (connection, new) = view::open(&dir.join(view::FILE)).unwrap();
    let tracks = Arc::new(Tracks::load(&connection).unwrap());
    let mut writer = Writer::new(connection, Arc::clone(&tracks), Blinder::new(&[7; 32]), new).unwrap();
    writer.finish().unwrap();
    (writer, tracks)
}

fn all() -> Kept {
    Kept::new(FragmentNumber::MIN, Vec::new())
}

fn window(clock: ClockKind, start: i64, end: i64) -> Window {
    let at = |millis| Some(Timestamp::from_millis(millis));
    Window { clock, start: at(start), end: at(end) }
}

#[test]
fn a_view_says_what_it_has_after_it_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [entry(1, NOON, NOON, 3), entry(1, NOON + 2000, NOON + 2000, 4)];
    {
        let (mut writer, _) = writer(dir.path());
        let position = (LANE, Position { next: Lsn(9), after: Lsn(12) });
        assert_eq!(writer.apply(entries.iter(), &[], &[position]).unwrap(), 2);
        assert_eq!(writer.apply(entries.iter(), &[], &[position]).unwrap(), 0, "once is enough");
        writer.searched(&[(LANE, Lsn(5))]).unwrap();
    }
    let (writer, tracks) = writer(dir.path());
    let applied = writer.applied().unwrap()[&LANE];
    assert_eq!((applied.sorted, applied.commits, applied.searched), (Lsn(9), Lsn(12), Lsn(5)));
    let counts: Vec<_> =
        writer.usage().segments.iter().map(|((_, segment), live)| (*segment, live.fragments)).collect();
    assert_eq!(counts, [(3, 1), (4, 1)]);
    let found =
        view::range(writer.connection(), &tracks, StreamId(1), &Window::ALL, &all(), FragmentNumber::MIN, 10)
            .unwrap();
    assert_eq!(found, entries);
    assert_eq!(view::newest_of_all(writer.connection(), &tracks).unwrap(), entries[1..]);
}

#[test]
fn track_descriptions_are_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = writer(dir.path());
    let mut entries: Vec<_> = (0..10).map(|n| entry(1, NOON + n, NOON + n, 1)).collect();
    entries[5].meta.tracks[0].width = 640;
    entries[6].meta.tracks[0].duration += 1;
    writer.apply(entries.iter(), &[], &[]).unwrap();
    let count: i64 =
        writer.connection().query_row("SELECT count(*) FROM tracks", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
}

#[test]
fn rows_are_small() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = writer(dir.path());
    writer.apply([entry(1, NOON, NOON, 1)].iter(), &[], &[]).unwrap();
    let sql = "SELECT length(packed) FROM fragments";
    let bytes: i64 = writer.connection().query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(bytes < 48, "{bytes}");
}

#[derive(Clone, Debug)]
enum Step {
    Insert { stream: u64, gap: i64, skew: i64, segment: u64 },
    Remove { stream: u64, keep: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let insert = (1_u64..4, 1_i64..40, -50_i64..50, 0_u64..5)
        .prop_map(|(stream, gap, skew, segment)| Step::Insert { stream, gap, skew, segment });
    let remove = (1_u64..4, 0_i64..200).prop_map(|(stream, keep)| Step::Remove { stream, keep });
    prop_oneof![6 => insert, 1 => remove]
}

fn check(
    writer: &Writer,
    tracks: &Tracks,
    model: &BTreeMap<(u64, u64), FragmentEntry>,
    asked: (i64, i64, i64),
) {
    let (start, length, from) = asked;
    for clock in [ClockKind::Producer, ClockKind::Server] {
        let window = window(clock, NOON + start, NOON + start + length);
        let from = FragmentNumber::at(Timestamp::from_millis(NOON + from));
        for stream in 1..4 {
            let of_stream = |entry: &&FragmentEntry| entry.stream == StreamId(stream);
            let holds = |entry: &&FragmentEntry| window.holds(&entry.meta) && entry.meta.number >= from;
            let wanted: Vec<_> = model.values().filter(of_stream).filter(holds).cloned().collect();
            let connection = writer.connection();
            let kept = Kept::new(from, Vec::new());
            let found =
                view::range(connection, tracks, StreamId(stream), &window, &kept, FragmentNumber::MIN, 5)
                    .unwrap();
            assert_eq!(found, wanted[..wanted.len().min(5)]);
            let mut keys: Vec<_> =
                wanted.iter().map(|entry| (window.time_of(&entry.meta), entry.meta.number)).collect();
            keys.sort_unstable();
            let after =
                keys.first().map_or((i64::MIN, i64::MAX), |key| (key.0, key.1.to_u64().cast_signed()));
            let mut read = Keys::new(connection, window).unwrap();
            let found = read.read(StreamId(stream), after, &kept, 100).unwrap();
            assert_eq!(found, keys.get(1..).unwrap_or_default());
            let latest = view::latest(connection, tracks, StreamId(stream), &kept, 3).unwrap();
            let newest: Vec<_> =
                model.values().filter(of_stream).filter(|entry| entry.meta.number >= from).cloned().collect();
            assert_eq!(latest, newest[newest.len().saturating_sub(3)..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_view_answers_like_a_list(
        steps in prop::collection::vec(step(), 1..60),
        asked in prop::collection::vec((-20_i64..600, 0_i64..300, -50_i64..400), 4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, tracks) = writer(dir.path());
        let mut model = BTreeMap::new();
        let mut now = NOON;
        for step in steps {
            match step {
                Step::Insert { stream, gap, skew, segment } => {
                    now += gap;
                    let mut added = entry(stream, now, now + skew, segment);
                    added.commit.segment += u64::from(skew > 20);
                    let at = Lsn(now.unsigned_abs());
                    let position = Position { next: at, after: at };
                    writer.apply([&added].into_iter(), &[], &[(LANE, position)]).unwrap();
                    model.insert((stream, now.unsigned_abs()), added);
                }
                Step::Remove { stream, keep } => {
                    let below = FragmentNumber::at(Timestamp::from_millis(now - keep));
                    let kept = Kept::new(below, Vec::new());
                    let removal = Removal { stream: StreamId(stream), kept: &kept, limit: 3 };
                    let gone: Vec<_> =
                        model.range((stream, 0)..(stream, below.to_u64())).map(|(key, _)| *key).take(3).collect();
                    prop_assert_eq!(writer.remove(&removal).unwrap(), gone.len());
                    model.retain(|key, _| !gone.contains(key));
                }
            }
        }
        let mut live = BTreeMap::new();
        for entry in model.values() {
            let mut segments: Vec<_> =
                entry.pieces.iter().chain([&entry.commit]).map(|at| at.segment).collect();
            segments.dedup();
            segments.into_iter().for_each(|segment| *live.entry(segment).or_insert(0) += 1);
        }
        let mut counted: BTreeMap<_, _> =
            writer.usage().segments.iter().map(|((_, segment), live)| (*segment, live.fragments)).collect();
        counted.retain(|_, fragments| *fragments != 0);
        prop_assert_eq!(counted, live);
        let (connection, new) = view::open(&dir.path().join(view::FILE)).unwrap();
        let again = Writer::new(connection, Arc::clone(&tracks), Blinder::new(&[7; 32]), new).unwrap();
        prop_assert_eq!(writer.usage(), again.usage(), "memory says what the table says");
        for asked in asked {
            check(&writer, &tracks, &model, asked);
        }
    }
}
