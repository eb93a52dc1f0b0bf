//! WHIP against publishers that speak WebRTC, over loopback, onto a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod frames;
#[path = "../rtsp/hall.rs"]
mod hall;
mod hostile;
mod publisher;

use std::time::Duration;

use base::Limits;
use hall::{Hall, Stored};
use ingest::whip::{Patched, WhipError};
use ingest::{Ended, IngestError, StreamState};
use publisher::{Publisher, Sends, name};

/// Whether every picture was stored, but for the last ones, which may have been under way at the end.
fn all_stored(stored: &[Stored], camera: &Publisher) -> bool {
    let frames: u32 = stored.iter().flat_map(|one| &one.meta.tracks).map(|track| track.frames).sum();
    (camera.sent_frames.saturating_sub(2)..=camera.sent_frames).contains(&frames)
}

#[tokio::test]
async fn what_is_published_is_recorded_in_fragments_near_two_seconds() {
    let hall = Hall::open().await;
    let device = hall.device("cam-*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "cam-1").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_secs(5)).await;
    assert_eq!(hall.live("cam-1").await.state, StreamState::Live);
    camera.variant = 1;
    camera.send_for(Duration::from_secs(3)).await;
    camera.finish(&hall, "cam-1").await;

    let stored = hall.fragments("cam-1");
    assert!(stored.len() >= 3, "{} fragments", stored.len());
    assert!(stored.iter().all(|one| one.meta.starts_with_key));
    for one in &stored[..stored.len() - 1] {
        let length = one.meta.duration_ms;
        assert!((2000..3500).contains(&length), "a fragment of {length} ms: key frames are asked for");
    }
    assert!(all_stored(&stored, &camera));
    let codecs: Vec<_> = stored.iter().map(|one| one.meta.tracks[0].codec_string.clone()).collect();
    assert_ne!(codecs.first(), codecs.last(), "each fragment has its own parameter sets");

    let health = hall.ended("cam-1").await;
    assert_eq!(health.last_end.unwrap().1, Ended::Teardown);
    assert!(health.key_frames_requested >= 2 && camera.keys_sent >= 3, "{health:?}");
    assert_eq!((health.packets_lost, health.frames_damaged), (0, 0));
    camera.until(|camera| camera.closed).await;
    assert_eq!(hall.whip.open(), 0);
    hall.close().await;
}

#[tokio::test]
async fn vp9_and_av1_are_recorded_as_they_come() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    for (stream, sends, codec, size) in
        [("vp9", Sends::Vp9, "vp09.00.21.08", (640, 360)), ("av1", Sends::Av1, "av01.0.00M.08", (322, 242))]
    {
        let mut camera = Publisher::sending(&hall, &device, stream, sends).await.unwrap();
        camera.connect().await;
        camera.send_for(Duration::from_secs(3)).await;
        camera.finish(&hall, stream).await;
        let stored = hall.fragments(stream);
        assert!(stored.len() >= 2 && stored.iter().all(|one| one.meta.starts_with_key), "{stream}");
        assert!(stored[0].meta.duration_ms < 3500, "{stream}: key frames are asked for");
        assert!(all_stored(&stored, &camera), "{stream}");
        let track = &stored[0].meta.tracks[0];
        assert_eq!((track.codec_string.as_str(), (track.width, track.height)), (codec, size));
    }
    hall.close().await;
}

#[tokio::test]
async fn sound_alone_is_recorded_in_fragments_of_two_seconds() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut microphone = Publisher::sending(&hall, &device, "radio", Sends::Opus).await.unwrap();
    microphone.connect().await;
    microphone.send_for(Duration::from_secs(5)).await;
    microphone.finish(&hall, "radio").await;
    let stored = hall.fragments("radio");
    assert!(stored.len() >= 2 && all_stored(&stored, &microphone), "{} fragments", stored.len());
    assert!(stored.iter().all(|one| one.meta.starts_with_key && one.meta.duration_ms < 2500));
    assert!(stored.iter().all(|one| one.meta.tracks.len() == 1 && one.meta.tracks[0].codec == "opus"));
    assert_eq!(hall.ended("radio").await.key_frames_requested, 0, "nobody asks sound for key frames");
    hall.close().await;
}

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_millis(500)).await;
    for _ in 0..5 {
        camera.lose = 2;
        camera.send_for(Duration::from_millis(400)).await;
    }
    camera.finish(&hall, "door").await;
    let health = hall.ended("door").await;
    assert_eq!((health.packets_lost, health.frames_damaged), (0, 0), "{health:?}");
    assert!(all_stored(&hall.fragments("door"), &camera));
    hall.close().await;
}

