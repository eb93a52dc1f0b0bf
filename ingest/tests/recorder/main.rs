//! Recording onto a real log, with a real catalog.

mod crash;
mod installation;
mod put_media;

use std::time::Duration;

use base::{Clock, ClockSource, TimestampSource};
use catalog::{CatalogError, Principal, StreamGlob, StreamUpdate};
use fixtures::{AUDIO, Camera, SenderReports, VIDEO};
use ingest::{Ended, IngestError, Publisher, StreamState};
use installation::{Installation, peer, stream};
use media::mkv::read_fragment;

const SECOND: Duration = Duration::from_secs(1);

fn camera() -> Camera {
    Camera { audio: true, ..Camera::default() }
}

#[tokio::test]
async fn what_was_sent_is_on_disk_when_finish_returns() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send(&mut recorder, &camera(), 11 * SECOND).await.unwrap();
    recorder.finish(Ended::Teardown).await.unwrap();

    let stored = installation.stored("cam-1");
    assert_eq!(stored.len(), 6);
    for (index, (meta, pieces)) in stored.iter().enumerate() {
        assert_eq!((meta.media_sequence, meta.discontinuity_sequence), (index as u64, 0));
        assert_eq!((meta.run_id.0, meta.run_origin), (stored[0].0.number, stored[0].0.run_origin));
        let file = installation.file(pieces).await;
        assert_eq!(file.len() as u64, meta.size_bytes);
        let fragment = read_fragment(&file).unwrap();
        for track in &meta.tracks {
            let frames = fragment.frames_of(track.number);
            assert_eq!((frames.len(), frames[0].dts), (track.frames as usize, track.start));
            assert_eq!(frames.iter().map(|frame| u64::from(frame.duration)).sum::<u64>(), track.duration);
        }
        assert!(meta.starts_with_key && meta.tracks.len() == 2);
    }
    assert!(stored.is_sorted_by(|(a, _), (b, _)| a.number < b.number));
    assert!(stored[..5].iter().all(|(meta, _)| meta.duration_ms == 2000));

    let health = installation.health("cam-1");
    assert_eq!((health.state, health.last_end.unwrap().1), (StreamState::Offline, Ended::Teardown));
    assert_eq!((health.fragments, health.last_fragment), (6, Some(stored[5].0.number)));
    assert_eq!((health.tracks[0].number, health.tracks[1].number), (VIDEO.0, AUDIO.0));
    assert!((health.tracks[0].frame_rate - 25.0).abs() < 0.1);
}

#[tokio::test]
async fn a_clock_that_was_never_right_is_corrected_when_it_is_set() {
    let corrections = async |synchronized: Option<bool>| {
        let installation = Installation::new().await;
        installation.clock.set_synchronized(synchronized);
        let mut recorder = installation.publish("cam-1").await.unwrap();
        installation.send(&mut recorder, &camera(), 7 * SECOND).await.unwrap();
        installation.clock.step_wall_ms(3_600_000);
        installation.clock.set_synchronized(Some(true));
        installation.clock.advance(2 * SECOND);
        installation.send(&mut recorder, &camera(), 7 * SECOND).await.unwrap();
        recorder.finish(Ended::Teardown).await.unwrap();
        let stored: Vec<_> = installation.stored("cam-1").into_iter().map(|(meta, _)| meta).collect();
        let (first, last) = (&stored[0], stored.last().unwrap());
        assert_eq!((first.server_clock_synced, last.server_clock_synced), (synchronized, Some(true)));
        assert!(
            last.run_id != first.run_id
                && last.producer_timestamp.since(first.producer_timestamp) > 3600 * SECOND
        );
        let stream = installation.catalog.stream(&stream("cam-1")).unwrap().id;
        let noted = installation.catalog.clock_corrections(stream);
        // Read in milliseconds, and therefore one less at times.
        noted
            .iter()
            .map(|noted| (noted.run == first.run_id, (noted.delta_ms + 1) / 10 * 10))
            .collect::<Vec<_>>()
    };
    assert_eq!(corrections(Some(false)).await, [(true, 3_600_000)]);
    assert_eq!(corrections(Some(true)).await, [], "it was right: a step is a change, no correction");
    assert_eq!(corrections(None).await, [], "nobody knows");
}

