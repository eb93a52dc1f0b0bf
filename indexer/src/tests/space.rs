//! Space: limits by bytes, holes, room that must be made, and what is held through all of it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{FragmentNumber, StreamId, Timestamp};
use fragment_log::Log;

use super::NOON;
use super::world::{Sizes, World, range_all, search_all};
use crate::{FragmentEntry, Indexer, Window};

const HOUR: Duration = Duration::from_hours(1);
/// Fragments of 200 KB, about 20 in a segment.
const LARGE: Sizes = Sizes { segment: 4 * 1024 * 1024, piece: 100_000 };

async fn append(world: &World, streams: &[StreamId], rounds: usize) -> Vec<Vec<FragmentEntry>> {
    let mut appended = vec![Vec::new(); streams.len()];
    for _ in 0..rounds {
        for (stream, appended) in streams.iter().zip(&mut appended) {
            appended.push(world.append(*stream, 0, &[]).await);
        }
        world.clock.advance(1000);
    }
    appended
}

async fn all(indexer: &Indexer, stream: StreamId) -> Vec<FragmentEntry> {
    range_all(indexer, stream, Window::ALL, 50).await
}

/// Bytes that the segment files take on the disk.
fn taken(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("log/bulk-day")).unwrap();
    let segments =
        files.map(|file| file.unwrap()).filter(|file| file.path().extension() == Some("seg".as_ref()));
    segments.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}

async fn reads(world: &World, entries: &[FragmentEntry]) {
    for entry in entries {
        let media = world.log.read_all(&entry.pieces).await.unwrap();
        assert_eq!(media.len() as u64, entry.meta.size_bytes);
    }
}

fn reindex(world: World, indexer: Arc<Indexer>) -> (World, Arc<Indexer>) {
    let world = world.reopen(Some(indexer));
    let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
    Indexer::reindex(log, catalog, &world.options(), &mut |_| {}).unwrap();
    let indexer = world.index();
    (world, indexer)
}

#[tokio::test]
async fn a_limit_of_bytes_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let limited = world.stream("limited", HOUR).await.id;
    let other = world.stream("other", HOUR).await.id;
    let appended = append(&world, &[limited, other], 60).await;
    world.keep_bytes(limited, HOUR, Some(250_000)).await;
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    let kept = all(&indexer, limited).await;
    assert!((20..=25).contains(&kept.len()), "{} of 10 KB each", kept.len());
    assert_eq!(kept, appended[0][60 - kept.len()..], "the newest");
    assert_eq!(search_all(&indexer, Window::ALL, "", 50).await.len(), 60 + kept.len());
    assert_eq!(all(&indexer, other).await.len(), 60);
    // It holds while more comes, and after a restart.
    let more = append(&world, &[limited], 10).await;
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    let kept = all(&indexer, limited).await;
    assert!((20..=25).contains(&kept.len()) && kept.ends_with(&more[0]));
    let world = world.reopen(Some(indexer));
    let indexer = world.index();
    assert_eq!(all(&indexer, limited).await, kept);
    // Raising it keeps what is there; a rebuild does not go beyond it.
    let (world, indexer) = reindex(world, indexer);
    assert!((20..=25).contains(&all(&indexer, limited).await.len()));
    world.keep_bytes(limited, HOUR, None).await;
    indexer.sweep().await.unwrap();
    assert!(all(&indexer, limited).await.ends_with(&more[0]));
}

#[tokio::test]
async fn what_is_held_does_not_count_against_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("door", HOUR).await.id;
    let appended = append(&world, &[stream], 60).await;
    world.hold(stream, "a", NOON + 10_000, NOON + 20_000).await;
    world.keep_bytes(stream, HOUR, Some(110_000)).await;
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    let kept = all(&indexer, stream).await;
    let held: Vec<_> = appended[0][8..=20].to_vec();
    assert_eq!(kept[..13], held, "every fragment that lies in it, be it for a moment");
    assert!((8..=11).contains(&(kept.len() - 13)), "{}", kept.len());
    assert!(kept.ends_with(&appended[0][52..]));
    reads(&world, &kept).await;
}

