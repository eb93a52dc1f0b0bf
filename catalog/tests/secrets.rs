//! Secrets and the edge configurations that name them: where their URLs go, what outlives a restart, and
//! that no file shows them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use base::StreamId;
use catalog::{Catalog, CatalogError, EdgeSchedule, NewEdge, NewSource, Secret, SourceTransport};
use harness::{Installation, files, name};

const FIRST: &str = "rtsp://admin:hunter2@192.0.2.1/a";
const SECOND: &str = "rtsp://admin:hunter3@192.0.2.1/a";

fn edge(secret_arn: &str) -> NewEdge {
    NewEdge {
        hub_device_arn: "arn:aws:iot:us-east-1:000000000000:thing/hub".into(),
        secret_arn: secret_arn.into(),
        schedule: Some(EdgeSchedule { expression: "0 0 9-17 ? * * *".into(), duration_secs: 600 }),
        retention_hours: None,
        delete_after_upload: Some(true),
    }
}

async fn arn(catalog: &Catalog, name: &str, url: &str) -> String {
    catalog.set_media_secret(name.into(), Secret::new(url)).await.unwrap().arn.clone()
}

fn url(catalog: &Catalog, stream: StreamId) -> String {
    catalog.source(stream).unwrap().url.expose().to_owned()
}

#[tokio::test]
async fn a_source_follows_the_secret_that_its_edge_configuration_names() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.stream_to_pull(&name("door")).await.unwrap().id;
    let door = arn(catalog, "door", FIRST).await;
    assert!(door.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:door-"), "{door}");
    assert_eq!(arn(catalog, "door", FIRST).await, door, "the same again");

    let set = catalog.set_edge(stream, edge(&door)).await.unwrap();
    assert_eq!((set.url.expose(), set.edge.as_ref().unwrap().secret_arn.as_str()), (FIRST, door.as_str()));
    let mut told = catalog.sources();
    told.borrow_and_update();
    assert_eq!(catalog.set_edge(stream, edge(&door)).await.unwrap(), set, "the same again changes nothing");
    assert!(!told.has_changed().unwrap());

    assert_eq!(arn(catalog, "door", SECOND).await, door, "another URL, the same ARN");
    assert!(told.has_changed().unwrap(), "pullers are told");
    assert_eq!(url(catalog, stream), SECOND);

    let refused = catalog.remove_media_secret("door").await;
    assert!(matches!(refused, Err(CatalogError::SecretInUse { .. })), "{refused:?}");
    catalog.remove_edge(stream).await.unwrap();
    assert_eq!(catalog.source(stream), None);
    catalog.remove_media_secret("door").await.unwrap();
    assert_eq!(catalog.media_secret_by_arn(&door), None);
    let later = arn(catalog, "door", FIRST).await;
    assert_ne!(later, door, "a later secret of the same name is another one");
    let refused = catalog.set_edge(stream, edge(&door)).await;
    assert!(matches!(refused, Err(CatalogError::NoSuchSecret(_))), "{refused:?}");
    running.stop();
}

#[tokio::test]
async fn an_edge_configuration_and_a_plain_source_replace_each_other() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.stream_to_pull(&name("door")).await.unwrap().id;
    let door = arn(catalog, "door", FIRST).await;
    let none = catalog.remove_edge(stream).await;
    assert!(matches!(none, Err(CatalogError::NoSuchEdge(_))), "{none:?}");
    let edge = catalog.set_edge(stream, edge(&door)).await.unwrap().edge.clone();
    assert!(edge.is_some());
    let plain = NewSource {
        url: Secret::new(FIRST),
        transport: SourceTransport::Auto,
        timestamps: base::TimestampSource::Auto,
    };
    assert_eq!(catalog.set_source(stream, plain).await.unwrap().edge, None, "also with the same URL");
    let none = catalog.remove_edge(stream).await;
    assert!(matches!(none, Err(CatalogError::NoSuchEdge(_))), "{none:?}");
    arn(catalog, "door", SECOND).await;
    assert_eq!(url(catalog, stream), FIRST, "a source of its own does not follow");
    running.stop();
}

#[tokio::test]
async fn secrets_outlive_restarts_key_rotation_and_snapshots_and_stand_in_no_file() {
    let installation = Installation::new();
    let running = installation.start();
    let stream = running.catalog.stream_to_pull(&name("door")).await.unwrap().id;
    let door = arn(&running.catalog, "door", FIRST).await;
    arn(&running.catalog, "gone", FIRST).await;
    running.catalog.remove_media_secret("gone").await.unwrap();
    running.catalog.set_edge(stream, edge(&door)).await.unwrap();
    arn(&running.catalog, "door", SECOND).await;
    running.log.keys().rotate_table_key().unwrap();
    let before = running.answers();
    running.stop();
    for step in 0..4 {
        let running = installation.start();
        assert_eq!(running.answers(), before, "start {step}");
        assert_eq!(url(&running.catalog, stream), SECOND);
        assert!(!format!("{before:?}").contains("hunter"));
        if step == 1 {
            running.catalog.snapshot().await.unwrap();
        }
        running.stop();
        for file in files(&installation.data()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|six| six == b"hunter"), "{} shows it", file.display());
        }
        if step != 1 {
            installation.delete_view();
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_refused() {
    let installation = Installation::new();
    let running = installation.start();
    for (name, url) in [("", FIRST), ("a b", FIRST), ("door", "")] {
        let refused = running.catalog.set_media_secret(name.into(), Secret::new(url)).await;
        assert!(matches!(refused, Err(CatalogError::Invalid { .. })), "{refused:?}");
    }
    let refused = running.catalog.remove_media_secret("door").await;
    assert!(matches!(refused, Err(CatalogError::NoSuchSecret(_))), "{refused:?}");
    running.stop();
}
