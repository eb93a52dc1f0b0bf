use std::path::PathBuf;

use base::{SystemEntropy, Timestamp};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Entry;
use crate::format::{FRAME_HEADER_BYTES, FrameKind};
use crate::io::{DiskIo, File};

const CAMERA: StreamId = StreamId(7);

fn keyring(dir: &Path, master: u8, writer: u8) -> Result<Keyring, LogError> {
    let fresh = !dir.join("table.0").exists() && !dir.join("table.1").exists();
    let master = MasterKey::from_base64(&master_text(master)).expect("it is base64 of 32 bytes");
    Keyring::open(Arc::new(DiskIo), dir, master, Arc::new(SystemEntropy), WriterId([writer; 16]), fresh)
}

fn master_text(byte: u8) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode([byte; 32])
}

fn entry(stream: StreamId, payload: &[u8]) -> Entry {
    Entry {
        kind: FrameKind::Media,
        stream,
        shard: 0,
        first_sequence: 1,
        count: 1,
        server_time: Timestamp::default(),
        producer_time: Timestamp::default(),
        flags: 0,
        payload: vec![Bytes::copy_from_slice(payload)],
    }
}

#[test]
fn keys_survive_and_a_wrong_master_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keyring(dir.path(), 1, 1).unwrap();
    keys.create_stream_key(CAMERA).unwrap();
    let (secret, blob) = (keys.derive(b"tags"), keys.seal_blob(b"row 1", b"porch"));
    drop(keys);

    let wrong = keyring(dir.path(), 2, 2).err().expect("another master key opens nothing");
    assert!(matches!(wrong, LogError::MasterKey(_)));
    assert!(wrong.to_string().contains("master key"), "{wrong}");

    let keys = keyring(dir.path(), 1, 2).unwrap();
    assert!(keys.has_stream_key(CAMERA));
    assert_eq!(keys.derive(b"tags"), secret);
    assert_ne!(keys.derive(b"labels"), secret);
    assert_eq!(keys.open_blob(b"row 1", &blob).as_deref(), Some(&b"porch"[..]));
    assert_eq!(keys.open_blob(b"row 2", &blob), None);
}

#[test]
fn either_copy_of_the_table_is_enough_and_repairs_the_other() {
    let dir = tempfile::tempdir().unwrap();
    keyring(dir.path(), 1, 1).unwrap().create_stream_key(CAMERA).unwrap();
    for name in ["table.0", "table.1"] {
        let path = dir.path().join(name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(keyring(dir.path(), 1, 1).unwrap().has_stream_key(CAMERA));
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}

#[test]
fn no_table_where_there_must_be_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let master = MasterKey::from_base64(&master_text(1)).unwrap();
    let opened = Keyring::open(
        Arc::new(DiskIo),
        dir.path(),
        master,
        Arc::new(SystemEntropy),
        WriterId([1; 16]),
        false,
    );
    assert!(matches!(opened.err(), Some(LogError::NoKeyTable(_))));
}

#[test]
fn a_destroyed_key_opens_nothing_and_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Arc::new(keyring(dir.path(), 1, 1).unwrap());
    keys.create_stream_key(CAMERA).unwrap();
    let mut sealed = Seal::new(Arc::clone(&keys)).seal(entry(CAMERA, b"secret")).unwrap();
    keys.destroy_stream_key(CAMERA).unwrap();
    keys.destroy_stream_key(INSTALLATION).unwrap();
    assert!(matches!(keys.open_frame(&sealed.header, &mut sealed.bytes), Err(OpenError::NoKey)));
    assert!(matches!(
        Seal::new(Arc::clone(&keys)).seal(entry(CAMERA, b"more")),
        Err(LogError::NoKey(CAMERA))
    ));
    let keys = keyring(dir.path(), 1, 2).unwrap();
    assert!(!keys.has_stream_key(CAMERA) && keys.has_stream_key(INSTALLATION));
}

#[test]
fn nonces_differ_and_equal_payloads_look_different() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Arc::new(keyring(dir.path(), 1, 1).unwrap());
    keys.create_stream_key(CAMERA).unwrap();
    let seal = Seal::new(keys);
    let (first, second) =
        (seal.seal(entry(CAMERA, &[0; 64])).unwrap(), seal.seal(entry(CAMERA, &[0; 64])).unwrap());
    assert_ne!(first.header.counter, second.header.counter);
    assert_ne!(first.bytes[FRAME_HEADER_BYTES..], second.bytes[FRAME_HEADER_BYTES..]);
}

