//! The search view against the plain matcher that the overlay uses.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base::{FragmentNumber, Tags, Timestamp};
use fragment_log::{LaneId, Lsn, RetentionClass};
use proptest::prelude::*;

use super::{NOON, entry, fresh, track};
use crate::assemble::Fresh;
use crate::find::Key;
use crate::search::{Blinder, Expression, First, GoneSegment, Search, contains};
use crate::{ClockKind, Window};

const LANE: LaneId = LaneId::Bulk(RetentionClass::Week);
const DAY: i64 = 86_400_000;

fn open(dir: &Path) -> Search {
    Search::open(dir, Blinder::new(&[7; 32])).unwrap()
}

fn find(search: &Search, q: &str, window: Window, after: Option<Key>, limit: usize) -> Vec<i64> {
    let visible = Arc::new((1..4).map(|stream| (stream, 0)).collect::<HashMap<_, _>>());
    let first = First { window, after, limit, visible };
    let expression = Expression::parse(q).unwrap();
    let labelled = |leaf: &Expression| match leaf {
        Expression::Label { phrase, .. } | Expression::Value { phrase } if phrase == &["lab"] => vec![2],
        _ => vec![],
    };
    let keys = search.readers().find(&expression, &first, &labelled, &|_| None);
    keys.unwrap().into_iter().map(|key| key.number.cast_signed() - NOON).collect()
}

fn fragments() -> Vec<Arc<Fresh>> {
    let mut hevc = entry(2, NOON + 3, NOON + 30, 1);
    hevc.meta.tracks = vec![track(1, "h265"), track(2, "aac")];
    vec![
        fresh(entry(1, NOON + 1, NOON + 10, 1), 1, &[("plate", "B-MR 123"), ("note", "red truck")]),
        fresh(entry(1, NOON + 2, NOON + 20, 1), 2, &[("note", "truck, red"), ("truck", "no")]),
        fresh(hevc, 3, &[]),
        fresh(entry(3, NOON + 4, NOON + 5, 2), 4, &[("Note", "Red Truck")]),
    ]
}

#[test]
fn expressions_find_fragments() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = open(dir.path());
    search.commit(&fragments(), &[], &[(LANE, Lsn(5))]).unwrap();
    let table: [(&str, &[i64]); 16] = [
        ("*", &[4, 1, 2, 3]),
        ("tags.note:\"red truck\"", &[1]),
        ("tags.note:\"RED\"", &[1, 2]),
        ("tags.Note:red", &[4]),
        ("\"red truck\"", &[4, 1]),
        ("tags.plate:\"b-mr 123\"", &[1]),
        ("tags.plate:123", &[1]),
        ("123", &[1]),
        ("tags.plate:red", &[]),
        ("tags.plate:12", &[]),
        ("codec:H265", &[3]),
        ("codec:aac.64001f", &[3]),
        ("labels.any:lab", &[3]),
        ("lab OR tags.plate:123", &[1, 3]),
        ("red AND NOT tags.plate:123", &[4, 2]),
        ("NOT codec:h264", &[3]),
    ];
    for (q, numbers) in table {
        assert_eq!(find(&search, q, Window::ALL, None, 10), numbers, "{q}");
    }
    let after = Key { time: NOON + 10, stream: 1, number: NOON.unsigned_abs() + 1 };
    assert_eq!(find(&search, "*", Window::ALL, Some(after), 1), [2]);
    let at = |millis| Some(Timestamp::from_millis(millis));
    let server = Window { clock: ClockKind::Server, start: at(NOON + 2), end: at(NOON + 3) };
    assert_eq!(find(&search, "*", server, None, 10), [2, 3]);
    assert_eq!(find(&search, "red", server, None, 10), [2]);
}

