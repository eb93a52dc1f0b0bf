//! The log as its users see it, on a real disk.

mod support;

use std::sync::Arc;

use base::StreamId;
use fragment_log::{FrameKind, INSTALLATION, LaneId, Log, LogError, Lsn, RetentionClass};
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

    for restarted in [false, true] {
        let log = if restarted {
            log.close();
            continue;
        } else {
            &log
        };
        assert_eq!(wait(log.read_all(&appended.locations[..2])).unwrap(), pieces.concat());
    }
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
