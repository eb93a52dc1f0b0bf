//! HLS, clips and signed URLs.

use axum::body::Body;
use fixtures::Clip;
use http::{Method, Request, StatusCode};

use super::world::World;

/// Start and end of a window that holds the fragments from `first` to `last`.
fn bounds(first: u64, last: u64) -> (String, String) {
    let at = |index| Clip::default().fragment(index).0.producer_timestamp.to_string();
    (at(first), at(last))
}

fn window(first: u64, last: u64) -> String {
    let (start, end) = bounds(first, last);
    format!("start={start}&end={end}")
}

fn body(format: &str, first: u64, last: u64, expires_in: u64) -> String {
    let (start, end) = bounds(first, last);
    format!(r#"{{"format": "{format}", "start": "{start}", "end": "{end}", "expires_in": {expires_in}}}"#)
}

/// Where a relative reference in the playlist at `base` leads.
fn resolve(base: &str, reference: &str) -> String {
    let folder = base.split('?').next().unwrap().rsplit_once('/').unwrap().0;
    format!("{folder}/{reference}")
}

fn references(playlist: &str) -> Vec<String> {
    let quoted = playlist.lines().filter_map(|line| line.split("URI=\"").nth(1)?.split('"').next());
    let plain = playlist.lines().filter(|line| !line.starts_with('#'));
    quoted.chain(plain).map(str::to_owned).collect()
}

async fn fetch(world: &World, path: &str) -> StatusCode {
    world.plain(Method::GET, path, &[]).await.status
}

/// Everything below an index: playlists, then segments.
async fn descend(world: &World, index: &str) -> Vec<String> {
    let answer = world.plain(Method::GET, index, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{index}: {}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/vnd.apple.mpegurl");
    let mut segments = Vec::new();
    for reference in references(&answer.text()) {
        let playlist = resolve(index, &reference);
        let answer = world.plain(Method::GET, &playlist, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{playlist}: {}", answer.text());
        segments.extend(references(&answer.text()).iter().map(|one| resolve(&playlist, one)));
    }
    segments
}

#[tokio::test]
async fn a_signed_url_plays_its_window_and_nothing_else() {
    let world = World::with(6).await;
    let url = world.url(&body("hls", 1, 3, 60)).await;
    let segments = descend(&world, &url).await;
    assert_eq!(segments.len(), 2 * (3 + 1));
    for segment in &segments {
        assert_eq!(fetch(&world, segment).await, StatusCode::OK, "{segment}");
    }
    let (path, token) = url.split_once("?token=").unwrap();
    let number = |index| Clip::default().fragment(index).0.number;
    let segment = |index| format!("{}?token={token}", resolve(path, &format!("1/{}.m4s", number(index))));
    assert_eq!(fetch(&world, &segment(1)).await, StatusCode::OK);
    for refused in [
        segment(0),
        segment(4),
        path.to_owned(),
        format!("{path}?token="),
        format!("/v1/streams/door/clip.mp4?token={token}"),
        format!("/v1/streams/gate/hls/index.m3u8?token={token}"),
        format!("/v1/streams?token={token}"),
        format!("/v1/streams/door?token={token}"),
    ] {
        assert_eq!(fetch(&world, &refused).await, StatusCode::FORBIDDEN, "{refused}");
    }
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(fetch(&world, &url).await, StatusCode::FORBIDDEN, "expired");
    assert_eq!(fetch(&world, &segment(1)).await, StatusCode::FORBIDDEN, "expired");
}

#[tokio::test]
async fn a_token_with_any_character_changed_is_forged() {
    let world = World::with(1).await;
    let url = world.url(&body("clip", 0, 0, 60)).await;
    assert_eq!(fetch(&world, &url).await, StatusCode::OK);
    let start = url.find("token=").unwrap() + "token=".len();
    for at in start..url.len() {
        let mut forged = url.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(fetch(&world, &forged).await, StatusCode::FORBIDDEN, "{forged}");
    }
}

#[tokio::test]
async fn a_live_url_does_not_open_the_archive_and_ends_with_its_key() {
    let world = World::with(9).await;
    let url = world.url(r#"{"format": "hls"}"#).await;
    let segments = descend(&world, &url).await;
    assert_eq!(segments.len(), 2 * (super::super::hls::LIVE_FRAGMENTS + 1));
    let token = url.split_once("?token=").unwrap().1;
    let old = Clip::default().fragment(1).0.number;
    let old = format!("/v1/streams/door/hls/1/{old}.m4s");
    assert_eq!(fetch(&world, &format!("{old}?token={token}")).await, StatusCode::FORBIDDEN);
    assert_eq!(world.get(&old).await.status, StatusCode::OK);
    world.app.catalog.revoke_access_key(&world.root.access_key_id).await.unwrap();
    assert_eq!(fetch(&world, &url).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_playlist_that_was_signed_for_can_be_played_without_signing_again() {
    let world = World::with(4).await;
    let index = format!("/v1/streams/door/hls/index.m3u8?{}", window(0, 3));
    let answer = world.get(&index).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let playlist = resolve(&index, references(&answer.text()).last().unwrap());
    let text = world.plain(Method::GET, &playlist, &[]).await.text();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    for reference in references(&text) {
        assert_eq!(fetch(&world, &resolve(&playlist, &reference)).await, StatusCode::OK, "{reference}");
    }
}

#[tokio::test]
async fn clips_answer_ranges() {
    let world = World::with(4).await;
    let path = format!("/v1/streams/door/clip.mp4?token={}", {
        let url = world.url(&body("clip", 0, 3, 600)).await;
        url.split_once("token=").unwrap().1.to_owned()
    });
    let whole = world.plain(Method::GET, &path, &[]).await;
    let total = whole.body.len();
    assert_eq!(whole.headers["content-length"], total.to_string());
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-disposition"], "attachment; filename=\"door_20260101T120000000Z.mp4\"");
    let etag = whole.headers["etag"].to_str().unwrap();

    let part = world.plain(Method::GET, &path, &[("range", "bytes=100-1099"), ("if-range", etag)]).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &whole.body[100..1100]));
    assert_eq!(part.headers["content-range"], format!("bytes 100-1099/{total}"));
    let head = world.plain(Method::HEAD, &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-length"], total.to_string());
    let beyond = world.plain(Method::GET, &path, &[("range", &format!("bytes={total}-"))]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers["content-range"], format!("bytes */{total}"));
    let known = world.plain(Method::GET, &path, &[("if-none-match", etag)]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let stale = world.plain(Method::GET, &path, &[("range", "bytes=0-9"), ("if-range", "\"another\"")]).await;
    assert_eq!((stale.status, stale.body), (StatusCode::OK, whole.body));
}

#[tokio::test]
async fn what_cannot_be_watched_says_why() {
    let world = World::with(2).await;
    for (path, status, word) in [
        ("/v1/streams/door/hls/9/playlist.m3u8", StatusCode::NOT_FOUND, "track"),
        ("/v1/streams/door/hls/999/playlist.m3u8", StatusCode::NOT_FOUND, "track"),
        ("/v1/streams/door/hls/1/12.m4s", StatusCode::NOT_FOUND, "segment"),
        ("/v1/streams/door/hls/1/init/1-1.mp4", StatusCode::NOT_FOUND, "init segment"),
        ("/v1/streams/door/hls/1/init/x", StatusCode::NOT_FOUND, "segment"),
        ("/v1/streams/gate/hls/index.m3u8", StatusCode::NOT_FOUND, "gate"),
        ("/v1/streams/door/hls/index.m3u8?start=noon", StatusCode::BAD_REQUEST, "start"),
        ("/v1/streams/door/hls/index.m3u8?begin=1", StatusCode::BAD_REQUEST, "begin"),
        ("/v1/streams/door/hls/index.m3u8?start=0&end=1", StatusCode::NOT_FOUND, "window"),
        ("/v1/streams/door/clip.mp4", StatusCode::BAD_REQUEST, "start"),
        ("/v1/streams/door/clip.mp4?start=2&end=1", StatusCode::BAD_REQUEST, "end"),
        ("/v1/streams/door/clip.mp4?start=0&end=1", StatusCode::NOT_FOUND, "window"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.refusal().contains(word), "{path}: {}", answer.text());
    }
    let made = world.signed(Method::PUT, "/v1/streams/memory", r#"{"retention_hours": 0}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let answer = world.get("/v1/streams/memory/hls/index.m3u8").await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
    let image = world.signed(Method::POST, "/v1/streams/door/urls", r#"{"format": "image"}"#).await;
    assert_eq!(image.status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_player_with_a_token_sees_its_streams_only() {
    let world = World::with(2).await;
    let made =
        world.signed(Method::POST, "/v1/devices", r#"{"stream": "do*", "allow": ["play"]}"#).await.json();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    world.signed(Method::PUT, "/v1/streams/gate", "").await;
    for (path, status) in [
        ("/v1/streams/door/hls/index.m3u8", StatusCode::OK),
        ("/v1/streams/door", StatusCode::OK),
        ("/v1/fragments?stream=door", StatusCode::OK),
        ("/v1/fragments", StatusCode::FORBIDDEN),
        ("/v1/streams/gate", StatusCode::FORBIDDEN),
        ("/v1/streams/absent", StatusCode::FORBIDDEN),
        ("/v1/keys", StatusCode::FORBIDDEN),
    ] {
        let answer = world.plain(Method::GET, path, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    let streams = world.plain(Method::GET, "/v1/streams", &[("authorization", &bearer)]).await.json();
    assert_eq!(streams["streams"].as_array().unwrap().len(), 1);
    let delete = Request::delete("/v1/streams/door").header("authorization", &bearer);
    let answer = world.send(delete.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
