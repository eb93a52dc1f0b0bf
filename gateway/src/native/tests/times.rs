//! Clocks: which one names times, whether the server's is right, and what is found out later.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

#[tokio::test]
async fn a_stream_says_whose_clock_is_followed() {
    let world = World::with(1).await;
    let path = "/v1/streams/door/timestamps";
    assert_eq!(world.get(path).await.json(), json!({ "timestamps": null }));
    for wanted in [r#"{"timestamps": "camera"}"#, r#"{"timestamps": null}"#] {
        let told = world.signed(Method::PUT, path, wanted).await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.text());
        assert_eq!(told.json(), serde_json::from_str::<Value>(wanted).unwrap());
        assert_eq!(world.get(path).await.json(), told.json());
    }
    for wrong in [r#"{"timestamps": "sundial"}"#, r#"{"clock": "camera"}"#] {
        assert_eq!(world.signed(Method::PUT, path, wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_correction_is_told_and_applied_when_asked_for() {
    let world = World::with(3).await;
    let fragments = async |query: &str| -> Vec<Value> {
        let found = world.get(&format!("/v1/fragments?stream=door{query}")).await.json();
        found["fragments"].as_array().unwrap().clone()
    };
    let before = fragments("").await;
    assert!(before[0].get("clock_correction_ms").is_none());
    let run = before[0]["run_id"].as_str().unwrap();
    let path = format!("/v1/streams/door/clock-corrections/{run}");
    let noted = world.signed(Method::PUT, &path, r#"{"delta_ms": -3600000, "reason": "local time"}"#).await;
    assert_eq!(noted.status, StatusCode::OK, "{}", noted.text());
    assert_eq!(noted.json()["set_by"], world.root.access_key_id.as_str());
    let all = world.get("/v1/streams/door/clock-corrections").await.json();
    assert_eq!(all, json!({ "clock_corrections": [noted.json()] }));

    let told = fragments("").await;
    assert_eq!(told[0]["clock_correction_ms"], -3_600_000);
    assert_eq!(told[0]["producer_timestamp"], before[0]["producer_timestamp"]);
    let corrected = fragments("&corrected=true").await;
    assert_eq!(before[0]["producer_timestamp"], "2026-01-01T12:00:00.000Z");
    assert_eq!(corrected[0]["producer_timestamp"], "2026-01-01T11:00:00.000Z");
    assert_eq!(corrected[0]["server_timestamp"], before[0]["server_timestamp"]);

    for (path, wrong) in [
        (path.as_str(), r#"{"delta_ms": 1}"#),
        (&path, r#"{"reason": "r"}"#),
        (&path, r#"{"delta_ms": 9e18, "reason": "r"}"#),
        ("/v1/streams/door/clock-corrections/7", r#"{"delta_ms": 1, "reason": "r"}"#),
    ] {
        let refused = world.signed(Method::PUT, path, wrong).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {wrong}: {}", refused.text());
    }
    assert_eq!(world.get("/v1/fragments?corrected=perhaps").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn it_is_told_whether_the_servers_clock_is_kept_right() {
    let world = World::with(1).await;
    for (synchronized, sample) in
        [(None, None), (Some(false), Some("synchronized 0\n")), (Some(true), Some("synchronized 1\n"))]
    {
        world.clock.set_synchronized(synchronized);
        let told = world.get("/v1/streams/door").await.json();
        assert_eq!(told["server_clock_synced"], json!(synchronized));
        let page = crate::metrics::page(&world.app);
        match sample {
            Some(sample) => assert!(page.contains(&format!("millrace_clock_{sample}")), "{page}"),
            None => assert!(!page.contains("millrace_clock_synchronized"), "{page}"),
        }
    }
}
