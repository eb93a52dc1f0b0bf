//! Data streams and consumers: rules, limits, and that they come back from view and log alike.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::time::Duration;

use base::{Limits, Tags};
use catalog::{CatalogError, DataStreamUpdate, NewDataStream, NewStream, StreamMode};
use harness::{Installation, name};

const DAY: Duration = Duration::from_hours(24);

fn new(text: &str, shards: u32) -> NewDataStream {
    NewDataStream {
        name: name(text),
        shards,
        retention: DAY,
        mode: StreamMode::Provisioned,
        tags: Tags::new(),
        max_record_kib: 1024,
    }
}

#[tokio::test]
async fn a_data_stream_from_creation_to_deletion() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let video = catalog.create_stream(NewStream::new(name("orders"), DAY)).await.unwrap();
    let made = catalog.create_data_stream(new("orders", 3)).await.unwrap();
    assert_ne!(made.id, video.id, "one row of numbers");
    assert_eq!(made.arn.to_string(), "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!((made.shards.len(), made.shards[2].end), (3, u128::MAX));
    assert_eq!(catalog.data_stream(&made.name).unwrap().id, made.id);
    assert_eq!(catalog.data_stream_by_arn(&made.arn).unwrap().id, made.id);
    assert!(running.log.keys().has_stream_key(made.id));
    let again = catalog.create_data_stream(new("orders", 1)).await;
    assert!(matches!(again, Err(CatalogError::StreamExists(_))), "{again:?}");

    catalog.update_data_stream(made.id, DataStreamUpdate::Retention(2 * DAY)).await.unwrap();
    let changed = catalog.data_stream_by_id(made.id).unwrap();
    assert_eq!(changed.retention, 2 * DAY);

    catalog.delete_data_stream(made.id, false).await.unwrap();
    assert_eq!(catalog.data_stream(&made.name), None);
    assert!(!running.log.keys().has_stream_key(made.id));
    assert!(catalog.stream(&video.name).is_some(), "the video stream of the same name stays");
    assert!(catalog.create_data_stream(new("orders", 1)).await.unwrap().id > made.id);
}

#[tokio::test]
async fn limits_hold_before_anything_is_made() {
    let mut installation = Installation::new();
    installation.limits = Limits { streams: 3, shards: 4, consumers: 1, ..Limits::default() };
    let running = installation.start();
    let catalog = &running.catalog;
    let first = catalog.create_data_stream(new("a", 3)).await.unwrap();
    for shards in [0, 2, u32::MAX] {
        let refused = catalog.create_data_stream(new("b", shards)).await;
        assert!(matches!(refused, Err(CatalogError::TooManyShards { open: 3, limit: 4, .. })), "{refused:?}");
    }
    for bad in ["fragments.door", &"x".repeat(129)] {
        let refused = catalog.create_data_stream(new(bad, 1)).await;
        assert!(matches!(refused, Err(CatalogError::Invalid { .. })), "{refused:?}");
    }
    let consumer = |name: &str| catalog.register_consumer(first.id, name.into(), Tags::new());
    consumer("one").await.unwrap();
    let refused = consumer("one").await;
    assert!(matches!(refused, Err(CatalogError::ConsumerExists(_))), "{refused:?}");
    let refused = consumer("two").await;
    assert!(matches!(refused, Err(CatalogError::TooManyConsumers(1))), "{refused:?}");
    let refused = catalog.delete_data_stream(first.id, false).await;
    assert!(matches!(refused, Err(CatalogError::HasConsumers(_))), "{refused:?}");
    catalog.delete_data_stream(first.id, true).await.unwrap();
    assert!(catalog.consumers(first.id).is_empty());
    let refused = catalog.deregister_consumer(first.id, "one".into()).await;
    assert!(matches!(refused, Err(CatalogError::NoSuchConsumer(_))), "{refused:?}");
}

#[tokio::test]
async fn everything_comes_back_with_and_without_the_view() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.create_data_stream(new("orders", 2)).await.unwrap();
    let video = catalog.create_stream(NewStream::new(name("door"), DAY)).await.unwrap();
    let tags = Tags::from([("team".to_owned(), "a".to_owned())]);
    catalog.update_data_stream(stream.id, DataStreamUpdate::AddTags(tags.clone())).await.unwrap();
    for (id, consumer) in [(stream.id, "one"), (stream.id, "gone"), (video.id, "two")] {
        catalog.register_consumer(id, consumer.into(), tags.clone()).await.unwrap();
    }
    catalog.deregister_consumer(stream.id, "gone".into()).await.unwrap();
    catalog.tag_consumer(stream.id, "one".into(), Tags::new(), vec!["team".into()]).await.unwrap();
    let gone = catalog.create_data_stream(new("gone", 1)).await.unwrap();
    catalog.delete_data_stream(gone.id, true).await.unwrap();
    let before = running.answers();
    assert_eq!(before.consumers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    running.stop();
    for (without_view, snapshot) in [(false, false), (true, true), (true, false)] {
        if without_view {
            installation.delete_view();
        }
        let running = installation.start();
        assert_eq!(running.answers(), before);
        let made = running.catalog.create_data_stream(new("x", 1)).await.unwrap();
        assert!(made.id > gone.id);
        running.catalog.delete_data_stream(made.id, true).await.unwrap();
        if snapshot {
            running.catalog.snapshot().await.unwrap();
        }
        running.stop();
    }
}