#[tokio::test]
async fn a_stream_says_whose_clock_is_followed() {
    let hour_ahead = SenderReports { every: SECOND, offset_ms: 3_600_000, lie_ms: 0 };
    let camera = Camera { reports: Some(hour_ahead), ..Camera::default() };
    let installation = Installation::new().await;
    for (timestamps, followed) in [
        (None, ClockSource::Server),
        (Some(TimestampSource::Camera), ClockSource::SenderReport),
        (Some(TimestampSource::Server), ClockSource::Server),
    ] {
        if let Some(made) = installation.catalog.stream(&stream("cam-1")) {
            let update = StreamUpdate::Timestamps(timestamps);
            installation.catalog.update_stream(made.id, None, update).await.unwrap();
        }
        let mut recorder = installation.publish("cam-1").await.unwrap();
        installation.send(&mut recorder, &camera, 9 * SECOND).await.unwrap();
        recorder.finish(Ended::Teardown).await.unwrap();
        let (last, _) = installation.stored("cam-1").pop().unwrap();
        assert_eq!(last.clock_source, followed, "{timestamps:?}");
    }
}

#[tokio::test]
async fn a_stream_has_one_publisher_and_the_next_one_goes_on_counting() {
    let installation = Installation::new().await;
    let mut first = installation.publish("cam-1").await.unwrap();
    match installation.publish("cam-1").await {
        Err(IngestError::Busy { holder, .. }) => assert_eq!(holder, peer()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two publishers"),
    }
    installation.send(&mut first, &camera(), 5 * SECOND).await.unwrap();
    assert_eq!(installation.health("cam-1").state, StreamState::Live);
    installation.clock.advance(6 * SECOND);
    assert_eq!(installation.health("cam-1").state, StreamState::Stale);
    first.finish(Ended::TimedOut).await.unwrap();

    installation.clock.step_wall_ms(-3_600_000);
    let mut second = installation.publish("cam-1").await.unwrap();
    installation.send(&mut second, &camera(), 5 * SECOND).await.unwrap();
    second.finish(Ended::Teardown).await.unwrap();

    let stored: Vec<_> = installation.stored("cam-1").into_iter().map(|(meta, _)| meta).collect();
    let ordinals: Vec<_> =
        stored.iter().map(|meta| (meta.media_sequence, meta.discontinuity_sequence)).collect();
    assert_eq!(ordinals, [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]);
    assert!(stored.is_sorted_by(|a, b| a.number < b.number && a.server_timestamp < b.server_timestamp));
    assert!(stored[3].producer_timestamp < stored[0].producer_timestamp);
    assert_eq!(installation.health("cam-1").reconnects, 1);
}

#[tokio::test]
async fn a_dropped_recorder_loses_nothing_and_frees_its_stream() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send(&mut recorder, &camera(), 3 * SECOND).await.unwrap();
    drop(recorder);
    let again = async {
        loop {
            match installation.publish("cam-1").await {
                Err(IngestError::Busy { .. }) => tokio::task::yield_now().await,
                other => break other,
            }
        }
    };
    assert!(tokio::time::timeout(10 * SECOND, again).await.unwrap().is_ok());
    let frames: u32 = installation.stored("cam-1").iter().map(|(meta, _)| meta.tracks[0].frames).sum();
    assert!(frames >= 74, "{frames}");
    assert_eq!(installation.health("cam-1").last_end.unwrap().1, Ended::Disconnected);
}

#[tokio::test]
async fn who_may_not_publish_is_refused() {
    let installation = Installation::new().await;
    match installation.publish("door").await {
        Err(IngestError::Catalog(CatalogError::NotAllowed { .. })) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("outside its pattern"),
    }
    let allow = catalog::Allow { publish: true, play: false, create: false };
    let credential = installation.catalog.create_device(StreamGlob::all(), allow).await.unwrap();
    let device = installation.catalog.device_by_username(&credential.username).unwrap();
    let publisher = Publisher { peer: peer(), principal: Principal::Device(device) };
    match installation.ingest.publish(&stream("new"), &publisher).await {
        Err(IngestError::Catalog(CatalogError::NoSuchStream(_))) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("made a stream without the right to"),
    }
}