#[test]
fn a_log_segment_and_a_month_go_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = open(dir.path());
    let old = fresh(entry(1, NOON - 90 * DAY, NOON - 90 * DAY, 0), 0, &[]);
    let mut all = fragments();
    all.push(old);
    search.commit(&all, &[], &[(LANE, Lsn(5))]).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    let number = |millis| FragmentNumber::at(Timestamp::from_millis(millis));
    let gone = GoneSegment { lane: LANE, segment: 1, first: number(NOON), last: number(NOON + 9) };
    search.commit(&[], &[gone], &[(LANE, Lsn(5))]).unwrap();
    assert_eq!(find(&search, "NOT codec:h265", Window::ALL, None, 10).len(), 2);
    search.drop_months(Timestamp::from_millis(NOON - 50 * DAY)).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(find(&search, "*", Window::ALL, None, 10), [4]);
}

#[test]
fn what_is_in_is_not_added_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = open(dir.path());
    search.commit(&fragments(), &[], &[(LANE, Lsn(5))]).unwrap();
    search.close().unwrap();
    let mut search = open(dir.path());
    let mut again = fragments();
    again.push(fresh(entry(1, NOON + 9, NOON + 90, 1), 9, &[]));
    search.commit(&again, &[], &[(LANE, Lsn(10))]).unwrap();
    assert_eq!(find(&search, "*", Window::ALL, None, 10), [4, 1, 2, 3, 9]);
}

#[test]
fn a_damaged_folder_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = open(dir.path());
    search.commit(&fragments(), &[], &[(LANE, Lsn(5))]).unwrap();
    search.close().unwrap();
    let month = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(month).unwrap().map(|file| file.unwrap().path());
    let file = file.filter(|path| path.extension().is_some_and(|kind| kind == "term")).last().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(Search::open(dir.path(), Blinder::new(&[7; 32])).is_err());
}

fn expression() -> impl Strategy<Value = String> {
    let word = "[abc]( [abc])?";
    let leaf = prop_oneof![
        word.prop_map(|value| format!("\"{value}\"")),
        ("[xy]", word).prop_map(|(name, value)| format!("tags.{name}:\"{value}\"")),
        Just("codec:h264".to_owned()),
        Just("codec:h265".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(+{a} -{b})")),
            inner.prop_map(|a| format!("(NOT {a})")),
        ]
    })
}

fn matches(expression: &Expression, fresh: &Fresh) -> bool {
    let tag = |name: &str| fresh.tags.get(name).cloned().unwrap_or_default();
    expression.matches(&|leaf| match leaf {
        Expression::Tag { name, phrase } => contains(&tag(name), phrase),
        Expression::Value { phrase } => fresh.tags.values().any(|value| contains(value, phrase)),
        Expression::Codec(codec) => fresh.entry.meta.tracks.iter().any(|track| track.codec == *codec),
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn disk_and_memory_agree(
        values in prop::collection::vec(("[abc]( [abc]){0,3}", "([abc]( [abc])?)?", prop::bool::ANY), 1..12),
        asked in prop::collection::vec(expression(), 12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<_> = values.iter().zip(1..).map(|((x, y, other), number)| {
            let mut entry = entry(1, NOON + number, NOON + number, 1);
            if *other {
                entry.meta.tracks = vec![track(1, "h265")];
            }
            let tags: Tags = [("x".to_owned(), x.clone()), ("y".to_owned(), y.clone())].into();
            let tags: Vec<_> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fresh(entry, number.unsigned_abs(), &tags)
        }).collect();
        let mut search = open(dir.path());
        search.commit(&all, &[], &[(LANE, Lsn(99))]).unwrap();
        for q in asked {
            let expression = Expression::parse(&q).unwrap();
            let wanted: Vec<_> = all.iter().filter(|one| matches(&expression, one))
                .map(|one| one.entry.meta.number.to_u64().cast_signed() - NOON).collect();
            prop_assert_eq!(find(&search, &q, Window::ALL, None, 100), wanted, "{}", q);
        }
    }
}
