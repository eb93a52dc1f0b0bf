//! Sources: who is told of them, and that they outlive a restart but not their stream.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::time::Duration;

use base::{StreamId, TimestampSource};
use catalog::{CatalogError, NewSource, NewStream, Secret, SourceTransport};
use harness::{DEVICE_RETENTION, Installation, name};

fn source(url: &str) -> NewSource {
    let (transport, timestamps) = (SourceTransport::Tcp, TimestampSource::Camera);
    NewSource { url: Secret::new(url), transport, timestamps }
}

#[tokio::test]
async fn every_change_is_told_and_an_equal_one_is_none() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let mut told = catalog.sources();
    let stream = catalog.stream_to_pull(&name("door")).await.unwrap();
    assert_eq!(stream.retention, DEVICE_RETENTION);
    assert!(!told.has_changed().unwrap(), "a stream is no source");

    let set = catalog.set_source(stream.id, source("rtsp://192.0.2.1/a")).await.unwrap();
    assert!(told.has_changed().unwrap());
    assert_eq!(told.borrow_and_update().get(&stream.id), Some(&set));
    assert_eq!(catalog.set_source(stream.id, source("rtsp://192.0.2.1/a")).await.unwrap(), set);
    assert!(!told.has_changed().unwrap(), "the same again");
    catalog.set_source(stream.id, source("rtsp://192.0.2.1/b")).await.unwrap();
    assert_eq!(told.borrow_and_update()[&stream.id].url.expose(), "rtsp://192.0.2.1/b");

    catalog.delete_stream(stream.id, None).await.unwrap();
    assert!(told.borrow_and_update().is_empty(), "a source goes with its stream");
    running.stop();
}

#[tokio::test]
async fn a_source_outlives_restarts_with_and_without_the_view() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let kept = catalog.stream_to_pull(&name("kept")).await.unwrap().id;
    let removed = catalog.stream_to_pull(&name("removed")).await.unwrap().id;
    for id in [kept, removed] {
        catalog.set_source(id, source("rtsp://me:pass@192.0.2.1/")).await.unwrap();
    }
    catalog.remove_source(removed).await.unwrap();
    let again = catalog.remove_source(removed).await;
    assert!(matches!(again, Err(CatalogError::NoSuchSource(_))), "{again:?}");
    running.stop();
    for _ in 0..2 {
        let running = installation.start();
        let found = running.catalog.source(kept).unwrap();
        assert_eq!(found.url.expose(), "rtsp://me:pass@192.0.2.1/");
        assert!(!format!("{found:?}").contains("pass"), "{found:?}");
        assert_eq!(running.catalog.source(removed), None);
        running.stop();
        installation.delete_view();
    }
}

#[tokio::test]
async fn what_cannot_be_set_is_refused() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.create_stream(NewStream::new(name("door"), Duration::ZERO)).await.unwrap().id;
    for url in [String::new(), "x".repeat(4097)] {
        let refused = catalog.set_source(stream, source(&url)).await;
        assert!(matches!(refused, Err(CatalogError::Invalid { what: "url", .. })), "{refused:?}");
    }
    let absent = catalog.set_source(StreamId(99), source("rtsp://192.0.2.1/")).await;
    assert!(matches!(absent, Err(CatalogError::NoSuchStream(_))), "{absent:?}");
    running.stop();
}
