//! The index beside a log: fresh at ack, over restarts, and when it falls behind.

use std::sync::Arc;
use std::time::Duration;

use base::{FragmentNumber, Tags, Timestamp};
use fragment_log::Follower;

use super::NOON;
use super::world::{World, range_all, search_all};
use crate::intake::Intake;
use crate::open::{self, Opened};
use crate::view;
use crate::{ClockKind, IndexError, Indexer, SearchQuery, Window};

const DAY: Duration = Duration::from_hours(24);

async fn answers(indexer: &Indexer, world: &World) -> String {
    let mut told = String::new();
    for stream in world.catalog.streams().values() {
        for clock in [ClockKind::Producer, ClockKind::Server] {
            let window = Window { clock, start: Some(Timestamp::from_millis(NOON + 50)), end: None };
            told += &format!("{:?}\n", range_all(indexer, stream.id, window, 7).await);
        }
        let (start, end) = (Timestamp::from_millis(NOON), Timestamp::from_millis(NOON + 60_000));
        told += &format!("{:?}\n", indexer.timeline(stream.id, start, end, 13).await.unwrap());
        told += &format!("{:?}\n", indexer.latest(stream.id, 3).await.unwrap());
        told += &format!("{:?}\n", indexer.newest(stream.id));
    }
    for q in ["", "red", "tags.plate:\"b 12\"", "NOT red", "codec:h264 AND red"] {
        told += &format!("{:?}\n", search_all(indexer, Window::ALL, q, 5).await);
    }
    told
}

#[tokio::test]
async fn an_acknowledged_fragment_is_found_by_every_query() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("front", DAY).await;
    let entry = world.append(stream.id, 30, &[("plate", "B 12"), ("colour", "red")]).await;
    let number = entry.meta.number;
    let alone = std::slice::from_ref(&entry);

    for _ in ["from memory", "from disk"] {
        assert_eq!(indexer.newest(stream.id).as_deref(), Some(&entry));
        assert_eq!(indexer.latest(stream.id, 5).await.unwrap(), alone);
        assert_eq!(range_all(&indexer, stream.id, Window::ALL, 5).await, alone);
        let numbers = [FragmentNumber::MIN, number];
        assert_eq!(indexer.by_numbers(stream.id, &numbers).await.unwrap(), [None, Some(entry.clone())]);
        for q in ["", "red", "tags.plate:\"b 12\"", "codec:h264", "NOT blue"] {
            assert_eq!(search_all(&indexer, Window::ALL, q, 5).await, alone, "{q}");
        }
        let (start, end) = (Timestamp::from_millis(NOON), Timestamp::from_millis(NOON + 4000));
        let buckets = indexer.timeline(stream.id, start, end, 2).await.unwrap();
        let told: Vec<_> = buckets.iter().map(|b| (b.covered_ms, b.fragments, b.bytes)).collect();
        assert_eq!(told, [(1970, 1, 10_000), (30, 0, 0)]);
        let tags = indexer.tags(&entry).await.unwrap();
        assert_eq!(tags, Tags::from([("plate".into(), "B 12".into()), ("colour".into(), "red".into())]));
        indexer.flush().await.unwrap();
    }
}

#[tokio::test]
async fn labels_are_those_of_now_and_count_for_old_fragments() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let (north, south) = (world.stream("north", DAY).await, world.stream("south", DAY).await);
    let entry = world.append(north.id, 0, &[]).await;
    world.append(south.id, 0, &[]).await;
    for _ in ["from memory", "from disk"] {
        let label = Tags::from([("site".into(), "Gate 7".into())]);
        world.catalog.set_labels(north.id, label).await.unwrap();
        for q in ["labels.site:\"gate 7\"", "gate", "\"gate 7\" AND codec:h264", "labels.site:7 AND NOT red"]
        {
            assert_eq!(search_all(&indexer, Window::ALL, q, 5).await, std::slice::from_ref(&entry), "{q}");
        }
        world.catalog.set_labels(north.id, Tags::new()).await.unwrap();
        assert!(search_all(&indexer, Window::ALL, "gate", 5).await.is_empty());
        indexer.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_cursor_holds_while_fragments_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let streams = [world.stream("a", DAY).await, world.stream("b", DAY).await];
    let mut expected = Vec::new();
    for _ in 0..5 {
        for stream in &streams {
            expected.push(world.append(stream.id, 0, &[]).await.meta.number);
        }
        world.clock.advance(10);
    }
    let mut query =
        SearchQuery { streams: "*".parse().unwrap(), window: Window::ALL, q: None, limit: 3, cursor: None };
    let mut found = Vec::new();
    loop {
        let page = indexer.search(query.clone()).await.unwrap();
        found.extend(page.items.iter().map(|hit| hit.entry.meta.number));
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
        // Behind the cursor: it is not seen, and nothing shifts.
        world.append(streams[0].id, -100_000, &[]).await;
        world.clock.advance(1);
        indexer.flush().await.unwrap();
    }
    assert_eq!(found, expected);
    query.cursor = Some("what".into());
    assert!(matches!(indexer.search(query).await, Err(IndexError::Cursor(_))));
}

