//! The view may be missing, old, damaged or of another log: the answers stay the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use base::{StreamId, Tags, Timestamp};
use catalog::{Allow, CatalogError, NewHold, NewStream, Principal, StreamGlob, StreamUpdate};
use fragment_log::{LaneId, RetentionClass};
use harness::{Answers, Installation, append_raw, copy_folder, media_entry, name};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);

/// An installation with something of everything, stopped, and what it answered.
async fn filled() -> (Installation, Answers) {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    for n in 0..20 {
        let mut new = NewStream::new(name(&format!("cam-{n:02}")), HOUR);
        new.tags = Tags::from([("site".into(), format!("site {n}"))]);
        new.device_name = Some(format!("device {n}"));
        let stream = catalog.create_stream(new).await.unwrap();
        let labels = Tags::from([("number".into(), n.to_string())]);
        catalog.set_labels(stream.id, labels).await.unwrap();
        if n % 5 == 0 {
            catalog.delete_stream(stream.id, None).await.unwrap();
        }
    }
    let key = catalog.create_access_key(None, None).await.unwrap();
    let by = Principal::AccessKey(key.clone());
    let at = Timestamp::from_millis;
    for (id, n) in [("case-1", 2), ("case-2", 2), ("case-3", 3)] {
        let stream = catalog.stream(&name(&format!("cam-{n:02}"))).unwrap().id;
        let hold = NewHold { id: id.into(), start: at(5), end: at(9), reason: "court".into() };
        catalog.set_hold(stream, hold, &by).await.unwrap();
        if id == "case-2" {
            catalog.clear_hold(stream, id, &by).await.unwrap();
        }
    }
    catalog.create_access_key(None, None).await.unwrap();
    catalog.revoke_access_key(&key.id).await.unwrap();
    let device = catalog.create_device(StreamGlob::all(), Allow::default()).await.unwrap();
    catalog.create_device(StreamGlob::new("cam-*").unwrap(), Allow::default()).await.unwrap();
    catalog.revoke_device(&device.username).await.unwrap();
    let answers = running.answers();
    running.stop();
    (installation, answers)
}

fn assert_same_after_restart(installation: &Installation, before: &Answers) {
    let running = installation.start();
    assert_eq!(running.answers(), *before);
    running.stop();
}