#[test]
fn a_new_epoch_seals_and_the_old_ones_open() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Arc::new(keyring(dir.path(), 1, 1).unwrap());
    assert!(matches!(keys.rotate_stream_key(CAMERA), Err(LogError::NoKey(CAMERA))));
    keys.create_stream_key(CAMERA).unwrap();
    let seal = Seal::new(Arc::clone(&keys));
    let old = seal.seal(entry(CAMERA, b"old")).unwrap();
    assert_eq!(keys.rotate_stream_key(CAMERA).unwrap(), 2);
    keys.create_stream_key(CAMERA).unwrap();
    let new = seal.seal(entry(CAMERA, b"new")).unwrap();
    assert_eq!((old.header.key_epoch, new.header.key_epoch), (1, 2));
    let mut frame = new.bytes.clone();
    keys.open_frame(&new.header, &mut frame).unwrap();
    let mut forged = new.bytes.clone();
    let other = FrameHeader { key_epoch: 1, ..new.header };
    assert!(matches!(keys.open_frame(&other, &mut forged), Err(OpenError::Broken)));
    // What is derived from the installation's key outlives its rotation.
    let (secret, blob) = (keys.derive(b"tags"), keys.seal_blob(b"row 1", b"porch"));
    assert_eq!(keys.rotate_stream_key(INSTALLATION).unwrap(), 2);
    let later = keyring(dir.path(), 1, 2).unwrap();
    assert_eq!(later.derive(b"tags"), secret);
    assert_eq!(later.open_blob(b"row 1", &blob).as_deref(), Some(&b"porch"[..]));
}

/// The machine's disk, but one folder's names cannot be made durable.
struct Unsynced(PathBuf);

