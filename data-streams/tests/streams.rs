//! Data streams over a real log: order, numbers, restarts, crashes, retention.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use catalog::DataStreamUpdate;
use data_streams::{Passed, ReadLimits, SECONDS, SequenceNumber, Start};
use fragment_log::LogError;
use world::{ALL, HOUR, World, records, texts};

#[tokio::test]
async fn records_are_read_as_they_were_put() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 2).await;
    let placed = running.put(&stream, &records(0..40)).await;
    for shard in [0, 1] {
        let batch = running.read(&stream, shard, 0).await;
        let wanted: Vec<_> =
            placed.iter().zip(records(0..40)).filter(|(placed, _)| placed.shard == shard).collect();
        assert!(!wanted.is_empty(), "40 keys fall on both shards");
        assert_eq!(batch.records.len(), wanted.len());
        for (read, (placed, put)) in batch.records.iter().zip(wanted) {
            assert_eq!((&read.data, &read.partition_key), (&put.record.data, &put.record.partition_key));
            let sequence = SequenceNumber::new(&stream.shards[shard as usize], read.index, read.arrived);
            assert_eq!(sequence, placed.sequence);
        }
        assert_eq!((batch.next, batch.behind), (running.streams.durable(&stream, shard), Duration::ZERO));
    }
}

#[tokio::test]
async fn numbers_go_on_and_nothing_is_lost_over_a_restart_and_a_crash() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    running.put(&stream, &records(0..10)).await;
    let crashed = world.crash_image();
    running.put(&stream, &records(10..12)).await;
    running.stop();

    for (image, count) in [(crashed, 10), (world, 12)] {
        let running = image.start();
        let stream = running.stream_named("orders");
        let before = running.read(&stream, 0, 0).await;
        assert_eq!(texts(&before.records), (0..count).map(|n| format!("value {n}")).collect::<Vec<_>>());
        let placed = running.put(&stream, &records(12..13)).await;
        assert_eq!(placed[0].sequence.index, count + 1, "the index goes on");
        running.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_the_tip_sees_every_number_once_and_in_order() {
    let world = World::new();
    let running = Arc::new(world.start());
    let stream = running.stream("orders", 1).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (running, stream) = (Arc::clone(&running), Arc::clone(&stream));
            tokio::spawn(async move {
                for call in 0..25 {
                    let first = (writer * 25 + call) * 3;
                    running.put(&stream, &records(first..first + 3)).await;
                }
            })
        })
        .collect();
    let mut tip = running.streams.watch(&stream, 0);
    let (mut next, mut seen) = (1, 0);
    while seen < 600 {
        let batch = running.read(&stream, 0, next).await;
        for record in &batch.records {
            assert_eq!(record.index, seen + 1);
            seen += 1;
        }
        next = batch.next;
        if batch.records.is_empty() {
            tip.wait_for(|durable| *durable > next).await.unwrap();
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn positions_are_found_by_number_and_by_time() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    let began = running.now();
    for n in 0..20 {
        running.put(&stream, &records(n * 10..n * 10 + 10)).await;
        world.clock.advance(Duration::from_secs(10));
    }
    let position = async |start| running.streams.position(&stream, 0, start).await.unwrap();
    let check = async || {
        assert_eq!(position(Start::TrimHorizon).await, 0);
        assert_eq!(position(Start::Latest).await, 201);
        assert_eq!((position(Start::At(7)).await, position(Start::After(7)).await), (7, 8));
        let at = |secs| Start::AtTime(began + Duration::from_secs(secs));
        assert_eq!(position(at(0)).await, 1);
        assert_eq!(position(at(41)).await, 51, "the first that arrived then or later");
        assert_eq!(position(at(50)).await, 51);
        assert_eq!(position(at(191)).await, 201);
        assert_eq!(running.read(&stream, 0, 55).await.records[0].index, 55);
    };
    check().await;
    running.fill_segment().await;
    running.streams.tidy().unwrap();
    check().await;
}

#[tokio::test]
async fn limits_cut_a_read_and_the_next_one_goes_on() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    running.put(&stream, &records(0..100)).await;
    world.clock.advance(Duration::from_millis(70));
    let read = async |from, records, bytes| {
        running.streams.read(&stream, 0, from, ReadLimits { records, bytes }).await.unwrap()
    };
    let few = read(0, 7, usize::MAX).await;
    assert_eq!((few.records.len(), few.next, few.behind), (7, 8, Duration::from_millis(70)));
    let small = read(8, 1000, 60).await;
    let size: usize = small.records.iter().map(|r| r.data.len() + r.partition_key.len()).sum();
    assert!((1..=60).contains(&size) && small.next == 8 + small.records.len() as u64, "{size}");
    assert_eq!(read(8, 1000, 1).await.records.len(), 1, "one record is always given");
    assert_eq!(read(101, 1000, 1).await.next, 101);
}

