//! Events: posting, finding what they tag, listing, removing, and who may.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{Answer, World};

const EVENTS: &str = "/v1/streams/door/events";

async fn post(world: &World, body: &Value) -> Answer {
    world.signed(Method::POST, EVENTS, &body.to_string()).await
}

/// The start of the `at`-th fragment of two seconds, plus some milliseconds.
fn time(at: u32, ms: u32) -> String {
    format!("2026-01-01T12:00:{:02}.{ms:03}Z", 2 * at)
}

async fn found(world: &World, q: &str) -> Vec<Value> {
    let q: String = q.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = world.get(&format!("/v1/fragments?q={q}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["fragments"].as_array().unwrap().clone()
}

fn starts(fragments: &[Value]) -> Vec<&str> {
    fragments.iter().map(|one| one["producer_timestamp"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_event_is_posted_found_listed_and_removed() {
    let world = World::with(4).await;
    world.signed(Method::PUT, "/v1/streams/door/labels", r#"{"site": "north"}"#).await;
    let body = json!({ "start": time(1, 500), "end": time(2, 100), "tags": { "label": "person", "zone": "Gate 7" } });
    let posted = post(&world, &body).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.text());
    let event = posted.json();
    assert_eq!(event["tags"], body["tags"]);
    assert_eq!(event["posted_by"], json!(world.root.access_key_id));
    for q in [
        "tags.label:\"person\"",
        "tags.zone:\"gate 7\" AND labels.site:north",
        "\"gate 7\"",
        "NOT NOT person",
    ] {
        let hits = found(&world, q).await;
        assert_eq!(starts(&hits), [time(1, 0), time(2, 0)], "{q}");
        assert_eq!(hits[0]["tags"], body["tags"], "{q}");
    }
    assert!(found(&world, "tags.label:\"person\" AND labels.site:south").await.is_empty());
    let again = json!({ "start": time(2, 0), "tags": { "label": "car" } });
    assert_eq!(post(&world, &again).await.json()["end"], json!(time(2, 0)), "an event may be a moment");
    let both = &found(&world, "tags.label:car").await[0]["tags"];
    assert_eq!(both["label"], "person, car");

    let listed = world.get(&format!("{EVENTS}?start={}&end={}", time(2, 50), time(3, 0))).await.json();
    assert_eq!(listed["events"], json!([event]));
    assert_eq!(
        world.get(&format!("{EVENTS}?q=tags.label:car")).await.json()["events"][0]["tags"],
        again["tags"]
    );
    let first = world.get(&format!("{EVENTS}?limit=1")).await.json();
    let next = first["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("{EVENTS}?cursor={next}&limit=1")).await.json();
    assert_eq!((&first["events"][0], &second["events"][0]["tags"]), (&event, &again["tags"]));
    assert_eq!(second["next_cursor"], Value::Null);

    let path = format!("{EVENTS}/{}", event["id"].as_str().unwrap());
    assert_eq!(world.signed(Method::DELETE, &path, "").await.status, StatusCode::NO_CONTENT);
    let gone = world.signed(Method::DELETE, &path, "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.refusal().contains("no event"), "{}", gone.refusal());
    assert!(found(&world, "tags.label:person").await.is_empty());
    assert_eq!(found(&world, "tags.label:car").await[0]["tags"], again["tags"]);
}

#[tokio::test]
async fn the_timeline_has_the_events_of_its_span() {
    let world = World::with(3).await;
    for (at, label) in [(0, "dog"), (1, "cat"), (2, "dog")] {
        post(&world, &json!({ "start": time(at, 500), "end": time(at, 900), "tags": { "label": label } }))
            .await;
    }
    let path = format!("/v1/streams/door/timeline?buckets=2&end={}&start={}", time(2, 0), time(0, 900));
    let told = world.get(&path).await.json();
    let labels = |told: &Value| -> Vec<Value> {
        told["events"].as_array().unwrap().iter().map(|event| event["tags"]["label"].clone()).collect()
    };
    assert_eq!((labels(&told), &told["more_events"]), (vec![json!("dog"), json!("cat")], &json!(false)));
    assert_eq!(labels(&world.get(&format!("{path}&q=cat")).await.json()), ["cat"]);
}

#[tokio::test]
async fn what_is_no_event_is_refused_by_name() {
    let world = World::with(1).await;
    let good = json!({ "label": "x" });
    for (body, why) in [
        (json!({ "tags": good }), "start: is needed"),
        (json!({ "start": time(0, 0) }), "tags: an event has 1 to 10"),
        (json!({ "start": time(1, 0), "end": time(0, 0), "tags": good }), "end: is before start"),
        (
            json!({ "start": 1_767_268_800, "end": 1_767_268_800 + 90_000, "tags": good }),
            "end: an event is at most",
        ),
        (json!({ "start": "2027-01-01T00:00:00Z", "tags": good }), "start: lies more"),
        (json!({ "start": "noon", "tags": good }), "the body"),
        (json!({ "start": time(0, 0), "tags": { "label": 5 } }), "the body"),
        (json!({ "start": time(0, 0), "tags": good, "camera": "x" }), "camera"),
    ] {
        let answer = post(&world, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.refusal().contains(why), "{body}: {}", answer.refusal());
    }
    let absent = "/v1/streams/absent/events";
    let body = json!({ "start": time(0, 0), "tags": good }).to_string();
    assert_eq!(world.signed(Method::POST, absent, &body).await.status, StatusCode::NOT_FOUND);
    world.signed(Method::PUT, "/v1/streams/brief", r#"{"retention_hours": 0}"#).await;
    let kept_nowhere = world.signed(Method::POST, "/v1/streams/brief/events", &body).await;
    assert_eq!(kept_nowhere.status, StatusCode::CONFLICT, "{}", kept_nowhere.text());
    for (path, why) in
        [("?end=1&start=2", "end"), ("?q=label:x", "q:"), ("?cursor=x", "cursor"), ("?x=1", "x")]
    {
        let answer = world.get(&format!("{EVENTS}{path}")).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.refusal().contains(why), "{path}");
    }
    assert_eq!(world.signed(Method::DELETE, &format!("{EVENTS}/x"), "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_publisher_posts_and_a_player_lists_and_neither_removes() {
    let world = World::with(1).await;
    let token = async |allow: &str| {
        let body = json!({ "stream": "door", "allow": [allow] }).to_string();
        let made = world.signed(Method::POST, "/v1/devices", &body).await;
        format!("Bearer {}", made.json()["token"].as_str().unwrap())
    };
    let (publisher, player) = (token("publish").await, token("play").await);
    let body = json!({ "start": time(0, 0), "tags": { "label": "x" } }).to_string();
    let as_device = async |method: Method, path: &str, token: &str| {
        let body = if method == Method::POST { body.as_str() } else { "" };
        world.device(method, path, token, body).await.status
    };
    assert_eq!(as_device(Method::POST, EVENTS, &publisher).await, StatusCode::CREATED);
    assert_eq!(as_device(Method::GET, EVENTS, &publisher).await, StatusCode::FORBIDDEN);
    assert_eq!(as_device(Method::POST, EVENTS, &player).await, StatusCode::FORBIDDEN);
    assert_eq!(as_device(Method::GET, EVENTS, &player).await, StatusCode::OK);
    let event = world.get(EVENTS).await.json()["events"][0].clone();
    assert!(event["posted_by"].as_str().unwrap().starts_with("dev"), "{event}");
    let path = format!("{EVENTS}/{}", event["id"].as_str().unwrap());
    for who in [&publisher, &player] {
        assert_eq!(as_device(Method::DELETE, &path, who).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.plain(Method::POST, EVENTS, &[]).await.status, StatusCode::FORBIDDEN);
}