#[tokio::test]
async fn tcp_serves_where_udp_does_not_get_through() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start_tcp(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_secs(1)).await;
    camera.finish(&hall, "door").await;
    assert!(all_stored(&hall.fragments("door"), &camera));
    hall.close().await;
}

#[tokio::test]
async fn ice_starts_anew_while_media_goes_on() {
    let hall = Hall::with(Limits { handshake: Duration::from_millis(2500), ..Limits::default() }).await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_millis(500)).await;
    let Patched::Restarted { etag, .. } = camera.restart_ice(&hall, "door").await else { panic!() };
    assert_ne!(etag, camera.session.etag);
    camera.send_for(Duration::from_secs(2)).await;

    let session = camera.session.id.clone();
    let patch = |condition: Option<String>| {
        let (hall, id) = (&hall, session.clone());
        async move { hall.whip.patch(&name("door"), &id, condition.as_deref(), b"a=end-of-candidates\r\n").await }
    };
    assert_eq!(patch(Some(etag.clone())).await.unwrap(), Patched::Trickled);
    assert_eq!(patch(Some(format!("\"other\", {etag}"))).await.unwrap(), Patched::Trickled);
    assert!(matches!(patch(None).await, Err(WhipError::NoPrecondition)));
    assert!(matches!(patch(Some("*".into())).await, Err(WhipError::Restart(_))));
    let old = patch(Some(camera.session.etag.clone())).await;
    assert!(matches!(old, Err(WhipError::OtherIceSession(current)) if current == etag));

    // Longer than a connection may take: a restart that came to nothing would have ended the session.
    camera.send_for(Duration::from_secs(2)).await;
    camera.finish(&hall, "door").await;
    assert!(matches!(patch(Some(etag)).await, Err(WhipError::NoSession)));
    assert!(all_stored(&hall.fragments("door"), &camera));
    hall.close().await;
}

#[tokio::test]
async fn a_stream_has_one_publisher() {
    let hall = Hall::open().await;
    let device = hall.device("cam-*", "publish,create").await;
    let mut first = Publisher::start(&hall, &device, "cam-1").await.unwrap();
    first.connect().await;
    let second = Publisher::start(&hall, &device, "cam-1").await.err();
    assert!(matches!(second, Some(WhipError::Ingest(IngestError::Busy { .. }))), "{second:?}");
    let other = Publisher::start(&hall, &device, "door").await.err();
    assert!(matches!(other, Some(WhipError::Ingest(IngestError::Catalog(_)))), "{other:?}");
    hall.close().await;
}

#[tokio::test]
async fn a_credential_that_is_revoked_ends_the_session() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_millis(300)).await;
    hall.catalog.revoke_device(&device.username).await.unwrap();
    camera.until(|camera| camera.closed).await;
    assert_eq!(hall.ended("door").await.last_end.unwrap().1, Ended::Refused);
    hall.close().await;
}

#[tokio::test]
async fn the_end_of_the_server_stores_what_is_open() {
    let hall = Hall::with(Limits::default()).await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    camera.send_for(Duration::from_secs(1)).await;
    let (ingest, id) = (hall.ingest.clone(), hall.catalog.stream(&name("door")).unwrap().id);
    hall.close().await;
    let health = ingest.health(id).unwrap();
    assert_eq!((health.last_end.unwrap().1, health.fragments), (Ended::Shutdown, 1));
}