#[tokio::test]
async fn what_has_expired_is_not_read_and_its_space_comes_back() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    running.put(&stream, &records(0..10)).await;
    running.fill_segment().await;
    world.clock.advance(12 * HOUR);
    running.put(&stream, &records(10..11)).await;
    world.clock.advance(13 * HOUR);
    let kept = running.read(&stream, 0, 0).await;
    assert_eq!(texts(&kept.records), ["value 10"], "a reader skips what is gone");

    running.fill_segment().await;
    world.clock.advance(25 * HOUR);
    let before = running.segments();
    let swept = running.streams.sweep().await.unwrap();
    assert!(swept.segments > 0 && running.segments() < before, "{swept:?}");
    assert!(running.read(&stream, 0, 0).await.records.is_empty());
    let index = running.streams.durable(&stream, 0);
    running.stop();

    let running = world.start();
    let stream = running.stream_named("orders");
    let placed = running.put(&stream, &records(11..12)).await;
    assert_eq!(placed[0].sequence.index, index, "and no number is given twice");
}

#[tokio::test]
async fn nothing_that_is_kept_is_removed_with_another_streams_records() {
    let world = World::new();
    let running = world.start();
    let (short, long) = (running.stream("short", 1).await, running.stream("long", 1).await);
    running.put(&short, &records(0..1)).await;
    world.clock.advance(HOUR / 2);
    running.put(&long, &records(1..2)).await;
    running.fill_segment().await;
    world.clock.advance(24 * HOUR - HOUR / 4);
    assert_eq!(running.streams.sweep().await.unwrap().segments, 0);
    assert!(running.read(&short, 0, 0).await.records.is_empty());
    assert_eq!(running.read(&long, 0, 0).await.records.len(), 1);
    running.catalog.delete_data_stream(long.id, true).await.unwrap();
    running.catalog.delete_data_stream(running.stream_named("filler").id, true).await.unwrap();
    assert!(running.streams.sweep().await.unwrap().segments > 0, "a deleted stream keeps nothing");
}

#[tokio::test]
async fn another_retention_moves_new_records_and_keeps_their_order() {
    let world = World::new();
    let running = world.start();
    let mut stream = running.stream("orders", 1).await;
    for (n, days) in [1, 7, 1, 365].into_iter().enumerate() {
        let update = DataStreamUpdate::Retention(24 * HOUR * days);
        stream = running.catalog.update_data_stream(stream.id, update).await.unwrap();
        running.put(&stream, &records(n as u64..n as u64 + 1)).await;
    }
    let check = async |running: &world::Running| {
        let stream = running.stream_named("orders");
        let found = running.read(&stream, 0, 0).await;
        assert_eq!(texts(&found.records), ["value 0", "value 1", "value 2", "value 3"]);
    };
    check(&running).await;
    running.stop();
    check(&world.start()).await;
}

#[tokio::test]
async fn a_deleted_streams_records_are_gone() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    running.put(&stream, &records(0..1)).await;
    running.catalog.delete_data_stream(stream.id, true).await.unwrap();
    let refused = running.streams.put(&stream, records(1..2)).await;
    assert!(matches!(refused[0].as_ref().unwrap_err().as_ref(), LogError::NoKey(_)), "{refused:?}");
    let again = running.stream("orders", 1).await;
    assert!(running.read(&again, 0, 0).await.records.is_empty());
    running.stop();
    let running = world.start();
    let refused = running.streams.read(&stream, 0, 0, ALL).await;
    assert!(matches!(refused, Err(LogError::NoKey(_))), "{refused:?}");
}

#[tokio::test]
async fn the_clock_may_step_back_and_arrival_does_not() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    running.put(&stream, &records(0..1)).await;
    world.clock.step_wall_ms(-5000);
    running.put(&stream, &records(1..2)).await;
    let times =
        |read: &[data_streams::ReadRecord]| read.iter().map(|r| r.arrived).collect::<Vec<Timestamp>>();
    assert!(times(&running.read(&stream, 0, 0).await.records).is_sorted());
    running.stop();
    let running = world.start();
    running.put(&stream, &records(2..3)).await;
    assert!(times(&running.read(&stream, 0, 0).await.records).is_sorted());
}

#[tokio::test]
async fn large_and_empty_records_come_back_from_disk() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    let mut put = records(0..2);
    put[0].record.data = Bytes::from(vec![7; 10 * 1024 * 1024]);
    put[1].record.data = Bytes::new();
    running.put(&stream, &put).await;
    running.stop();
    let running = world.start();
    let found = running.read(&stream, 0, 0).await;
    assert_eq!(found.records.iter().map(|r| r.data.len()).collect::<Vec<_>>(), [10 * 1024 * 1024, 0]);
    assert!(found.records[0].data.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn what_is_put_and_read_is_counted_by_shard_and_second() {
    let world = World::new();
    let running = world.start();
    let stream = running.stream("orders", 1).await;
    assert_eq!(running.streams.traffic(&stream, 0).last, None);
    let arrived = running.now();
    running.put(&stream, &records(0..3)).await;
    running.read(&stream, 0, 0).await;
    world.clock.advance(Duration::from_secs(1));
    let traffic = running.streams.traffic(&stream, 0);
    let expected = Passed { records: 3, bytes: 3 * ("key 0".len() + "value 0".len()) as u64 };
    assert_eq!((traffic.written[SECONDS - 1], traffic.read[SECONDS - 1]), (expected, expected));
    assert_eq!(traffic.last, Some(arrived));
}