#[tokio::test]
async fn dead_frames_give_their_space_back_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::sized(dir.path(), LARGE);
    let indexer = world.index();
    let short = world.stream("short", Duration::from_secs(60)).await.id;
    let long = world.stream("long", HOUR).await.id;
    let appended = append(&world, &[short, long], 60).await;
    indexer.flush().await.unwrap();
    world.hold(short, "a", NOON, NOON + 3_000).await;
    world.clock.advance(200_000);
    let before = taken(dir.path());
    let swept = indexer.sweep().await.unwrap();
    assert_eq!((swept.fragments, swept.segments), (56, 0), "the other stream needs every segment");
    assert!(swept.bytes > 40 * 180_000, "all but those of the last segments: {swept:?}");
    // Holes cost a file system some blocks of its own.
    assert!((before - taken(dir.path())).abs_diff(swept.bytes) < 64 * 1024);
    let held = all(&indexer, short).await;
    assert_eq!(held, appended[0][..4]);
    reads(&world, &held).await;
    assert_eq!(all(&indexer, long).await, appended[1]);
    reads(&world, &appended[1]).await;
    let space = indexer.space();
    assert!(space.len() == 1 && space[0].held > 4 * 200_000 && space[0].live > 64 * 200_000, "{space:?}");
    assert!(space[0].dead < 5 * 1024 * 1024, "{space:?}");
    assert_eq!(indexer.sweep().await.unwrap().bytes, 0, "once is enough");
    // Rebuilt, it answers the same.
    let (world, indexer) = reindex(world, indexer);
    assert_eq!(all(&indexer, short).await, held);
    assert_eq!(all(&indexer, long).await, appended[1]);
    drop((indexer, world));
    let summary = Log::verify(dir.path(), None, &mut |damage| panic!("{damage:?}")).unwrap();
    assert!(summary.freed > 100 && summary.damages == 0);
}

#[tokio::test]
async fn room_is_made_of_the_oldest_that_nobody_holds() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::sized(dir.path(), LARGE);
    let indexer = world.index();
    let mut streams = Vec::new();
    for name in ["a", "b", "c"] {
        streams.push(world.stream(name, HOUR).await.id);
    }
    let appended = append(&world, &streams, 60).await;
    indexer.flush().await.unwrap();
    world.hold(streams[1], "evidence", NOON + 4_000, NOON + 6_000).await;
    let before = taken(dir.path());
    let made = indexer.make_room(9_000_000).await.unwrap();
    assert!((9_000_000..14_000_000).contains(&made.bytes), "{made:?}");
    assert!(before - taken(dir.path()) >= 9_000_000);
    for (stream, appended) in streams.iter().zip(&appended) {
        let kept = all(&indexer, *stream).await;
        let newest = if *stream == streams[1] { &kept[5..] } else { &kept[..] };
        assert!(appended.ends_with(newest) && newest.len() > 30, "{}", newest.len());
        reads(&world, &kept).await;
    }
    let held = &appended[1][2..=6];
    assert_eq!(all(&indexer, streams[1]).await[..5], *held);
    // All of it, until only what is held and what is written is left.
    indexer.make_room(u64::MAX).await.unwrap();
    assert_eq!(all(&indexer, streams[1]).await[..5], *held);
    reads(&world, held).await;
    assert_eq!(indexer.make_room(u64::MAX).await.unwrap().bytes, 0);
    assert!(indexer.last_recorded(streams[0]).is_some());
    // A hold that is cleared protects nothing.
    world.clear_hold(streams[1], "evidence").await;
    indexer.make_room(u64::MAX).await.unwrap();
    assert!(!all(&indexer, streams[1]).await.contains(&held[0]));
    let oldest = FragmentNumber::at(Timestamp::from_millis(NOON + 2_000));
    assert_eq!(indexer.by_numbers(streams[1], &[oldest]).await.unwrap(), [None]);
}

