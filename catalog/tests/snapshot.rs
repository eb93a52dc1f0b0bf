//! The control lane stays short, and what it says the same: whatever a crash interrupts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Limits, SystemEntropy, Tags, Timestamp, TimestampSource};
use catalog::{
    Catalog, CatalogOptions, NewEdge, NewHold, NewSource, NewStream, Principal, Secret, SourceTransport,
    StreamUpdate,
};
use fixtures::{FakeClock, SimDisk};
use fragment_log::{LaneId, Log, MasterKey, Options};
use harness::{Answers, DEVICE_RETENTION, Running, name};

const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// On a simulated disk, with the view in a folder of this machine.
fn start(disk: &SimDisk, index: PathBuf) -> Running {
    let clock = Arc::new(FakeClock::default());
    let master = MasterKey::from_base64(MASTER).unwrap();
    let options = Options {
        io: Arc::new(disk.clone()),
        clock: Arc::clone(&clock) as _,
        // Few commands fill a segment of the control lane.
        segment_bytes: 64 * 1024,
        ..Options::new("/data", master)
    };
    let log = Arc::new(Log::open(options).unwrap());
    let options = CatalogOptions {
        dir: index,
        account: "000000000000".into(),
        region: "us-east-1".into(),
        clock,
        entropy: Arc::new(SystemEntropy),
        limits: Limits { tags_per_resource: 200, ..Limits::default() },
        device_retention: DEVICE_RETENTION,
    };
    Running { catalog: Catalog::open(Arc::clone(&log), options).unwrap(), log }
}

async fn fill(catalog: &Catalog) {
    let key = Principal::AccessKey(catalog.create_access_key(None, None).await.unwrap());
    let revoked = catalog.create_access_key(None, None).await.unwrap();
    catalog.revoke_access_key(&revoked.id).await.unwrap();
    let secret = Secret::new("rtsp://192.0.2.2/");
    let secret_arn = catalog.set_media_secret("yard".into(), secret).await.unwrap().arn.clone();
    let yard = catalog.stream_to_pull(&name("yard")).await.unwrap().id;
    let edge = NewEdge {
        hub_device_arn: "hub".into(),
        secret_arn,
        schedule: None,
        retention_hours: None,
        delete_after_upload: None,
    };
    catalog.set_edge(yard, edge).await.unwrap();
    for n in 0..6 {
        let stream = catalog.create_stream(NewStream::new(name(&format!("s{n}")), Duration::ZERO)).await;
        let stream = stream.unwrap().id;
        for id in ["a", "b"] {
            let at = Timestamp::from_millis;
            let hold = NewHold { id: id.into(), start: at(1), end: at(2), reason: "case".into() };
            catalog.set_hold(stream, hold, &key).await.unwrap();
        }
        catalog.clear_hold(stream, "a", &key).await.unwrap();
        if n % 2 == 0 {
            catalog.clear_hold(stream, "b", &key).await.unwrap();
            catalog.delete_stream(stream, None).await.unwrap();
        } else {
            let (transport, timestamps) = (SourceTransport::Auto, TimestampSource::Auto);
            let source = NewSource { url: Secret::new("rtsp://192.0.2.1/"), transport, timestamps };
            catalog.set_source(stream, source).await.unwrap();
            catalog
                .update_stream(stream, None, StreamUpdate::AddTags(Tags::from([("a".into(), "b".into())])))
                .await
                .unwrap();
        }
    }
}

/// With the holds of streams that are gone.
fn answers(running: &Running) -> Answers {
    let mut answers = running.answers();
    answers.holds = (0..20).flat_map(|id| running.catalog.holds(base::StreamId(id))).collect();
    answers
}

fn control_bytes(log: &Log) -> u64 {
    log.segments().iter().filter(|info| info.lane == LaneId::Control).map(|info| info.bytes).sum()
}

#[tokio::test]
async fn a_snapshot_is_all_that_is_needed() {
    let (disk, home) = (SimDisk::default(), tempfile::tempdir().unwrap());
    let mut running = start(&disk, home.path().join("first"));
    fill(&running.catalog).await;
    let before = answers(&running);
    assert_eq!(before.holds.len(), 12, "those of deleted streams, too");
    let long = control_bytes(&running.log);
    for view in ["first", "second", "first", "third"] {
        running.catalog.snapshot().await.unwrap();
        assert_eq!(answers(&running), before, "in the running program nothing changes");
        running.stop();
        running = start(&disk, home.path().join(view));
        assert_eq!(answers(&running), before);
    }
    assert!(control_bytes(&running.log) < long / 2, "{} of {long}", control_bytes(&running.log));
    let greatest = running.catalog.streams().values().map(|stream| stream.id).max();
    let made = running.catalog.create_stream(NewStream::new(name("next"), Duration::ZERO)).await.unwrap();
    assert!(Some(made.id) > greatest, "ids are never used again");
    running.stop();
}

/// What a start finds after a crash at a step, with the view as it was before and without one.
fn check(disk: &SimDisk, step: u64, view: &Path, before: &Answers) {
    let home = tempfile::tempdir().unwrap();
    for keep in [false, true] {
        let index = home.path().join(if keep { "kept" } else { "none" });
        if keep {
            harness::copy_folder(view, &index);
        }
        let running = start(&disk.reboot(step), index);
        assert_eq!(&answers(&running), before, "step {step}, view {keep}");
        running.stop();
    }
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_what_there_was() {
    let (disk, home) = (SimDisk::default(), tempfile::tempdir().unwrap());
    let index = home.path().join("index");
    let running = start(&disk, index.clone());
    fill(&running.catalog).await;
    running.stop();
    // An old view: what it lacks may stand in segments that have gone since.
    let old = home.path().join("old");
    harness::copy_folder(&index, &old);
    let running = start(&disk, index);
    let key = running.catalog.create_access_key(None, None).await.unwrap();
    running.catalog.revoke_access_key(&key.id).await.unwrap();
    let before = answers(&running);
    let from = disk.steps();
    // Twice, so that a snapshot is among what is removed.
    disk.capture_at(from..from + 1000);
    running.catalog.snapshot().await.unwrap();
    running.catalog.snapshot().await.unwrap();
    running.stop();
    let captured = disk.captured();
    assert!(disk.history()[usize::try_from(from).unwrap()..].iter().any(|step| step.what == "unlink"));
    assert!(captured.len() > 10, "{} steps", captured.len());
    for (step, disk) in captured {
        check(&disk, step, &old, &before);
    }
}

#[tokio::test]
async fn a_lane_that_has_grown_is_shortened_by_itself() {
    let (disk, home) = (SimDisk::default(), tempfile::tempdir().unwrap());
    let running = start(&disk, home.path().join("index"));
    let catalog = &running.catalog;
    let stream = catalog.create_stream(NewStream::new(name("door"), Duration::ZERO)).await.unwrap().id;
    let mut most = 0;
    for n in 0..300 {
        let tags =
            (0..150).map(|tag| (format!("{tag}-{}", "n".repeat(100)), format!("{n}-{}", "v".repeat(240))));
        catalog.set_labels(stream, tags.collect()).await.unwrap();
        most = most.max(control_bytes(&running.log));
    }
    assert!((12 << 20..20 << 20).contains(&most), "{most}: 300 commands of 55 KB");
    assert!(control_bytes(&running.log) < 8 << 20, "{}", control_bytes(&running.log));
    let before = answers(&running);
    running.stop();
    let running = start(&disk, home.path().join("another"));
    assert_eq!(answers(&running), before);
    running.stop();
}
