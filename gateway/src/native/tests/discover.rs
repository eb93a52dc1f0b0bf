//! Looking for cameras through the API: what is asked, and what may not be.

use http::{Method, StatusCode};

use super::world::World;

/// Nobody answers in this world: its question goes to a port of its own.
#[tokio::test]
async fn cameras_are_looked_for_by_administrators_one_search_at_a_time() {
    let world = World::with(0).await;
    let search = || world.signed(Method::POST, "/v1/discover", r#"{"wait_seconds": 1}"#);
    let (first, second) = tokio::join!(search(), search());
    assert_eq!((first.status, first.json()["cameras"].as_array().unwrap().len()), (StatusCode::OK, 0));
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE, "{}", second.text());
    for (body, word) in [
        (r#"{"wait_seconds": 0}"#, "wait_seconds"),
        (r#"{"wait_seconds": 11}"#, "wait_seconds"),
        (r#"{"password": "hunter2"}"#, "username"),
        (r#"{"username": "a\nb"}"#, "username"),
        (r#"{"address": "192.0.2.1"}"#, "address"),
    ] {
        let refused = world.signed(Method::POST, "/v1/discover", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(refused.refusal().contains(word) && !refused.refusal().contains("hunter2"));
    }
    let unsigned = world.plain(Method::POST, "/v1/discover", &[]).await;
    assert_eq!(unsigned.status, StatusCode::FORBIDDEN);
}
