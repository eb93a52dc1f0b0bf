//! Delivery streams and checkpoints: rules, limits, and that they come back from view and log alike.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Limits, StreamId, SystemClock, Tags, Timestamp};
use catalog::{
    BufferHints, CatalogError, Checkpoint, Compression, Delivery, DeliverySource, DeliveryUpdate,
    Destination, NewDelivery, S3Target,
};
use harness::{Installation, files, name};

fn target(prefix: &str) -> S3Target {
    S3Target {
        role_arn: "arn:aws:iam::000000000000:role/delivery".into(),
        bucket_arn: "arn:aws:s3:::lake".into(),
        prefix: Some(prefix.into()),
        error_prefix: None,
        buffer: BufferHints { size_mib: 5, interval_secs: 300 },
        compression: Compression::Gzip,
        kms_key_arn: None,
        logging: None,
        file_extension: None,
        time_zone: None,
    }
}

fn new(text: &str) -> NewDelivery {
    NewDelivery {
        name: name(text),
        source: DeliverySource::DirectPut { throughput_hint: None },
        destination: Destination::S3 { target: target("canary-prefix"), backup: None },
        encrypted: false,
        tags: Tags::new(),
    }
}

fn at(delivery: &Delivery, next: u64, arrived: Timestamp) -> Checkpoint {
    Checkpoint { delivery: delivery.id, outlet: 0, source: delivery.id, shard: 0, next, arrived }
}

#[tokio::test]
async fn a_delivery_stream_from_creation_to_deletion() {
    let mut installation = Installation::new();
    installation.limits = Limits { deliveries: 2, ..Limits::default() };
    let running = installation.start();
    let catalog = &running.catalog;
    let mut changes = catalog.deliveries();
    let made = catalog.create_delivery(new("orders")).await.unwrap();
    assert_eq!(made.arn.to_string(), "arn:aws:firehose:us-east-1:000000000000:deliverystream/orders");
    assert!(running.log.keys().has_stream_key(made.id));
    assert!(changes.has_changed().unwrap());
    assert_eq!(changes.borrow_and_update().len(), 1);
    let again = catalog.create_delivery(new("orders")).await;
    assert!(matches!(again, Err(CatalogError::DeliveryExists(_))), "{again:?}");
    catalog.create_delivery(new("b")).await.unwrap();
    let more = catalog.create_delivery(new("c")).await;
    assert!(matches!(more, Err(CatalogError::TooManyDeliveries(2))), "{more:?}");
    let listed = catalog.list_deliveries(Some(&name("b")), 1, |_| true);
    assert_eq!((listed.items[0].id, listed.next), (made.id, None));

    catalog.set_checkpoint(at(&made, 7, Timestamp::from_millis(1))).await.unwrap();
    catalog.delete_delivery(made.id).await.unwrap();
    assert_eq!(catalog.delivery(&made.configuration.name), None);
    assert_eq!(catalog.checkpoint(made.id, 0, 0), None);
    assert!(!running.log.keys().has_stream_key(made.id));
    catalog.set_checkpoint(at(&made, 8, Timestamp::from_millis(1))).await.unwrap();
    assert_eq!(catalog.checkpoint(made.id, 0, 0), None, "one of a deleted stream is passed over");
    let gone = catalog.delete_delivery(made.id).await;
    assert!(matches!(gone, Err(CatalogError::NoSuchDelivery(_))), "{gone:?}");
}

#[tokio::test]
async fn checkpoints_come_back_from_view_log_and_snapshot() {
    let installation = Installation::new();
    let mut running = installation.start();
    let made = running.catalog.create_delivery(new("orders")).await.unwrap();
    for (next, lose_view) in [(1, false), (2, true), (3, false)] {
        let checkpoint = at(&made, next, Timestamp::from_millis(10 * i64::try_from(next).unwrap()));
        // Those of one outlet and shard replace one another; all are durable when they return.
        let many = (0..50).map(|shard| running.catalog.set_checkpoint(Checkpoint { shard, ..checkpoint }));
        for set in many.collect::<Vec<_>>() {
            set.await.unwrap();
        }
        if next == 3 {
            running.catalog.snapshot().await.unwrap();
        }
        running.stop();
        if lose_view {
            installation.delete_view();
        }
        for file in files(&installation.data()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(13).any(|text| text == b"canary-prefix"), "{}", file.display());
        }
        running = installation.start();
        assert_eq!(*running.catalog.delivery(&name("orders")).unwrap(), *made);
        for shard in [0, 49] {
            let expected = Some(Checkpoint { shard, ..checkpoint });
            assert_eq!(running.catalog.checkpoint(made.id, 0, shard), expected);
        }
    }
}

#[tokio::test]
async fn records_are_kept_until_every_outlet_has_delivered_them_and_for_a_day() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let backup = Some(target("raw/"));
    let destination = Destination::S3 { target: target(""), backup };
    let made: Arc<Delivery> =
        catalog.create_delivery(NewDelivery { destination, ..new("orders") }).await.unwrap();
    let now = SystemClock.now();
    let day = now - Duration::from_hours(24);
    assert_eq!(catalog.records_kept_since(StreamId(999), now), None);
    assert_eq!(catalog.records_kept_since(made.id, now), Some(day));
    catalog.set_checkpoint(at(&made, 5, now)).await.unwrap();
    assert_eq!(catalog.records_kept_since(made.id, now), Some(day), "the backup has none yet");
    let earlier = now - Duration::from_hours(1);
    catalog.set_checkpoint(Checkpoint { outlet: 1, ..at(&made, 3, earlier) }).await.unwrap();
    assert_eq!(catalog.records_kept_since(made.id, now), Some(earlier));
}

#[tokio::test]
async fn changes_come_back_and_a_new_backup_begins_where_the_destination_stands() {
    let installation = Installation::new();
    let mut running = installation.start();
    let made = running.catalog.create_delivery(new("orders")).await.unwrap();
    assert_eq!((made.version, made.updated), (1, None));
    let now = SystemClock.now();
    running.catalog.set_checkpoint(at(&made, 7, now)).await.unwrap();
    let both = Destination::S3 { target: target("new/"), backup: Some(target("raw/")) };
    let update = DeliveryUpdate::Destination { version: 1, destination: Box::new(both.clone()) };
    let changed = running.catalog.update_delivery(made.id, update.clone()).await.unwrap();
    assert_eq!((changed.version, &changed.configuration.destination), (2, &both));
    assert!(changed.updated.is_some());
    assert_eq!(running.catalog.checkpoint(made.id, 1, 0).unwrap().next, 7);
    let again = running.catalog.update_delivery(made.id, update).await;
    assert!(matches!(again, Err(CatalogError::DeliveryChanged { version: 2, .. })), "{again:?}");
    let tags = Tags::from([("team".to_owned(), "mill".to_owned())]);
    running.catalog.update_delivery(made.id, DeliveryUpdate::AddTags(tags.clone())).await.unwrap();
    let last = running.catalog.update_delivery(made.id, DeliveryUpdate::Encrypted(true)).await.unwrap();
    assert_eq!((last.version, &last.configuration.tags, last.configuration.encrypted), (2, &tags, true));
    for lose_view in [false, true] {
        running.stop();
        if lose_view {
            installation.delete_view();
        }
        running = installation.start();
        assert_eq!(*running.catalog.delivery(&name("orders")).unwrap(), *last);
    }
}