#[tokio::test]
async fn what_was_held_on_a_full_disk_goes_no_faster_than_other_footage_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::sized(dir.path(), LARGE);
    let indexer = world.index();
    let stream = world.stream("held", HOUR).await.id;
    let appended = append(&world, &[stream], 60).await;
    indexer.flush().await.unwrap();
    world.hold(stream, "all", NOON, NOON + 3_600_000).await;
    for _ in 0..3 {
        assert_eq!(indexer.make_room(u64::MAX).await.unwrap().bytes, 0);
    }
    assert_eq!(all(&indexer, stream).await, appended[0]);
    world.clear_hold(stream, "all").await;
    assert_eq!(all(&indexer, stream).await, appended[0], "nothing was given up meanwhile");
    indexer.make_room(1).await.unwrap();
    let kept = all(&indexer, stream).await;
    assert!(appended[0].ends_with(&kept) && (30..60).contains(&kept.len()), "{}", kept.len());
}

#[tokio::test]
async fn what_an_open_fragment_has_already_is_never_taken() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::sized(dir.path(), LARGE);
    let indexer = world.index();
    let (open, other) = (world.stream("open", HOUR).await.id, world.stream("other", HOUR).await.id);
    append(&world, &[open, other], 30).await;
    // The second piece of two is journaled; the first one and the commit come last.
    let (expected, mut entries) = world.fragment(open, 0, &[("colour", "red")]);
    let journaled = world.log.append(world.lane(open), vec![entries.remove(1)]).await.unwrap();
    let rest = append(&world, &[other], 60).await;
    indexer.flush().await.unwrap();
    let segment = journaled.locations[0].segment;
    let made = indexer.make_room(u64::MAX).await.unwrap();
    assert!(made.segments > 0);
    let kept = |world: &World| world.log.segments().iter().any(|info| info.segment == segment);
    assert!(kept(&world), "what makes room spares its segment");
    // Its own stream's limit, the end of its retention, and a rebuild do so, too.
    world.keep_bytes(open, Duration::from_secs(1), Some(1)).await;
    indexer.sweep().await.unwrap();
    assert_eq!(indexer.make_room(u64::MAX).await.unwrap().bytes, 0);
    let (world, indexer) = reindex(world, indexer);
    indexer.make_room(u64::MAX).await.unwrap();
    assert!(kept(&world));

    world.keep_bytes(open, HOUR, None).await;
    let appended = world.log.append(world.lane(open), entries).await.unwrap();
    let [first, commit] = appended.locations[..] else { panic!("{appended:?}") };
    let whole = FragmentEntry { pieces: vec![first, journaled.locations[0]], commit, ..expected };
    for _ in ["from memory", "from disk"] {
        assert_eq!(all(&indexer, open).await.last(), Some(&whole));
        assert_eq!(search_all(&indexer, Window::ALL, "red", 9).await, std::slice::from_ref(&whole));
        indexer.flush().await.unwrap();
    }
    reads(&world, std::slice::from_ref(&whole)).await;
    // Restarted while another one is open, nothing is found twice.
    let (_, open_again) = world.fragment(other, 0, &[]);
    world.log.append(world.lane(other), open_again[1..2].to_vec()).await.unwrap();
    world.clock.advance(1000);
    let late = append(&world, &[open, other], 3).await;
    indexer.flush().await.unwrap();
    let world = world.reopen(Some(indexer));
    let indexer = world.index();
    indexer.flush().await.unwrap();
    let found = search_all(&indexer, Window::ALL, "", 9).await;
    assert_eq!(found.len(), all(&indexer, open).await.len() + all(&indexer, other).await.len());
    assert!(all(&indexer, open).await.ends_with(&late[0]) && all(&indexer, other).await.ends_with(&late[1]));
    assert!(rest[0].len() == 60);
}