impl Io for Unsynced {
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        DiskIo.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        DiskIo.list(dir)
    }
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn File>> {
        DiskIo.create(path)
    }
    fn open(&self, path: &Path) -> std::io::Result<Box<dyn File>> {
        DiskIo.open(path)
    }
    fn open_read(&self, path: &Path) -> std::io::Result<Box<dyn File>> {
        DiskIo.open_read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        DiskIo.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        DiskIo.unlink(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        if dir == self.0 { Err(std::io::Error::other("it has failed")) } else { DiskIo.sync_dir(dir) }
    }
    fn space(&self, dir: &Path) -> std::io::Result<crate::DiskSpace> {
        DiskIo.space(dir)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn Send + Sync>> {
        DiskIo.lock(path)
    }
}

#[test]
fn while_the_key_file_may_hold_either_key_nothing_depends_on_which() {
    let (dir, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = config.path().join("master.key");
    let master = MasterKey::create(&file, &SystemEntropy).unwrap();
    let old = std::fs::read_to_string(&file).unwrap();
    let io = Arc::new(Unsynced(config.path().to_owned()));
    let writer = WriterId([1; 16]);
    let keys = Keyring::open(io, dir.path(), master, Arc::new(SystemEntropy), writer, true).unwrap();
    let keys = Arc::new(keys);
    keys.create_stream_key(CAMERA).unwrap();
    keys.rotate_master_key(None).unwrap_err();
    let refused = keys.destroy_stream_key(CAMERA).unwrap_err().to_string();
    assert!(refused.contains("master.key may hold the old key or the new one"), "{refused}");
    assert!(keys.rotate_master_key(None).is_err() && keys.rotate_stream_key(CAMERA).is_err());
    Seal::new(Arc::clone(&keys)).seal(entry(CAMERA, b"recording goes on")).unwrap();
    let new = std::fs::read_to_string(&file).unwrap();
    assert_ne!(old, new);
    for text in [old, new] {
        let copy = tempfile::tempdir().unwrap();
        for name in ["table.0", "table.1"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let (io, master) = (Arc::new(DiskIo), MasterKey::from_base64(&text).unwrap());
        let keys = Keyring::open(io, copy.path(), master, Arc::new(SystemEntropy), writer, false).unwrap();
        assert!(keys.has_stream_key(CAMERA));
        keys.destroy_stream_key(CAMERA).unwrap();
    }
}

#[test]
fn a_newer_copy_under_another_master_key_is_not_replaced() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    keyring(old.path(), 1, 1).unwrap();
    keyring(new.path(), 2, 1).unwrap().create_stream_key(CAMERA).unwrap();
    let mixed = old.path().join("table.1");
    std::fs::copy(new.path().join("table.1"), &mixed).unwrap();
    let before = std::fs::read(&mixed).unwrap();
    let refused = keyring(old.path(), 1, 2).err().expect("keys would be lost").to_string();
    assert!(refused.contains("master key") && refused.contains("table.1"), "{refused}");
    assert_eq!(std::fs::read(&mixed).unwrap(), before);
}

#[test]
fn a_command_wraps_what_it_can_unwrap() {
    let dir = tempfile::tempdir().unwrap();
    let open = |script: &str, fresh| {
        let words = ["sh", "-c", script, "kms"].map(str::to_owned);
        let master = MasterKey::from_command(&words).unwrap();
        assert_eq!(master.place(), MasterKeyPlace::Command);
        let (io, entropy) = (Arc::new(DiskIo), Arc::new(SystemEntropy));
        Keyring::open(io, dir.path(), master, entropy, WriterId([1; 16]), fresh)
    };
    let kms = "if [ $1 = wrap ]; then base64; else base64 -d; fi";
    for (broken, told) in [
        ("cat >/dev/null", "nothing"),
        ("echo sorry", "does not unwrap"),
        ("[ $1 = wrap ] && cat", "ended with exit status: 1"),
    ] {
        let error = open(broken, true).err().expect("it must not be trusted").to_string();
        assert!(error.starts_with("master key: ") && error.contains(told), "{error}");
        assert!(!dir.path().join("table.0").exists());
    }
    let keys = open(kms, true).unwrap();
    keys.create_stream_key(CAMERA).unwrap();
    assert_eq!(keys.rotate_master_key(None).unwrap(), MasterKeyPlace::Command);
    assert!(open(kms, false).unwrap().has_stream_key(CAMERA));
    for (other, told) in [("exit 1", "table.0 does not open"), ("cat", "45 bytes"), ("head -c 5", "5 bytes")]
    {
        let error = open(other, false).err().expect("it does not unwrap").to_string();
        assert!(error.starts_with("master key: ") && error.contains(told), "{error}");
    }
    // The kinds of master key tell each other apart, and change into each other.
    let error = keyring(dir.path(), 1, 1).err().expect("a command wrapped it").to_string();
    assert!(error.contains("a command wrapped it"), "{error}");
    let next = MasterKey::from_base64(&master_text(1)).unwrap();
    assert_eq!(keys.rotate_master_key(Some(next)).unwrap(), MasterKeyPlace::Caller);
    assert!(keyring(dir.path(), 1, 1).unwrap().has_stream_key(CAMERA));
    let error = open(kms, false).err().expect("a key wrapped it").to_string();
    assert!(error.contains("a key of 32 bytes wrapped it"), "{error}");
}

/// What may happen to a keyring.
#[derive(Clone, Copy, Debug)]
enum Step {
    Seal(StreamId),
    RotateStream(StreamId),
    RotateTable,
    Destroy(StreamId),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stream = || (1..4u64).prop_map(StreamId);
    let step = prop_oneof![
        6 => stream().prop_map(Step::Seal),
        3 => stream().prop_map(Step::RotateStream),
        1 => Just(Step::RotateTable),
        1 => stream().prop_map(Step::Destroy),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_sealed_opens_across_rotations_and_restarts_until_its_stream_goes(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Arc::new(keyring(dir.path(), 1, 0).unwrap());
        (1..4).for_each(|stream| keys.create_stream_key(StreamId(stream)).unwrap());
        let (mut seal, mut starts) = (Seal::new(Arc::clone(&keys)), 0);
        let (mut frames, mut gone) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Seal(stream) => match seal.seal(entry(stream, b"footage")) {
                    Ok(sealed) => frames.push(sealed),
                    Err(LogError::NoKey(of)) => prop_assert!(of == stream && gone.contains(&stream)),
                    Err(error) => panic!("{error}"),
                },
                Step::RotateStream(stream) => {
                    prop_assert_eq!(keys.rotate_stream_key(stream).is_err(), gone.contains(&stream));
                }
                Step::RotateTable => keys.rotate_table_key().unwrap(),
                Step::Destroy(stream) => {
                    keys.destroy_stream_key(stream).unwrap();
                    gone.push(stream);
                }
                Step::Restart => {
                    starts += 1;
                    keys = Arc::new(keyring(dir.path(), 1, starts).unwrap());
                    seal = Seal::new(Arc::clone(&keys));
                }
            }
            for sealed in &frames {
                let mut frame = sealed.bytes.clone();
                match keys.open_frame(&sealed.header, &mut frame) {
                    Ok(()) => prop_assert_eq!(&frame[..7], b"footage"),
                    Err(OpenError::NoKey) => prop_assert!(gone.contains(&sealed.header.stream)),
                    Err(OpenError::Broken) => panic!("{:?}", sealed.header),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_another_start_sealed_opens_and_no_flip_does(
        payload in prop::collection::vec(any::<u8>(), 0..2000),
        bit: prop::sample::Index,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Arc::new(keyring(dir.path(), 1, 1).unwrap());
        keys.create_stream_key(CAMERA).unwrap();
        let sealed = Seal::new(keys).seal(entry(CAMERA, &payload)).unwrap();
        let later = keyring(dir.path(), 1, 2).unwrap();
        let mut frame = sealed.bytes.clone();
        later.open_frame(&sealed.header, &mut frame).unwrap();
        prop_assert_eq!(&frame[..payload.len()], &payload);

        let mut frame = sealed.bytes.clone();
        let bit = bit.index((frame.len() - FRAME_HEADER_BYTES) * 8);
        frame[FRAME_HEADER_BYTES + bit / 8] ^= 1 << (bit % 8);
        prop_assert!(matches!(later.open_frame(&sealed.header, &mut frame), Err(OpenError::Broken)));
    }

    #[test]
    fn blobs_round_trip_and_any_bytes_are_opened_or_refused(
        plain in prop::collection::vec(any::<u8>(), 0..100),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let keys = keyring(dir.path(), 1, 1).unwrap();
        let sealed = keys.seal_blob(b"context", &plain);
        prop_assert_eq!(keys.open_blob(b"context", &sealed), Some(plain));
        prop_assert_eq!(keys.open_blob(b"context", &noise), None);
    }
}
