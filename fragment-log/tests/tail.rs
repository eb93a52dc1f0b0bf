//! The newest records, served from memory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use base::StreamId;
use fragment_log::{Durable, FrameKind, LaneId, Log, LogError, Lsn, Options, RetentionClass, Tail};
use support::{Told, entry, options, replayed, wait};

const ORDERS: StreamId = StreamId(7);
const RECORDS: LaneId = LaneId::Records(RetentionClass::Day);

fn open(dir: &std::path::Path) -> Log {
    let log = Log::open(options(dir)).unwrap();
    log.keys().create_stream_key(ORDERS).unwrap();
    log
}

fn append(log: &Log, sequence: u64, len: usize) -> fragment_log::Location {
    let payload = vec![u8::try_from(sequence % 256).unwrap(); len];
    let appended = wait(log.append(RECORDS, vec![entry(FrameKind::Records, ORDERS, sequence, payload)]));
    appended.unwrap().locations[0]
}

fn frames(tail: Tail) -> (Vec<Durable>, Lsn) {
    match tail {
        Tail::Frames { frames, next } => (frames, next),
        Tail::Behind { first } => panic!("it begins at {first:?}"),
    }
}

#[test]
fn what_was_just_written_needs_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let told = Arc::new(Told::default());
    log.follow(Arc::clone(&told) as _);
    let places = [append(&log, 1, 100), append(&log, 2, 5000), append(&log, 3, 1)];
    std::fs::remove_dir_all(dir.path().join("log/records-day")).unwrap();
    for (place, (sequence, len)) in places.iter().zip([(1, 100), (2, 5000), (3, 1)]) {
        assert_eq!(wait(log.read(place)).unwrap(), vec![sequence; len]);
    }
    let (found, next) = frames(log.tail(RECORDS, Lsn(1), usize::MAX));
    assert_eq!(next, Lsn(4));
    assert_eq!(found.iter().map(|frame| frame.location).collect::<Vec<_>>(), places);
    assert_eq!(found[1].payload.as_deref(), Some(&[2; 5000][..]));
    let followed = told.0.lock().unwrap();
    assert_eq!(followed[1].1.payload, found[1].payload, "followers have the payload, too");
    assert!(log.metrics().tail_bytes > 5101);
}

#[test]
fn who_comes_late_replays_and_goes_on_with_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for sequence in 1..=3 {
        append(&log, sequence, 10);
    }
    drop(log);
    let log = open(dir.path());
    assert!(matches!(log.tail(RECORDS, Lsn(3), 1000), Tail::Behind { first: Lsn(4) }));
    append(&log, 4, 10);
    let Tail::Behind { first } = log.tail(RECORDS, Lsn(2), 1000) else { panic!("it was not in memory") };
    let mut all: Vec<Lsn> = replayed(&log, RECORDS, Lsn(2)).unwrap().iter().map(|frame| frame.lsn).collect();
    all.retain(|&lsn| lsn < first);
    all.extend(frames(log.tail(RECORDS, first, 1000)).0.iter().map(|frame| frame.lsn));
    assert_eq!(all, [Lsn(2), Lsn(3), Lsn(4)]);
    assert!(matches!(log.tail(LaneId::Control, Lsn(0), 1000), Tail::Behind { first: Lsn(1) }));
}

#[test]
fn the_budget_holds_whatever_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(Options { tail_bytes: 50_000, ..options(dir.path()) }).unwrap();
    log.keys().create_stream_key(ORDERS).unwrap();
    for sequence in 1..40 {
        let place = append(&log, sequence, 3000 + usize::try_from(sequence).unwrap() * 1000);
        assert!(log.metrics().tail_bytes <= 50_000);
        assert!(!wait(log.read(&place)).unwrap().is_empty(), "from disk where it must be");
    }
    let Tail::Behind { first } = log.tail(RECORDS, Lsn(1), 1000) else { panic!("all of it is kept") };
    assert!(first > Lsn(30));
}

#[test]
fn what_is_gone_is_gone_from_memory_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let other = StreamId(8);
    log.keys().create_stream_key(other).unwrap();
    let places: Vec<_> = (1..=40).map(|sequence| append(&log, sequence, 10_000)).collect();
    let appended = wait(log.append(RECORDS, vec![entry(FrameKind::Records, other, 1, vec![1; 10])])).unwrap();
    let first = places[0].segment;
    log.punch(RECORDS, first, &places[..1]).unwrap();
    assert!(matches!(wait(log.read(&places[0])), Err(LogError::Gone(_))));
    assert!(frames(log.tail(RECORDS, Lsn(1), 0)).0.is_empty(), "the freed one is left out");
    log.remove_segment(RECORDS, first).unwrap();
    assert!(matches!(wait(log.read(&places[1])), Err(LogError::Gone(_))));
    let (found, _) = frames(log.tail(RECORDS, Lsn(1), usize::MAX));
    assert!(found.len() < 41 && found.iter().all(|frame| frame.location.segment > first));
    log.keys().destroy_stream_key(other).unwrap();
    assert!(matches!(wait(log.read(&appended.locations[0])), Err(LogError::NoKey(_))));
    let (found, _) = frames(log.tail(RECORDS, appended.first, usize::MAX));
    assert!(found[0].payload.is_none());
}

/// Readers that wait for more see every frame once, in order, while producers write.
#[test]
fn many_readers_follow_many_writers() {
    const EACH: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(open(dir.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let log = Arc::clone(&log);
            runtime.spawn(async move {
                let (mut more, mut from, mut seen) = (log.watch(RECORDS), Lsn(1), Vec::new());
                while seen.len() < 4 * usize::try_from(EACH).unwrap() {
                    more.wait_for(|&last| last >= from).await.unwrap();
                    let (found, next) = frames(log.tail(RECORDS, from, 3000));
                    assert!(!found.is_empty(), "it was announced");
                    seen.extend(found.into_iter().map(|frame| (frame.lsn, frame.payload.unwrap())));
                    from = next;
                }
                seen
            })
        })
        .collect();
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let log = Arc::clone(&log);
            runtime.spawn(async move {
                for number in 0..EACH {
                    let sequence = writer * EACH + number;
                    let payload = sequence.to_le_bytes().repeat(100);
                    let entries = vec![entry(FrameKind::Records, ORDERS, sequence, payload)];
                    log.append(RECORDS, entries).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        runtime.block_on(writer).unwrap();
    }
    for reader in readers {
        let seen = runtime.block_on(reader).unwrap();
        assert!(seen.iter().map(|(lsn, _)| lsn.0).eq(1..=4 * EACH));
        let mut payloads: Vec<_> = seen.into_iter().map(|(_, payload)| payload).collect();
        payloads.sort();
        payloads.dedup();
        assert_eq!(payloads.len() as u64, 4 * EACH);
    }
}
