//! Retention and evidence holds.

use base::Timestamp;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

const HOLD: &str = "/v1/streams/door/holds/case-12";

async fn fragments(world: &World) -> Vec<Value> {
    world.get("/v1/fragments?stream=door").await.json()["fragments"].as_array().unwrap().clone()
}

fn time(fragment: &Value) -> Timestamp {
    Timestamp::parse(fragment["producer_timestamp"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_retention_is_set_shown_and_followed_at_once() {
    let world = World::with(10).await;
    let path = "/v1/streams/door/retention";
    assert_eq!(world.get(path).await.json(), json!({ "hours": 240, "bytes": null }));
    let all = fragments(&world).await;
    let size: u64 = all.iter().map(|fragment| fragment["size_bytes"].as_u64().unwrap()).sum();
    let wanted = json!({ "hours": 48, "bytes": size / 2 });
    world.app.indexer.flush().await.unwrap();
    let told = world.signed(Method::PUT, path, &wanted.to_string()).await;
    assert_eq!((told.status, told.json()), (StatusCode::OK, wanted.clone()));
    let kept = fragments(&world).await;
    assert!((3..=5).contains(&kept.len()) && all.ends_with(&kept), "{} of {}", kept.len(), all.len());
    let stream = world.get("/v1/streams/door").await.json();
    assert_eq!((&stream["retention_hours"], &stream["retention_bytes"]), (&json!(48), &wanted["bytes"]));
    world.signed(Method::PUT, path, r#"{"hours": 240}"#).await;
    assert_eq!(fragments(&world).await, kept, "raising it keeps what is there");
    for wrong in [r#"{"hours": 87601}"#, r#"{"hours": 1, "bytes": 0}"#, r#"{"bytes": 5}"#, r#"{"hours": -1}"#]
    {
        assert_eq!(world.signed(Method::PUT, path, wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_held_outlives_its_retention() {
    let world = World::with(10).await;
    let all = fragments(&world).await;
    let hold = json!({ "start": time(&all[3]), "end": time(&all[4]), "reason": "case 12" }).to_string();
    let set = world.signed(Method::PUT, HOLD, &hold).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    assert_eq!(set.json()["set_by"], world.root.access_key_id.as_str());
    world.clock.advance(std::time::Duration::from_hours(24 * 30));
    let held = fragments(&world).await;
    assert!((2..=3).contains(&held.len()) && held.contains(&all[3]) && held.contains(&all[4]));
    world.app.indexer.sweep().await.unwrap();
    assert_eq!(fragments(&world).await, held);
    let refused = world.signed(Method::DELETE, "/v1/streams/door", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.refusal().contains("case-12"), "{}", refused.refusal());
    // Cleared, it is told of still, and protects nothing.
    let cleared = world.signed(Method::DELETE, HOLD, "").await.json();
    assert_eq!(cleared["cleared_by"], world.root.access_key_id.as_str());
    assert_eq!(world.get(HOLD).await.json(), cleared);
    assert_eq!(world.get("/v1/streams/door/holds").await.json(), json!({ "holds": [cleared] }));
    assert_eq!(fragments(&world).await, Vec::<Value>::new());
    assert_eq!(world.signed(Method::DELETE, "/v1/streams/door", "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn aws_is_told_that_a_held_stream_is_in_use() {
    let world = World::with(1).await;
    let hold = r#"{"start": 0, "end": "2100-01-01T00:00:00Z", "reason": "all of it"}"#;
    assert_eq!(world.signed(Method::PUT, HOLD, hold).await.status, StatusCode::OK);
    let arn = world.get("/v1/streams/door").await.json()["arn"].clone();
    let refused = world.signed(Method::POST, "/deleteStream", &json!({ "StreamARN": arn }).to_string()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers["x-amzn-errortype"], "ResourceInUseException");
    assert!(refused.text().contains("case-12"), "{}", refused.text());
}

#[tokio::test]
async fn holds_that_cannot_be_are_refused_by_name() {
    let world = World::with(0).await;
    for (path, body, named) in [
        (HOLD, r#"{"start": 1, "end": 0, "reason": "r"}"#, "end"),
        (HOLD, r#"{"end": 0, "reason": "r"}"#, "start"),
        (HOLD, r#"{"start": 1, "reason": "r"}"#, "end"),
        (HOLD, r#"{"start": 1, "end": 2}"#, "reason"),
        (HOLD, r#"{"start": 1, "end": 2, "reason": ""}"#, "reason"),
        (HOLD, r#"{"start": 1, "end": 2, "reason": "r", "why": ""}"#, "why"),
        ("/v1/streams/door/holds/a%20b", r#"{"start": 1, "end": 2, "reason": "r"}"#, "hold id"),
    ] {
        let refused = world.signed(Method::PUT, path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(refused.refusal().contains(named), "{body}: {}", refused.refusal());
    }
    assert_eq!(world.get(HOLD).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.signed(Method::DELETE, HOLD, "").await.status, StatusCode::NOT_FOUND);
    for (end, status) in [(5, StatusCode::OK), (5, StatusCode::OK), (6, StatusCode::CONFLICT)] {
        let hold = json!({ "start": 1, "end": end, "reason": "r" }).to_string();
        assert_eq!(world.signed(Method::PUT, HOLD, &hold).await.status, status, "an id is given once");
    }
}
