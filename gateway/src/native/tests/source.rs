//! Sources through the API: set, shown without their credentials, removed.

use base::{StreamName, TimestampSource};
use catalog::{NewSource, Secret, SourceTransport};
use http::{Method, StatusCode};

use super::world::World;

const DOOR: &str = "/v1/streams/door/source";

#[tokio::test]
async fn a_source_is_set_shown_and_removed() {
    let world = World::with(0).await;
    assert_eq!(world.get(DOOR).await.status, StatusCode::NOT_FOUND);
    let body = r#"{"url": "rtsp://admin:hunter2@192.0.2.7:554/ch1?subtype=0", "transport": "tcp"}"#;
    let set = world.signed(Method::PUT, DOOR, body).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    let shown = world.get(DOOR).await;
    assert_eq!(shown.json(), set.json());
    assert_eq!(shown.json()["url"], "rtsp://***@192.0.2.7:554/ch1?subtype=0");
    assert_eq!((&shown.json()["transport"], &shown.json()["timestamps"]), (&"tcp".into(), &"auto".into()));
    for path in [DOOR, "/v1/streams/door", "/v1/streams", "/metrics"] {
        assert!(!world.get(path).await.text().contains("hunter2"), "{path}");
    }
    assert_eq!(world.signed(Method::DELETE, DOOR, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(DOOR).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.signed(Method::DELETE, DOOR, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_source_makes_its_stream() {
    let world = World::with(0).await;
    let set = world.signed(Method::PUT, "/v1/streams/yard/source", r#"{"url": "rtsps://192.0.2.8/x"}"#).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    assert_eq!(world.get("/v1/streams/yard").await.json()["retention_hours"], 240);
}

#[tokio::test]
async fn what_cannot_be_pulled_is_refused_and_not_repeated() {
    let world = World::with(0).await;
    for (url, word) in [
        ("file:///etc/hunter2", "rtsp://"),
        ("rtsp://a:hunter2@:554/x", "names no host"),
        ("rtsp://169.254.169.254/hunter2", "link-local"),
        ("rtsp://127.0.0.1:8554/hunter2", "own"),
        ("rtsp://a:hunter2@192.0.2.7:99999/x", "port"),
    ] {
        let body = serde_json::json!({ "url": url }).to_string();
        let refused = world.signed(Method::PUT, "/v1/streams/new/source", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{url}");
        let text = refused.refusal();
        assert!(text.contains(word) && !text.contains("hunter2"), "{text}");
    }
    assert_eq!(world.get("/v1/streams/new").await.status, StatusCode::NOT_FOUND, "nothing was made");
    for body in
        [r#"{}"#, r#"{"url": "rtsp://192.0.2.7/", "transport": "sctp"}"#, r#"{"url": "rtsp://h/", "x": 1}"#]
    {
        assert_eq!(world.signed(Method::PUT, DOOR, body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(world.plain(Method::GET, DOOR, &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_probe_says_what_is_wrong_with_a_camera() {
    let world = World::with(0).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let body = format!(r#"{{"url": "rtsp://a:hunter2@{nobody}/x"}}"#);
    let failed = world.signed(Method::POST, "/v1/probe", &body).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
    let text = failed.refusal();
    assert!(text.contains("does not accept the connection") && !text.contains("hunter2"), "{text}");
    let own = world.signed(Method::POST, "/v1/probe", r#"{"url": "rtsp://127.0.0.1:8554/x"}"#).await;
    assert_eq!(own.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.plain(Method::POST, "/v1/probe", &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_files_sources_are_the_files() {
    let world = World::with(0).await;
    let url = Secret::new("rtsp://a:hunter2@192.0.2.9/x");
    let (transport, timestamps) = (SourceTransport::Tcp, TimestampSource::Server);
    let name = StreamName::new("door").unwrap();
    world.app.pullers.configure([(name, NewSource { url, transport, timestamps })].into());
    let shown = world.get(DOOR).await.json();
    assert_eq!((&shown["owner"], &shown["url"]), (&"file".into(), &"rtsp://***@192.0.2.9/x".into()));
    for (method, body) in [(Method::PUT, r#"{"url": "rtsp://192.0.2.7/"}"#), (Method::DELETE, "")] {
        let refused = world.signed(method, DOOR, body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(refused.refusal().contains("SIGHUP"), "{}", refused.refusal());
    }
}
