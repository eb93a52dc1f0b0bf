//! Keys change while the server runs.

use http::{Method, StatusCode};
use serde_json::json;

use super::world::World;

const CLIP: &str = "/v1/streams/door/clip.mp4?start=0&end=4102444800";

#[tokio::test]
async fn keys_change_and_footage_stays() {
    let world = World::with(3).await;
    let before = world.get(CLIP).await;
    assert_eq!(before.status, StatusCode::OK, "{}", before.text());
    let rotated = world.signed(Method::POST, "/v1/streams/door/key", "").await;
    assert_eq!((rotated.status, rotated.json()), (StatusCode::OK, json!({ "epoch": 2 })));
    let body = r#"{"key": "bmV4dC1uZXh0LW5leHQtbmV4dC1uZXh0LW5leHQtbmU="}"#;
    let rotated = world.signed(Method::POST, "/v1/master-key", body).await;
    assert_eq!((rotated.status, rotated.json()), (StatusCode::OK, json!({ "place": "caller" })));
    assert_eq!(world.get(CLIP).await.body, before.body);
}

#[tokio::test]
async fn what_cannot_be_changed_says_why() {
    let world = World::with(0).await;
    for (path, body, status, told) in [
        ("/v1/master-key", "", StatusCode::CONFLICT, "name the new one"),
        ("/v1/master-key", r#"{"key": "short"}"#, StatusCode::BAD_REQUEST, "base64 of 32 bytes"),
        ("/v1/master-key", r#"{"command": ["sh"]}"#, StatusCode::BAD_REQUEST, "command"),
        ("/v1/streams/gone/key", "", StatusCode::NOT_FOUND, "gone"),
    ] {
        let refused = world.signed(Method::POST, path, body).await;
        assert_eq!(refused.status, status, "{path} {body}: {}", refused.text());
        assert!(refused.refusal().contains(told), "{}", refused.refusal());
    }
    let unsigned = world.plain(Method::POST, "/v1/master-key", &[]).await;
    assert_eq!(unsigned.status, StatusCode::FORBIDDEN);
}
