//! What was given up does not come back.

use std::sync::Arc;
use std::time::Duration;

use base::{FragmentNumber, StreamId};

use super::NOON;
use super::world::{World, range_all, search_all};
use crate::{FragmentEntry, Indexer, Window};

const HOUR: Duration = Duration::from_hours(1);

async fn append(world: &World, streams: &[StreamId], rounds: usize) -> Vec<FragmentEntry> {
    let mut appended = Vec::new();
    for _ in 0..rounds {
        for stream in streams {
            appended.push(world.append(*stream, 0, &[]).await);
        }
        world.clock.advance(1000);
    }
    appended
}

fn reindexed(world: World, indexer: Arc<Indexer>) -> (World, Arc<Indexer>) {
    let world = world.reopen(Some(indexer));
    Indexer::reindex(Arc::clone(&world.log), Arc::clone(&world.catalog), &world.options(), &mut |_| {})
        .unwrap();
    let indexer = world.index();
    (world, indexer)
}

async fn all(indexer: &Indexer, stream: StreamId) -> Vec<FragmentEntry> {
    range_all(indexer, stream, Window::ALL, 50).await
}

#[tokio::test]
async fn what_a_limit_gave_up_stays_given_up_when_it_is_raised_and_the_index_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("limited", HOUR).await.id;
    // All in the segment that is being written: nothing of it can be given back.
    append(&world, &[stream], 5).await;
    world.keep_bytes(stream, HOUR, Some(25_000)).await;
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    let kept = all(&indexer, stream).await;
    assert_eq!(kept.len(), 2);
    world.keep_bytes(stream, HOUR, None).await;
    let (world, indexer) = reindexed(world, indexer);
    assert_eq!(all(&indexer, stream).await, kept);
    assert_eq!(search_all(&indexer, Window::ALL, "", 50).await.len(), 2);
    let more = append(&world, &[stream], 3).await;
    indexer.flush().await.unwrap();
    assert_eq!(all(&indexer, stream).await, [kept, more].concat(), "what comes later is kept");
}

#[tokio::test]
async fn what_made_room_does_not_come_back_with_a_rebuilt_index() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let streams = [world.stream("a", HOUR).await.id, world.stream("b", HOUR).await.id];
    append(&world, &streams, 20).await;
    // One held fragment in each segment keeps the others' bytes there: too few of them to be punched.
    for at in (0..20).step_by(6) {
        world.hold(streams[0], &format!("h{at}"), NOON + at * 1000, NOON + at * 1000).await;
    }
    indexer.flush().await.unwrap();
    assert!(indexer.make_room(u64::MAX).await.unwrap().fragments > 15);
    let answers = [all(&indexer, streams[0]).await, all(&indexer, streams[1]).await];
    assert!(answers[0].len() > answers[1].len() && answers[1].len() < 10);
    let (world, indexer) = reindexed(world, indexer);
    assert_eq!([all(&indexer, streams[0]).await, all(&indexer, streams[1]).await], answers);
    // A stream that is gone needs no floor.
    assert!(world.catalog.floors().contains_key(&streams[1]));
    world.catalog.delete_stream(streams[1], None).await.unwrap();
    assert!(!world.catalog.floors().contains_key(&streams[1]));
    let (catalog, stream) = (Arc::clone(&world.catalog), streams[1]);
    let late = move || catalog.raise_floors(vec![(stream, FragmentNumber::MAX)]);
    tokio::task::spawn_blocking(late).await.unwrap().unwrap();
    assert!(!world.catalog.floors().contains_key(&streams[1]));
}
