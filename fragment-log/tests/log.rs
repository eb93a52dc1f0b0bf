//! The log as its users see it, on a real disk.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use base::{StreamId, SystemEntropy};
use fragment_log::{FrameKind, LaneId, Log, LogError, Lsn, MasterKey, Options, RetentionClass};
use support::{Told, entry, master, options, replayed, wait};

const CAMERA: StreamId = StreamId(7);
const BULK: LaneId = LaneId::Bulk(RetentionClass::Week);

#[test]
fn a_fragment_is_told_read_replayed_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    let told = Arc::new(Told::default());
    log.follow(Arc::clone(&told) as _);
    log.keys().create_stream_key(CAMERA).unwrap();
    let pieces = [vec![1; 50_000], vec![2; 30_000]];
    let entries = vec![
        entry(FrameKind::Media, CAMERA, 5, pieces[0].clone()),
        entry(FrameKind::Media, CAMERA, 5, pieces[1].clone()),
        entry(FrameKind::FragmentMeta, CAMERA, 5, b"meta".to_vec()),
    ];
    let appended = wait(log.append(BULK, entries)).unwrap();
    assert_eq!((appended.first, appended.last), (Lsn(1), Lsn(3)));
    assert_eq!(told.0.lock().unwrap().len(), 3, "followers know before the producer");
    let payloads: Vec<_> = told.0.lock().unwrap().iter().map(|(_, frame)| frame.payload.clone()).collect();
    assert_eq!(payloads, [None, None, Some("meta".into())]);

    assert_eq!(wait(log.read_all(&appended.locations[..2])).unwrap(), pieces.concat());
    assert_eq!(replayed(&log, BULK, Lsn(0)).unwrap().len(), 3, "also from the segment that is written");
    drop(log);
    let log = Log::open(options(dir.path())).unwrap();
    assert_eq!(wait(log.read_all(&appended.locations[..2])).unwrap(), pieces.concat());
    assert_eq!(log.last_sequence(CAMERA, 0), Some(5));
    let frames = replayed(&log, BULK, Lsn(2)).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.lsn).collect::<Vec<_>>(), [Lsn(2), Lsn(3)]);
    assert_eq!(frames[1].payload.as_deref(), Some(&b"meta"[..]));
    assert_eq!(frames[0].location, appended.locations[1]);
    assert_eq!(log.lanes(), [BULK]);
    assert!(log.damages().is_empty());
    let next = wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 6, vec![3])])).unwrap();
    assert_eq!(next.first, Lsn(4), "after a clean close the order has no gap");
    drop(log);
    let summary = Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
    assert_eq!((summary.frames, summary.segments, summary.torn_tails), (4, 2, 0));
}

#[test]
fn one_process_at_a_time_and_only_with_the_right_key() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    let refused = |options| Log::open(options).err().expect("it must not open");
    assert!(matches!(refused(options(dir.path())), LogError::Locked(_)));
    drop(log);
    let other = MasterKey::from_base64("//////////////////////////////////////////8=").unwrap();
    let error = refused(Options { master: other, ..options(dir.path()) });
    assert!(error.to_string().contains("master key"), "{error}");
}

#[test]
fn the_master_key_is_made_on_the_first_start_only() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("config/master.key"), dir.path().join("data"));
    let resolve = |variable| MasterKey::resolve(variable, &file, &data, &SystemEntropy);
    assert!(resolve(Some("too short")).is_err());
    let made = resolve(None).unwrap();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(Log::open(Options::new(&data, made)).unwrap());
    drop(Log::open(Options::new(&data, resolve(None).unwrap())).unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = resolve(None).expect_err("a new key would open nothing");
    assert!(error.to_string().contains("master key"), "{error}");
    drop(Log::open(Options::new(&data, resolve(Some(&text)).unwrap())).unwrap());
}

#[test]
fn a_copied_folder_opens_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    let appended = wait(log.append(BULK, vec![entry(FrameKind::Media, CAMERA, 1, vec![5; 100])])).unwrap();
    // Copied while the server runs, as a crash would leave it.
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = std::process::Command::new("cp").arg("-r").arg(dir.path()).arg(elsewhere.path()).status();
    assert!(copy.unwrap().success());
    let log = Log::open(options(&elsewhere.path().join(dir.path().file_name().unwrap()))).unwrap();
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), vec![5; 100]);
}

#[test]
fn verify_finds_nothing_wrong_beside_a_writing_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(options(dir.path())).unwrap();
    log.keys().create_stream_key(CAMERA).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for sequence in 0..150 {
                let entries = vec![entry(FrameKind::Media, CAMERA, sequence, vec![1; 20_000])];
                wait(log.append(BULK, entries)).unwrap();
            }
        });
        while !writing.is_finished() {
            Log::verify(dir.path(), Some(&master()), &mut |damage| panic!("{damage:?}")).unwrap();
        }
    });
    assert!(log.segments().len() > 5, "segments were sealed meanwhile");
}