#[tokio::test]
async fn kept_or_missing() {
    let (installation, before) = filled().await;
    assert_same_after_restart(&installation, &before);
    installation.delete_view();
    assert_same_after_restart(&installation, &before);
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn damaged_anywhere() {
    let (installation, before) = filled().await;
    let good = fs::read(installation.view()).unwrap();
    assert!(good.len() > 8192, "rows are in the file, not in a WAL that was left");
    for at in (0..good.len()).step_by(509) {
        let mut file = fs::OpenOptions::new().write(true).open(installation.view()).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[good[at] ^ 0x55; 3]).unwrap();
        drop(file);
        assert_same_after_restart(&installation, &before);
        fs::write(installation.view(), &good).unwrap();
    }
    fs::write(installation.view(), &good[..good.len() / 2]).unwrap();
    assert_same_after_restart(&installation, &before);
    fs::write(installation.view(), "not a database").unwrap();
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn of_another_layout() {
    let (installation, before) = filled().await;
    let view = rusqlite::Connection::open(installation.view()).unwrap();
    view.pragma_update(None, "user_version", 99).unwrap();
    drop(view);
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn older_than_the_log() {
    let (installation, _) = filled().await;
    let old = fs::read(installation.view()).unwrap();
    let running = installation.start();
    let stream = running.catalog.stream(&name("cam-01")).unwrap();
    running.catalog.update_stream(stream.id, None, StreamUpdate::Retention(HOUR * 9)).await.unwrap();
    running.catalog.delete_stream(stream.id, None).await.unwrap();
    running.catalog.create_stream(NewStream::new(name("cam-01"), HOUR)).await.unwrap();
    let before = running.answers();
    running.stop();
    fs::write(installation.view(), old).unwrap();
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn of_another_log() {
    let (installation, before) = filled().await;
    let other = Installation::new();
    let running = other.start();
    running.catalog.create_stream(NewStream::new(name("elsewhere"), HOUR)).await.unwrap();
    running.stop();
    fs::copy(other.view(), installation.view()).unwrap();
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn with_rows_missing() {
    let (installation, before) = filled().await;
    for kind in ["stream", "hold", "device", "progress"] {
        let view = rusqlite::Connection::open(installation.view()).unwrap();
        assert!(view.execute("DELETE FROM row WHERE kind = ?1", [kind]).unwrap() > 0);
        drop(view);
        assert_same_after_restart(&installation, &before);
    }
}

#[tokio::test]
async fn ahead_of_the_log() {
    let (installation, before) = filled().await;
    let backup = TempDir::new().unwrap();
    copy_folder(&installation.data(), backup.path());
    let running = installation.start();
    let stream = running.catalog.stream(&name("cam-01")).unwrap();
    running.catalog.set_labels(stream.id, Tags::new()).await.unwrap();
    running.stop();
    let newer = fs::read(installation.view()).unwrap();
    fs::remove_dir_all(installation.data()).unwrap();
    copy_folder(backup.path(), &installation.data());
    fs::write(installation.view(), newer).unwrap();
    assert_same_after_restart(&installation, &before);
}

#[tokio::test]
async fn left_by_a_crash() {
    let (installation, _) = filled().await;
    let running = installation.start();
    let stream = running.catalog.stream(&name("cam-02")).unwrap();
    for n in 0..10 {
        let labels = Tags::from([("round".into(), n.to_string())]);
        running.catalog.set_labels(stream.id, labels).await.unwrap();
        running.catalog.create_access_key(None, None).await.unwrap();
    }
    let at_once = installation.crash_image();
    at_once.delete_view();
    assert_same_after_restart(&at_once, &running.answers());
    // Time enough for the view, whose write-ahead file is still there then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_same_after_restart(&installation.crash_image(), &running.answers());
}

#[tokio::test]
async fn ids_are_not_reused_though_the_newest_stream_is_deleted() {
    let installation = Installation::new();
    let mut last = None;
    for delete_view in [false, true, false] {
        let running = installation.start();
        let stream = running.catalog.create_stream(NewStream::new(name("cam"), HOUR)).await.unwrap();
        running.catalog.delete_stream(stream.id, None).await.unwrap();
        running.stop();
        assert!(last < Some(stream.id), "{last:?} then {}", stream.id);
        last = Some(stream.id);
        if delete_view {
            installation.delete_view();
        }
    }
}

#[tokio::test]
async fn an_id_whose_key_outlived_its_commands_is_not_reused() {
    let installation = Installation::new();
    let running = installation.start();
    for used in [1, 3] {
        running.log.keys().create_stream_key(StreamId(used)).unwrap();
    }
    for expected in [2, 4, 5] {
        let new = NewStream::new(name(&format!("cam-{expected}")), HOUR);
        assert_eq!(running.catalog.create_stream(new).await.unwrap().id, StreamId(expected));
    }
}

#[tokio::test]
async fn a_deletion_cut_short_is_finished_at_start() {
    let installation = Installation::new();
    let running = installation.start();
    let stream = running.catalog.create_stream(NewStream::new(name("cam"), HOUR)).await.unwrap();
    let lane = LaneId::Bulk(RetentionClass::Day);
    let secret = running.log.append(lane, vec![media_entry(stream.id, b"a frame")]).await.unwrap();
    // The crash: the command is durable, the key is not yet destroyed.
    running.append_raw(&format!(r#"{{"version":1,"command":{{"delete_stream":{}}}}}"#, stream.id)).await;
    assert_eq!(running.log.read(&secret.locations[0]).await.unwrap(), &b"a frame"[..]);
    running.stop();

    for delete_view in [true, false] {
        let running = installation.start();
        assert!(running.catalog.stream(&name("cam")).is_none());
        assert!(!running.log.keys().has_stream_key(stream.id));
        assert!(running.log.read(&secret.locations[0]).await.is_err());
        let again = running.catalog.create_stream(NewStream::new(name("cam"), HOUR)).await.unwrap();
        assert!(again.id > stream.id && running.log.keys().has_stream_key(again.id));
        running.catalog.delete_stream(again.id, None).await.unwrap();
        running.stop();
        if delete_view {
            installation.delete_view();
        }
    }
}

#[tokio::test]
async fn commands_of_a_newer_program_are_refused() {
    let (installation, _) = filled().await;
    let log = installation.log();
    append_raw(&log, r#"{"version":2,"command":{"grow_wings":{}}}"#).await;
    let refused = installation.open_on(&log).map(drop);
    assert!(matches!(refused, Err(CatalogError::CommandVersion { version: 2 })), "{refused:?}");
}