#[tokio::test]
async fn a_deleted_stream_ends_its_recording() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send(&mut recorder, &camera(), 3 * SECOND).await.unwrap();
    let id = recorder.stream().id;
    installation.catalog.delete_stream(id, None).await.unwrap();
    let sent = async {
        installation.send(&mut recorder, &camera(), 20 * SECOND).await?;
        recorder.finish(Ended::Teardown).await
    };
    assert!(matches!(sent.await, Err(IngestError::Deleted(_))));
}

#[tokio::test]
async fn a_revoked_credential_ends_its_recording() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.catalog.revoke_device(installation.device.name()).await.unwrap();
    let sent = async {
        installation.send(&mut recorder, &camera(), 20 * SECOND).await?;
        recorder.finish(Ended::Teardown).await
    };
    assert!(matches!(sent.await, Err(IngestError::Catalog(CatalogError::NotAllowed { .. }))));
    assert!(installation.stored("cam-1").is_empty());
}

#[tokio::test]
async fn a_full_disk_costs_fragments_until_there_is_space() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send(&mut recorder, &camera(), 5 * SECOND).await.unwrap();
    settle(&installation, |health| health.fragments == 2).await;
    installation.disk.set_full(true);
    installation.send(&mut recorder, &camera(), 8 * SECOND).await.unwrap();
    settle(&installation, |health| health.fragments_dropped > 2 && health.disk_full).await;
    installation.disk.set_full(false);
    installation.send(&mut recorder, &camera(), 6 * SECOND).await.unwrap();
    settle(&installation, |health| !health.disk_full).await;
    recorder.finish(Ended::Teardown).await.unwrap();

    let stored = installation.stored("cam-1");
    let ordinals: Vec<_> = stored.iter().map(|(meta, _)| meta.media_sequence).collect();
    assert_eq!(ordinals, (0..ordinals.len() as u64).collect::<Vec<_>>());
    let last = stored.last().unwrap().0.discontinuity_sequence;
    assert!(last > stored[1].0.discontinuity_sequence, "the gap shows");
}

#[tokio::test]
async fn a_stream_without_retention_is_watched_and_not_stored() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    let none = StreamUpdate::Retention(Duration::ZERO);
    installation.catalog.update_stream(recorder.stream().id, None, none).await.unwrap();
    installation.send(&mut recorder, &camera(), 6 * SECOND).await.unwrap();
    settle(&installation, |health| !health.tracks.is_empty()).await;
    assert_eq!(installation.health("cam-1").state, StreamState::Live);
    recorder.finish(Ended::Teardown).await.unwrap();
    assert!(installation.stored("cam-1").is_empty());
    assert_eq!(installation.parts(), 0);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_the_publisher_back() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.disk.set_stuck(true);
    let camera = camera();
    let held = installation.send(&mut recorder, &camera, 60 * SECOND);
    assert!(tokio::time::timeout(SECOND / 2, held).await.is_err());
    // One is being written, four wait, one is on its way.
    let sent = installation.clock.monotonic().as_secs();
    assert!((12..=16).contains(&sent), "{sent} s");
    installation.disk.set_stuck(false);
    installation.send(&mut recorder, &camera, 4 * SECOND).await.unwrap();
    recorder.finish(Ended::Shutdown).await.unwrap();
    let frames: u32 = installation.stored("cam-1").iter().map(|(meta, _)| meta.tracks[0].frames).sum();
    assert!(u64::from(frames) >= (sent + 3) * 25, "{frames} frames of {sent} s");
}

/// Waits until the writer has come to something.
async fn settle(installation: &Installation, done: impl Fn(&ingest::StreamHealth) -> bool) {
    let waited = async {
        while !done(&installation.health("cam-1")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(10 * SECOND, waited).await;
    assert!(waited.is_ok(), "{:?}", installation.health("cam-1"));
}
