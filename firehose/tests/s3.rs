//! Records to an S3 store: names, hints, backups, and each record once whatever fails.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use catalog::{CatalogError, DeliverySource, DeliveryUpdate, Destination};
use world::{World, numbers, target, to_s3};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_has_the_name_that_aws_gives_it_and_moves_the_checkpoint() {
    let world = World::new();
    let running = world.start();
    let made = running.delivery("orders", to_s3(Some("y=!{timestamp:yyyy}/"), 0)).await;
    running.put(&made.records(), 0..3).await;
    running.until("an object", || running.deliveries.status(&made)[0].records == 3).await;
    let names = world.store.names();
    let (name, uuid) = names[0].rsplit_once("-12-00-00-").unwrap();
    assert_eq!(name, "y=2026/orders-1-2026-01-01");
    assert!(uuid.ends_with(".gz") && uuid.len() == 39, "{uuid}");
    assert_eq!(world.store.texts(), ["<0><1><2>"]);
    let checkpoint = running.catalog.checkpoint(made.id, 0, 0).unwrap();
    assert_eq!((checkpoint.next, checkpoint.source), (4, made.id));
    running.stop().await;
    // Nothing is delivered once more.
    let running = world.start();
    running.put(&made.records(), 3..4).await;
    running.until("an object", || world.store.names().len() == 2).await;
    assert_eq!(numbers(&world.store.texts()), [0, 1, 2, 3]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gathered_goes_by_size_or_by_age() {
    let world = World::new();
    let running = world.start();
    let made = running.delivery("orders", to_s3(None, 60)).await;
    running.put(&made.records(), 0..1).await;
    running.until("waiting", || running.deliveries.status(&made)[0].waiting_since.is_some()).await;
    assert!(world.store.names().is_empty(), "neither full nor old");
    // A little over the hint of 1 MiB, in one call.
    running.put(&made.records(), 1..150_000).await;
    running.until("the full buffer", || !world.store.names().is_empty()).await;
    world.clock.advance(Duration::from_secs(61));
    running.put(&made.records(), 150_000..150_001).await;
    running.until("the rest", || running.deliveries.status(&made)[0].records == 150_001).await;
    assert_eq!(numbers(&world.store.texts()), (0..150_001).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_gets_every_record_on_its_own() {
    let world = World::new();
    let running = world.start();
    let backup = Some(target(Some("raw/"), 0));
    let made = running.delivery("orders", Destination::S3 { target: target(Some("out/"), 0), backup }).await;
    running.put(&made.records(), 0..5).await;
    let both = || running.deliveries.status(&made).iter().all(|outlet| outlet.records == 5);
    running.until("both", both).await;
    for prefix in ["raw/", "out/"] {
        let texts: BTreeMap<_, _> = world.store.names().into_iter().zip(world.store.texts()).collect();
        let of_prefix: Vec<String> =
            texts.into_iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, text)| text).collect();
        assert_eq!(numbers(&of_prefix), [0, 1, 2, 3, 4], "{prefix}");
    }
    running.stop().await;
}

/// A crash may come before the store has an object, between that and the checkpoint, and after it; the store may
/// take an object and say that it did not. Records come meanwhile, so that what is repeated is not the same.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_and_a_flapping_store_leave_every_record_once() {
    let mut world = World::new();
    *world.store.fate.lock().unwrap() =
        Some(Box::new(|number| [(true, true), (false, false), (true, false)][(number % 3) as usize]));
    let running = world.start();
    let stream = running.data_stream("orders", 2).await;
    let source = DeliverySource::Stream {
        arn: stream.arn.to_string(),
        role_arn: String::new(),
        stream: stream.id,
        start: BTreeMap::new(),
    };
    let made = running.delivery_from("copies", source, to_s3(None, 0)).await;
    let mut last = Some(running);
    for round in 0..12 {
        let running = last.take().unwrap();
        running.put(&stream, round * 20..round * 20 + 10).await;
        let puts = *world.store.puts.lock().unwrap();
        running.until("an attempt", || *world.store.puts.lock().unwrap() > puts).await;
        running.put(&stream, round * 20 + 10..round * 20 + 20).await;
        // The copy is what the disk has. It takes its time, in which a checkpoint may still be written, and no second
        // object after it.
        world.store.cut_off.store(true, Ordering::SeqCst);
        let image = world.crash_image();
        running.stop().await;
        world.store.cut_off.store(false, Ordering::SeqCst);
        world = image;
        last = Some(world.start());
    }
    let running = last.unwrap();
    let all: Vec<u64> = (0..240).collect();
    running.until("everything", || numbers(&world.store.texts()).len() >= all.len()).await;
    let done = || {
        (0..2).all(|shard| {
            let checkpoint = running.catalog.checkpoint(made.id, 0, shard);
            checkpoint.is_some_and(|known| known.next >= running.streams.durable(&stream, shard))
        })
    };
    running.until("the last checkpoints", done).await;
    assert_eq!(numbers(&world.store.texts()), all, "each of them once");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_undelivered_is_told_and_the_rest_goes_on() {
    let world = World::new();
    *world.store.fate.lock().unwrap() = Some(Box::new(|_| (false, false)));
    let running = world.start();
    let made = running.delivery("orders", to_s3(None, 0)).await;
    running.stop().await;
    // While nothing is delivered.
    let running = world.start();
    let stream = made.records();
    running.put(&stream, 0..3).await;
    running.until("a failure", || running.deliveries.status(&made)[0].failures > 0).await;
    let error = running.deliveries.status(&made)[0].last_error.clone().unwrap();
    assert!(error.text.starts_with("S3.InternalError"), "{}", error.text);
    running.stop().await;
    world.clock.advance(Duration::from_hours(25));
    *world.store.fate.lock().unwrap() = None;
    let running = world.start();
    running.put(&stream, 3..5).await;
    running.until("the rest", || running.deliveries.status(&made)[0].records == 2).await;
    assert_eq!(running.deliveries.status(&made)[0].expired_records, 3);
    assert_eq!(numbers(&world.store.texts()), [3, 4]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_deleted_is_told_and_found_again() {
    let world = World::new();
    let running = world.start();
    let stream = running.data_stream("orders", 1).await;
    let source = |start: BTreeMap<u32, u64>| DeliverySource::Stream {
        arn: stream.arn.to_string(),
        role_arn: String::new(),
        stream: stream.id,
        start,
    };
    running.put(&stream, 0..2).await;
    let start = BTreeMap::from([(0, running.streams.durable(&stream, 0))]);
    let made = running.delivery_from("copies", source(start), to_s3(None, 0)).await;
    running.put(&stream, 2..4).await;
    running.until("what came since", || running.deliveries.status(&made)[0].records == 2).await;
    assert_eq!(numbers(&world.store.texts()), [2, 3], "from the creation on");
    running.catalog.delete_data_stream(stream.id, false).await.unwrap();
    running.streams.sweep().await.unwrap();
    let told = || running.deliveries.status(&made)[0].last_error.is_some();
    running.until("the error", told).await;
    let again = running.data_stream("orders", 1).await;
    running.put(&again, 4..6).await;
    running.until("the new one's", || running.deliveries.status(&made)[0].records == 4).await;
    assert_eq!(numbers(&world.store.texts()), [2, 3, 4, 5]);
    running.catalog.delete_delivery(made.id).await.unwrap();
    running.put(&again, 6..8).await;
    assert!(running.catalog.delivery_by_id(made.id).is_none());
    running.stop().await;
}

/// What is on its way is stored once; what waits goes the new way at once, whatever the old one would have waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_destination_takes_over_where_the_old_one_stood() {
    let world = World::new();
    let running = world.start();
    let made = running.delivery("orders", to_s3(Some("old/"), 0)).await;
    running.put(&made.records(), 0..3).await;
    running.until("the first", || running.deliveries.status(&made)[0].records == 3).await;
    let change =
        |version, destination| DeliveryUpdate::Destination { version, destination: Box::new(destination) };
    let slow = running.catalog.update_delivery(made.id, change(1, to_s3(Some("slow/"), 900))).await.unwrap();
    running.put(&made.records(), 3..5).await;
    running.until("waiting", || running.deliveries.status(&made)[0].waiting_since.is_some()).await;
    let late = running.catalog.update_delivery(made.id, change(1, to_s3(None, 0))).await;
    assert!(matches!(late, Err(CatalogError::DeliveryChanged { version: 2, .. })), "{late:?}");
    let backup = Some(target(Some("raw/"), 0));
    let both = Destination::S3 { target: target(Some("new/"), 0), backup };
    running.catalog.update_delivery(made.id, change(slow.version, both)).await.unwrap();
    running.until("the rest", || running.deliveries.status(&made)[0].records == 5).await;
    let of = |prefix: &str| {
        let names = world.store.names().into_iter().zip(world.store.texts());
        numbers(&names.filter(|(name, _)| name.starts_with(prefix)).map(|(_, text)| text).collect::<Vec<_>>())
    };
    running.until("the copies", || of("raw/") == [3, 4]).await;
    assert_eq!((of("old/"), of("slow/"), of("new/")), (vec![0, 1, 2], vec![], vec![3, 4]));
    assert!(world.store.names().iter().any(|name| name.starts_with("new/") && name.contains("/orders-3-")));
    running.stop().await;
}

/// A store that takes nothing is left for another one in the middle of its retries.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_fails_can_be_changed() {
    let world = World::new();
    *world.store.fate.lock().unwrap() = Some(Box::new(|_| (false, false)));
    let running = world.start();
    let made = running.delivery("orders", to_s3(Some("old/"), 0)).await;
    running.put(&made.records(), 0..3).await;
    running.until("failures", || running.deliveries.status(&made)[0].failures >= 3).await;
    *world.store.fate.lock().unwrap() = None;
    let destination = Box::new(to_s3(Some("new/"), 0));
    let update = DeliveryUpdate::Destination { version: 1, destination };
    running.catalog.update_delivery(made.id, update).await.unwrap();
    running.until("delivery", || running.deliveries.status(&made)[0].records == 3).await;
    assert_eq!(numbers(&world.store.texts()), [0, 1, 2]);
    running.stop().await;
}