#[tokio::test]
async fn restarts_and_rebuilds_change_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let indexer = world.index();
    for name in ["a", "b", "c"] {
        let stream = world.stream(name, DAY).await;
        for at in 0..20 {
            let tags: &[_] = if at % 3 == 0 { &[("plate", "B 12"), ("colour", "red")] } else { &[] };
            world.append(stream.id, at * 7 % 40, tags).await;
            world.clock.advance(977);
        }
    }
    let before = answers(&indexer, &world).await;
    assert!(before.len() > 10_000);

    world = world.reopen(Some(indexer));
    let indexer = world.index();
    assert_eq!(answers(&indexer, &world).await, before);

    world = world.reopen(Some(indexer));
    let mut told = 0;
    let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
    let rebuilt = Indexer::reindex(log, catalog, &world.options(), &mut |at| told = at.fragments).unwrap();
    assert_eq!((rebuilt.fragments, told), (60, 60));
    let indexer = world.index();
    assert_eq!(answers(&indexer, &world).await, before);
}

#[tokio::test]
async fn a_rebuild_that_was_killed_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let mut indexer = world.index();
    let stream = world.stream("a", DAY).await;
    for _ in 0..30 {
        world.append(stream.id, 5, &[("colour", "red")]).await;
        world.clock.advance(2000);
    }
    let before = answers(&indexer, &world).await;
    let (index, killed) = (dir.path().join("index"), dir.path().join("killed"));
    for half in ["DELETE FROM fragments WHERE number % 2 = 0", "DELETE FROM applied"] {
        world = world.reopen(Some(indexer));
        let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
        // As the disk has it just before the rebuild is through, but for what half of it lacks.
        let mut kill = |_| {
            std::fs::create_dir_all(&killed).unwrap();
            std::fs::copy(index.join(view::FILE), killed.join(view::FILE)).unwrap();
        };
        Indexer::reindex(log, catalog, &world.options(), &mut kill).unwrap();
        std::fs::rename(killed.join(view::FILE), index.join(view::FILE)).unwrap();
        rusqlite::Connection::open(index.join(view::FILE)).unwrap().execute(half, []).unwrap();
        indexer = world.index();
        assert_eq!(answers(&indexer, &world).await, before, "{half}");
    }
}

#[tokio::test]
async fn damaged_and_older_views_are_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("a", DAY).await;
    for _ in 0..10 {
        world.append(stream.id, 5, &[("colour", "red")]).await;
        world.clock.advance(2000);
    }
    let before = answers(&indexer, &world).await;
    let mut open = Some(indexer);
    let index = dir.path().join("index");
    let sorted = index.join("fragments.sqlite");
    let damages: [(&str, &dyn Fn()); 6] = [
        ("garbage", &|| std::fs::write(&sorted, vec![0x55; 9000]).unwrap()),
        ("cut", &|| {
            let bytes = std::fs::read(&sorted).unwrap();
            std::fs::write(&sorted, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("another format", &|| {
            let connection = rusqlite::Connection::open(&sorted).unwrap();
            connection.execute_batch("PRAGMA user_version = 77").unwrap();
        }),
        ("no sorted view, but its write-ahead file", &|| {
            std::fs::rename(&sorted, index.join("fragments.sqlite-wal")).unwrap();
        }),
        ("no search view", &|| std::fs::remove_dir_all(index.join("search")).unwrap()),
        ("cut search view", &|| {
            let month = std::fs::read_dir(index.join("search")).unwrap().next().unwrap().unwrap().path();
            std::fs::write(month.join("meta.json"), b"{").unwrap();
        }),
    ];
    for (what, damage) in damages {
        world = world.reopen(open.take());
        damage();
        let indexer = world.index();
        assert_eq!(answers(&indexer, &world).await, before, "{what}");
        indexer.flush().await.unwrap();
        assert_eq!(answers(&indexer, &world).await, before, "{what}, flushed");
        open = Some(indexer);
    }
}

#[tokio::test]
async fn a_flood_is_read_from_the_log_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let stream = world.stream("a", DAY).await;
    let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
    let Opened { mut owner, tracks: _ } =
        open::open(log, Arc::clone(&catalog), &world.options(), &mut |_| {}).unwrap();
    let intake = Arc::new(Intake::new(Arc::clone(&owner.overlay), &catalog, 5));
    owner.intake = Arc::clone(&intake);
    world.log.follow(Arc::clone(&intake) as Arc<dyn Follower>);
    for _ in 0..40 {
        world.append(stream.id, 0, &[]).await;
        world.clock.advance(100);
    }
    assert_eq!(owner.overlay.all().len(), 5, "the rest takes no memory");
    let thread = std::thread::spawn(move || owner.run());
    // While the thread catches up, more come.
    for _ in 0..40 {
        world.append(stream.id, 0, &[]).await;
        world.clock.advance(100);
    }
    intake.stop();
    thread.join().unwrap();
    drop((intake, catalog));
    let world = world.reopen(None);
    let indexer = world.index();
    assert_eq!(range_all(&indexer, stream.id, Window::ALL, 9).await.len(), 80);
}

#[tokio::test]
async fn no_tag_or_label_is_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("a", DAY).await;
    let labels = Tags::from([("canaryname".into(), "canarylabel".into())]);
    world.catalog.set_labels(stream.id, labels).await.unwrap();
    for at in 0..5 {
        world.append(stream.id, at, &[("canarykey", "CanaryValue canaryword")]).await;
        world.clock.advance(10);
    }
    indexer.flush().await.unwrap();
    assert_eq!(
        search_all(&indexer, Window::ALL, "tags.canarykey:\"canaryvalue canaryword\"", 9).await.len(),
        5
    );
    drop(world.reopen(Some(indexer)));
    let mut folders = vec![dir.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
            assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 5);
}
