//! Space where the file system has no holes: what is needed moves, and the old segments go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{FragmentNumber, StreamId};
use fixtures::FaultyDisk;
use fragment_log::{Location, Log};

use super::world::{Sizes, World, range_all, search_all};
use crate::{FragmentEntry, Indexer, Window};

const HOUR: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_secs(60);
/// Fragments of 200 KB, about 20 in a segment.
const LARGE: Sizes = Sizes { segment: 4 * 1024 * 1024, piece: 100_000 };

/// One stream that stays among three that go, on a disk without holes.
async fn mixed(dir: &Path) -> (World, Arc<Indexer>, StreamId, Vec<FragmentEntry>) {
    let disk = FaultyDisk::default();
    disk.set_no_holes(true);
    let world = World::on(dir, LARGE, Arc::new(disk));
    let indexer = world.index();
    let long = world.stream("long", HOUR).await.id;
    let mut streams = vec![long];
    for name in ["a", "b", "c"] {
        streams.push(world.stream(name, SHORT).await.id);
    }
    let mut kept = Vec::new();
    for _ in 0..40 {
        for stream in &streams {
            let appended = world.append(*stream, 0, &[("lane", "3")]).await;
            kept.extend(Some(appended).filter(|entry| entry.stream == long));
        }
        world.clock.advance(1000);
    }
    indexer.flush().await.unwrap();
    (world, indexer, long, kept)
}

fn numbers(entries: &[FragmentEntry]) -> Vec<FragmentNumber> {
    entries.iter().map(|entry| entry.meta.number).collect()
}

async fn answers(
    world: &World,
    indexer: &Indexer,
    long: StreamId,
    kept: &[FragmentEntry],
) -> Vec<FragmentEntry> {
    let found = range_all(indexer, long, Window::ALL, 50).await;
    assert_eq!(numbers(&found), numbers(kept));
    assert!(found.iter().zip(kept).all(|(found, kept)| found.meta == kept.meta));
    for entry in &found {
        let media = world.log.read_all(&entry.pieces).await.unwrap();
        assert!(media.len() == 200_000 && media.iter().all(|&byte| byte == 7));
        assert_eq!(indexer.tags(entry).await.unwrap()["lane"], "3");
    }
    let hits = search_all(indexer, Window::ALL, "tags.lane:\"3\"", 50).await;
    let hits: Vec<_> = hits.into_iter().filter(|entry| entry.stream == long).collect();
    assert_eq!(numbers(&hits), numbers(kept), "each is found once");
    found
}

fn bytes(log: &Log) -> u64 {
    log.segments().iter().map(|info| info.bytes).sum()
}

async fn swept(indexer: &Indexer, times: usize) {
    for _ in 0..times {
        indexer.sweep().await.unwrap();
        indexer.flush().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_needed_moves_and_old_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let (world, indexer, long, kept) = mixed(dir.path()).await;
    world.clock.advance(200_000);
    let before = bytes(&world.log);
    indexer.sweep().await.unwrap();
    let first = answers(&world, &indexer, long, &kept).await;
    swept(&indexer, 5).await;
    let found = answers(&world, &indexer, long, &kept).await;
    assert!(bytes(&world.log) < before / 2, "{} of {before}", bytes(&world.log));
    let stayed = found.iter().zip(&kept).filter(|(found, kept)| found.commit == kept.commit).count();
    assert!(stayed < 12, "{stayed}: what is in the last segment");
    assert_eq!(answers(&world, &indexer, long, &kept).await.len(), first.len());
    let settled = bytes(&world.log);
    swept(&indexer, 3).await;
    assert_eq!(bytes(&world.log), settled, "nothing moves twice");
    // The same after a restart, and rebuilt.
    let world = world.reopen(Some(indexer));
    let indexer = world.index();
    assert_eq!(answers(&world, &indexer, long, &kept).await, found);
    let world = world.reopen(Some(indexer));
    Indexer::reindex(Arc::clone(&world.log), Arc::clone(&world.catalog), &world.options(), &mut |_| {})
        .unwrap();
    let indexer = world.index();
    assert_eq!(answers(&world, &indexer, long, &kept).await, found);
    // What moved expires like anything else.
    world.clock.advance(3_600_000);
    swept(&indexer, 2).await;
    assert!(range_all(&indexer, long, Window::ALL, 50).await.is_empty());
    assert_eq!(indexer.space().iter().map(|space| space.live).sum::<u64>(), 0);
}

#[tokio::test]
async fn two_copies_are_one_fragment() {
    let dir = tempfile::tempdir().unwrap();
    let (world, indexer, long, kept) = mixed(dir.path()).await;
    // As a crash leaves it between the copy and the rows that name it.
    let log = Arc::clone(&world.log);
    let places: Vec<Vec<Location>> =
        kept[..15].iter().map(|entry| entry.places().copied().collect()).collect();
    let copied = tokio::task::spawn_blocking(move || {
        places.iter().for_each(|places| drop(log.copy_forward(places).unwrap().unwrap()));
    });
    copied.await.unwrap();
    indexer.flush().await.unwrap();
    answers(&world, &indexer, long, &kept).await;
    let world = world.reopen(Some(indexer));
    Indexer::reindex(Arc::clone(&world.log), Arc::clone(&world.catalog), &world.options(), &mut |_| {})
        .unwrap();
    let indexer = world.index();
    answers(&world, &indexer, long, &kept).await;
    world.clock.advance(200_000);
    let before = bytes(&world.log);
    swept(&indexer, 6).await;
    answers(&world, &indexer, long, &kept).await;
    assert!(bytes(&world.log) < before / 2, "{} of {before}", bytes(&world.log));
}

#[tokio::test]
async fn damage_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (world, indexer, long, kept) = mixed(dir.path()).await;
    let broken = &kept[3].pieces[1];
    let file = dir.path().join(format!("log/bulk-day/{:020}.seg", broken.segment));
    let mut stored = std::fs::read(&file).unwrap();
    stored[usize::try_from(broken.offset).unwrap() + 5_000] ^= 1;
    std::fs::write(&file, stored).unwrap();
    world.clock.advance(200_000);
    swept(&indexer, 6).await;
    let found = range_all(&indexer, long, Window::ALL, 50).await;
    assert_eq!(numbers(&found), numbers(&kept));
    for entry in &found {
        assert_eq!(world.log.read_all(&entry.pieces).await.is_err(), entry.meta == kept[3].meta);
    }
    assert_eq!(found[3], kept[3], "its segment stays");
}
