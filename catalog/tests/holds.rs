//! Evidence holds: who may be told what, and that nothing is forgotten.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::time::Duration;

use base::{StreamId, Timestamp};
use catalog::{Catalog, CatalogError, NewHold, NewStream, Principal};
use harness::{Installation, name};

fn hold(id: &str, start: i64, end: i64) -> NewHold {
    let at = Timestamp::from_millis;
    NewHold { id: id.into(), start: at(start), end: at(end), reason: "case 12/7".into() }
}

async fn filled(catalog: &Catalog) -> (StreamId, Principal, Principal) {
    let stream = catalog.create_stream(NewStream::new(name("door"), Duration::from_hours(1))).await.unwrap();
    let keys = [
        catalog.create_access_key(None, None).await.unwrap(),
        catalog.create_access_key(None, None).await.unwrap(),
    ];
    let [first, second] = keys.map(Principal::AccessKey);
    (stream.id, first, second)
}

#[tokio::test]
async fn a_hold_tells_who_set_and_who_cleared_it() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let (stream, first, second) = filled(catalog).await;
    let set = catalog.set_hold(stream, hold("a", 1, 2), &first).await.unwrap();
    assert!(set.stands() && set.set_by == first.name());
    let again = catalog.set_hold(stream, hold("a", 1, 2), &second).await.unwrap();
    assert_eq!(again, set, "asking twice changes nothing");
    let cleared = catalog.clear_hold(stream, "a", &second).await.unwrap();
    assert_eq!(cleared.set_by, first.name());
    assert_eq!(cleared.cleared.as_ref().unwrap().by, second.name());
    assert_eq!(catalog.clear_hold(stream, "a", &first).await.unwrap(), cleared);
    let reused = catalog.set_hold(stream, hold("a", 1, 2), &first).await;
    assert!(matches!(reused, Err(CatalogError::HoldExists(_))), "an id is given once: {reused:?}");
    let absent = catalog.clear_hold(stream, "b", &first).await;
    assert!(matches!(absent, Err(CatalogError::NoSuchHold(_))), "{absent:?}");
    assert_eq!(catalog.holds(stream), std::slice::from_ref(&cleared));
    running.stop();
    for _ in 0..2 {
        let running = installation.start();
        assert_eq!(running.catalog.holds(stream), std::slice::from_ref(&cleared));
        running.stop();
        installation.delete_view();
    }
}

#[tokio::test]
async fn a_held_stream_is_not_deleted() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let (stream, by, _) = filled(catalog).await;
    catalog.set_hold(stream, hold("a", 1, 2), &by).await.unwrap();
    let refused = catalog.delete_stream(stream, None).await;
    assert!(matches!(&refused, Err(CatalogError::Held(ids)) if ids == "a"), "{refused:?}");
    assert!(running.log.keys().has_stream_key(stream));
    catalog.clear_hold(stream, "a", &by).await.unwrap();
    catalog.delete_stream(stream, None).await.unwrap();
    let told = catalog.holds(stream);
    assert!(matches!(&told[..], [hold] if hold.cleared.is_some()), "who held it is not forgotten: {told:?}");
    let gone = catalog.set_hold(stream, hold("b", 1, 2), &by).await;
    assert!(matches!(gone, Err(CatalogError::NoSuchStream(_))), "{gone:?}");
    running.stop();
}

#[tokio::test]
async fn as_many_stand_as_may() {
    let installation = Installation::new();
    let running = installation.start();
    let (stream, by, _) = filled(&running.catalog).await;
    for n in 0..100 {
        running.catalog.set_hold(stream, hold(&n.to_string(), n, n), &by).await.unwrap();
    }
    let more = running.catalog.set_hold(stream, hold("more", 1, 2), &by).await;
    assert!(matches!(more, Err(CatalogError::TooManyHolds(100))), "{more:?}");
    running.catalog.clear_hold(stream, "7", &by).await.unwrap();
    running.catalog.set_hold(stream, hold("more", 1, 2), &by).await.unwrap();
    running.stop();
}
