//! JSON answers: what the OpenAPI document promises, and errors.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

const NEW_MASTER: &str = r#"{"key": "bmV4dC1uZXh0LW5leHQtbmV4dC1uZXh0LW5leHQtbmU="}"#;

/// Fails unless `value` has the members, and the forms, that `schema` tells of.
fn conforms(value: &Value, schema: &Value, at: &str) {
    let kind = schema["type"].as_str().unwrap_or_else(|| panic!("{at}: no type in {schema}"));
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("{at}: {other}"),
    };
    assert!(fits, "{at}: {value} is no {kind}");
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], at);
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        match &value[name] {
            Value::Null => assert!(!required.contains(&name.as_str()), "{at}: {name} is missing in {value}"),
            member => conforms(member, schema, &format!("{at}.{name}")),
        }
    }
}

/// A run of the stream `door`; whether there is one is not looked at.
const CORRECTED: &str = "/v1/streams/door/clock-corrections/91343852333181432390000000000000000000000000007";

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let world = World::with(3).await;
    world.signed(Method::PUT, "/v1/streams/empty", r#"{"labels": {"site": "north"}}"#).await;
    let document = world.get("/v1/openapi.json").await.json();
    let mut checked = 0;
    for (method, path, template, body) in [
        (Method::GET, "/v1/streams", "", ""),
        (Method::GET, "/v1/streams/door", "/v1/streams/{name}", ""),
        (Method::GET, "/v1/streams/empty", "/v1/streams/{name}", ""),
        (Method::GET, "/v1/streams/empty/labels", "/v1/streams/{name}/labels", ""),
        (Method::PUT, "/v1/streams/empty/labels", "/v1/streams/{name}/labels", r#"{"a": "b"}"#),
        (
            Method::PUT,
            "/v1/streams/empty/retention",
            "/v1/streams/{name}/retention",
            r#"{"hours": 5, "bytes": 7}"#,
        ),
        (Method::GET, "/v1/streams/empty/retention", "/v1/streams/{name}/retention", ""),
        (
            Method::PUT,
            "/v1/streams/empty/holds/a",
            "/v1/streams/{name}/holds/{id}",
            r#"{"start": 1, "end": 2, "reason": "r"}"#,
        ),
        (Method::DELETE, "/v1/streams/empty/holds/a", "/v1/streams/{name}/holds/{id}", ""),
        (Method::GET, "/v1/streams/empty/holds", "/v1/streams/{name}/holds", ""),
        (Method::GET, "/v1/streams/empty/holds/a", "/v1/streams/{name}/holds/{id}", ""),
        (
            Method::POST,
            "/v1/streams/door/events",
            "/v1/streams/{name}/events",
            r#"{"start": "2026-01-01T12:00:03Z", "tags": {"a": "b"}}"#,
        ),
        (Method::GET, "/v1/streams/door/events", "/v1/streams/{name}/events", ""),
        (Method::GET, "/v1/streams/door/timeline", "/v1/streams/{name}/timeline", ""),
        (Method::GET, "/v1/fragments", "", ""),
        (Method::GET, "/v1/streams/door/timestamps", "/v1/streams/{name}/timestamps", ""),
        (
            Method::PUT,
            CORRECTED,
            "/v1/streams/{name}/clock-corrections/{run_id}",
            r#"{"delta_ms": 5, "reason": "r"}"#,
        ),
        (Method::GET, "/v1/streams/door/clock-corrections", "/v1/streams/{name}/clock-corrections", ""),
        (Method::GET, "/v1/session", "", ""),
        (Method::GET, "/v1/keys", "", ""),
        (Method::POST, "/v1/keys", "", ""),
        (Method::POST, "/v1/master-key", "", NEW_MASTER),
        (Method::POST, "/v1/streams/door/key", "/v1/streams/{name}/key", ""),
        (Method::POST, "/v1/devices", "", r#"{"stream": "*", "allow": ["publish", "create"]}"#),
        (Method::GET, "/v1/info", "", ""),
        (Method::POST, "/v1/streams/door/urls", "/v1/streams/{name}/urls", r#"{"format": "hls"}"#),
    ] {
        let answer = world.signed(method.clone(), path, body).await;
        let template = if template.is_empty() { path } else { template };
        let operation = &document["paths"][template][method.as_str().to_ascii_lowercase()];
        let told = &operation["responses"][answer.status.as_str()]["content"]["application/json"]["schema"];
        assert!(told.is_object(), "{method} {path}: {} is not told of", answer.status);
        conforms(&answer.json(), told, path);
        checked += 1;
    }
    assert_eq!(checked, 26);
}

#[tokio::test]
async fn fragments_are_found_page_by_page() {
    let world = World::with(5).await;
    let mut found = Vec::new();
    let mut path = "/v1/fragments?limit=2".to_owned();
    loop {
        let page = world.get(&path).await.json();
        found.extend(page["fragments"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/fragments?cursor={next}&limit=2");
    }
    let times: Vec<&str> = found.iter().map(|one| one["producer_timestamp"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 5);
    assert!(times.is_sorted());
    assert_eq!((&found[0]["stream"], &found[0]["duration_ms"]), (&json!("door"), &json!(2000)));
    let one = world.get(&format!("/v1/fragments?end={0}&start={0}", times[3])).await.json();
    assert_eq!(one["fragments"], json!([found[3]]));
}

#[tokio::test]
async fn the_timeline_tells_what_is_covered() {
    let world = World::with(3).await;
    let path = "/v1/streams/door/timeline?buckets=4&end=2026-01-01T12:00:08Z&start=2026-01-01T12:00:00Z";
    let told = world.get(path).await.json();
    let covered: Vec<u64> =
        told["buckets"].as_array().unwrap().iter().map(|one| one["covered_ms"].as_u64().unwrap()).collect();
    assert_eq!(covered, [2000, 2000, 2000, 0]);
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let world = World::with(1).await;
    for (method, path, body, status, word) in [
        (Method::GET, "/v1/fragments?limit=0", "", 400, "limit"),
        (Method::GET, "/v1/fragments?cursor=forged", "", 400, "cursor"),
        (Method::GET, "/v1/fragments?q=%28%28", "", 400, "q"),
        (Method::GET, "/v1/fragments?stream=%5B", "", 400, "stream"),
        (Method::GET, "/v1/fragments?start=1&start=2", "", 400, "start"),
        (Method::GET, "/v1/streams/door/timeline?buckets=10001", "", 400, "buckets"),
        (Method::GET, "/v1/streams/door/timeline?end=1&start=1", "", 400, "end"),
        (Method::GET, "/v1/streams/absent", "", 404, "absent"),
        (Method::GET, "/v1/streams/a%20b", "", 400, "name"),
        (Method::PUT, "/v1/streams/door", "", 409, "door"),
        (Method::PUT, "/v1/streams/new", r#"{"retention_hours": 87601}"#, 400, "retention"),
        (Method::PUT, "/v1/streams/new", r#"{"retention_hours": -1}"#, 400, "body"),
        (Method::PUT, "/v1/streams/new", "{", 400, "body"),
        (Method::PUT, "/v1/streams/door/labels", r#"{"a": 1}"#, 400, "body"),
        (Method::DELETE, "/v1/streams/absent", "", 404, "absent"),
        (Method::DELETE, "/v1/keys/nobody", "", 404, "nobody"),
        (Method::POST, "/v1/keys", r#"{"access_key_id": "mine"}"#, 400, "secret_access_key"),
        (Method::POST, "/v1/devices", r#"{"stream": "*", "allow": ["fly"]}"#, 400, "allow"),
        (Method::POST, "/v1/streams/door/urls", "{}", 400, "format"),
        (Method::POST, "/v1/streams/door/urls", r#"{"format": "gif"}"#, 400, "format"),
        (Method::POST, "/v1/streams/door/urls", r#"{"format": "hls", "expires_in": 0}"#, 400, "expires_in"),
        (Method::POST, "/v1/streams", "", 405, "POST"),
    ] {
        let answer = world.signed(method.clone(), path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
        assert!(answer.refusal().contains(word), "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_deleted_stream_is_gone_at_once() {
    let world = World::with(2).await;
    let segment = world.get("/v1/fragments").await.json()["fragments"][0]["fragment_number"].clone();
    let segment = format!("/v1/streams/door/hls/1/{}.m4s", segment.as_str().unwrap());
    assert_eq!(world.get(&segment).await.status, StatusCode::OK);
    let url = world.url(r#"{"format": "hls"}"#).await;
    assert_eq!(world.signed(Method::DELETE, "/v1/streams/door", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/v1/fragments").await.json()["fragments"], json!([]));
    assert_eq!(world.get(&segment).await.status, StatusCode::NOT_FOUND);
    world.signed(Method::PUT, "/v1/streams/door", "").await;
    assert_eq!(world.get(&segment).await.status, StatusCode::NOT_FOUND);
    let old = world.plain(Method::GET, &url, &[]).await;
    assert_eq!(old.status, StatusCode::FORBIDDEN, "a URL is for the stream it was made for");
}
