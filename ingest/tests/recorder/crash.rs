//! Fragments that are open when the process is killed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use base::FragmentMeta;
use fixtures::{Camera, VIDEO};
use ingest::Ended;
use media::Frame;
use media::mkv::read_fragment;

use crate::SECOND;
use crate::installation::Installation;

/// A segment's header, and the first bytes of the batch that follows.
const TORN: u64 = 4096 + 100;

/// A key frame every ten seconds: fragments are open for long.
fn camera() -> Camera {
    Camera { gop: 250, audio: true, ..Camera::default() }
}

/// Pictures and sounds of a camera's last fragment.
async fn last_frames(installation: &Installation) -> (FragmentMeta, Vec<Frame>) {
    let (meta, pieces) = installation.stored("cam-1").pop().unwrap();
    let file = installation.file(&pieces).await;
    assert_eq!(file.len() as u64, meta.size_bytes);
    (meta, read_fragment(&file).unwrap().frames)
}

/// An installation that was killed 7.5 s into a camera's second fragment, the one that went on, and the
/// journaled milliseconds.
async fn killed() -> (Installation, Installation, u32) {
    let before = Installation::new().await;
    let mut recorder = before.publish("cam-1").await.unwrap();
    before.send_slowly(&mut recorder, &camera(), 17 * SECOND + SECOND / 2).await.unwrap();
    let journaled_ms = before.health("cam-1").journaled_ms.unwrap();
    let killed = before.killed(None).await;
    recorder.finish(Ended::Teardown).await.unwrap();
    (killed, before, journaled_ms)
}

#[tokio::test]
async fn a_fragment_is_journaled_every_second_and_is_what_it_would_have_been() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send_slowly(&mut recorder, &camera(), 32 * SECOND).await.unwrap();
    recorder.finish(Ended::Teardown).await.unwrap();
    // Not in the first two seconds of a run, nor where a second begins with the fragment.
    assert!((28..=31).contains(&installation.parts()), "{}", installation.parts());
    let stored = installation.stored("cam-1");
    assert_eq!(stored.iter().map(|(meta, _)| meta.duration_ms).take(3).collect::<Vec<_>>(), [10_000; 3]);
    for (meta, pieces) in &stored {
        let file = installation.file(pieces).await;
        assert_eq!(file.len() as u64, meta.size_bytes);
        let fragment = read_fragment(&file).unwrap();
        for track in &meta.tracks {
            let frames = fragment.frames_of(track.number);
            assert_eq!((frames.len(), frames[0].dts), (track.frames as usize, track.start));
            assert_eq!(frames.iter().map(|frame| u64::from(frame.duration)).sum::<u64>(), track.duration);
        }
    }
    assert_eq!(installation.health("cam-1").journaled_ms, None, "nothing is open any more");
}

#[tokio::test]
async fn after_a_kill_the_journaled_part_is_a_fragment_of_the_same_run() {
    let (killed, before, journaled_ms) = killed().await;
    assert!((6_700..=7_100).contains(&journaled_ms), "{journaled_ms} ms of 7.5 s");
    assert_eq!(killed.stored("cam-1").len(), 1);
    assert_eq!(killed.recover().await, 1);
    let stored = killed.stored("cam-1");
    assert_eq!(stored.len(), 2);
    let (meta, frames) = last_frames(&killed).await;
    assert_eq!((meta.duration_ms, meta.run_id), (journaled_ms, stored[0].0.run_id));
    let (whole, all) = last_frames(&before).await;
    assert!(all.starts_with(&frames) && all.len() > frames.len());
    let ordinals = |meta: &FragmentMeta| {
        (meta.number, meta.media_sequence, meta.discontinuity_sequence, meta.producer_timestamp)
    };
    assert_eq!(ordinals(&meta), ordinals(&whole));

    // It is done once, and the next session goes on after it.
    assert_eq!(killed.recover().await, 0);
    let again = killed.killed(None).await;
    assert_eq!(again.recover().await, 0);
    let mut recorder = again.publish("cam-1").await.unwrap();
    again.send(&mut recorder, &camera(), 5 * SECOND).await.unwrap();
    recorder.finish(Ended::Teardown).await.unwrap();
    let (next, _) = last_frames(&again).await;
    assert_eq!((next.media_sequence, next.discontinuity_sequence), (2, 1));
    assert!(next.number > meta.number && next.run_id.0 == next.number);
}

#[tokio::test]
async fn recovery_that_fails_or_is_killed_is_done_again() {
    let (killed, _, journaled_ms) = killed().await;
    killed.disk.set_full(true);
    assert_eq!(killed.recover().await, 0);
    killed.disk.set_full(false);
    assert_eq!(killed.recover().await, 1);
    let torn = killed.killed(Some(TORN)).await;
    assert_eq!(torn.stored("cam-1").len(), 1, "what recovery wrote is torn");
    assert_eq!(torn.recover().await, 1);
    let (meta, frames) = last_frames(&torn).await;
    assert_eq!(meta.duration_ms, journaled_ms);
    assert_eq!(frames.iter().filter(|frame| frame.track == VIDEO.0).count(), meta.tracks[0].frames as usize);
}

#[tokio::test]
async fn what_was_given_up_or_deleted_is_not_recovered() {
    let installation = Installation::new().await;
    let mut recorder = installation.publish("cam-1").await.unwrap();
    installation.send_slowly(&mut recorder, &camera(), 6 * SECOND).await.unwrap();
    // The camera reboots into a full disk: the fragment that was open cannot be closed.
    installation.disk.set_full(true);
    installation.send_slowly(&mut recorder, &camera(), SECOND).await.unwrap();
    assert_eq!(installation.health("cam-1").fragments_dropped, 1);
    let given_up = installation.killed(None).await;
    assert_eq!(given_up.recover().await, 1, "nothing came after it: its place is free");
    installation.disk.set_full(false);
    installation.send_slowly(&mut recorder, &camera(), 6 * SECOND).await.unwrap();
    let killed = installation.killed(None).await;
    assert_eq!((killed.stored("cam-1").len(), killed.recover().await), (0, 1));
    let (meta, _) = last_frames(&killed).await;
    assert_eq!(meta.media_sequence, 0, "what was given up has no place");

    installation.catalog.delete_stream(recorder.stream().id, None).await.unwrap();
    assert_eq!(installation.killed(None).await.recover().await, 0);
}
