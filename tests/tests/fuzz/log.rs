//! The fragment log: stored forms, and whole files of a data folder.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use base::{StreamId, Timestamp};
use bytes::Bytes;
use crc32c::crc32c;
use fixtures::{FakeClock, SeededEntropy};
use fragment_log::format::{
    Batch, BatchHead, FRAME_HEADER_BYTES, Footer, FormatError, FrameHeader, Location, MAX_BATCH_FRAMES,
    PartNote, SegmentHeader, Superblock, TAG_BYTES,
};
use fragment_log::{Entry, FrameKind, LaneId, Log, LogError, Lsn, MasterKey, Options, RetentionClass};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::memory;

const HEAD: usize = 64;
const SLOT: usize = 8;

/// A batch, as it is and with its checksums made right.
pub(crate) fn batch(input: &[u8]) {
    check_batch(input);
    let mut sealed = input.to_vec();
    if seal_batch(&mut sealed).is_some() {
        check_batch(&sealed);
    }
}

fn check_batch(bytes: &[u8]) {
    let Ok(batch) = memory::in_proportion(bytes.len(), || Batch::parse(bytes)) else { return };
    let head = &batch.head;
    assert_eq!(BatchHead::parse(&head.to_bytes()).as_ref(), Ok(head));
    assert_eq!(BatchHead::needed(bytes).map(|needed| needed as u64), Some(head.head_bytes()));
    assert!(head.frames.len() <= MAX_BATCH_FRAMES as usize && head.bytes() <= bytes.len() as u64);
    assert_eq!(batch.frames.len(), head.frames.len());
    let mut end = head.offset + head.head_bytes();
    for ((header, sealed), (lsn, offset, slot)) in batch.frames.iter().zip(head.places()) {
        assert_eq!(FrameHeader::parse(&header.to_bytes()).as_ref(), Ok(header));
        assert_eq!(sealed.len(), header.payload_bytes as usize + TAG_BYTES);
        assert!(lsn >= head.first && lsn < head.next() && offset == end);
        end += u64::from(slot.len);
    }
    assert_eq!(end, head.offset + head.bytes());
}

/// Makes magic, lengths and checksums of a batch right; `None` where there is not even a head.
fn seal_batch(bytes: &mut [u8]) -> Option<()> {
    let count = usize::from(*bytes.get(12)? % 4);
    let (head, mut rest) = bytes.split_at_mut_checked(HEAD + SLOT * count)?;
    let mut total = head.len();
    for slot in head[HEAD..].chunks_mut(SLOT) {
        let wanted = usize::from(u16::from_le_bytes([slot[0], slot[1]]));
        let (frame, after) = rest.split_at_mut(wanted.min(rest.len()));
        rest = after;
        seal_frame(frame);
        total += frame.len();
        slot[..4].copy_from_slice(&u32::try_from(frame.len()).ok()?.to_le_bytes());
        slot[4..].copy_from_slice(&crc32c(frame).to_le_bytes());
    }
    head[..4].copy_from_slice(b"MRB\x01");
    head[9..12].fill(0);
    head[12..16].copy_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    head[56..64].copy_from_slice(&(total as u64).to_le_bytes());
    seal(head);
    Some(())
}

/// Makes length and checksum of a frame's header right, where there is one.
fn seal_frame(frame: &mut [u8]) {
    let Some(payload) = frame.len().checked_sub(FRAME_HEADER_BYTES + TAG_BYTES) else { return };
    frame[0] = 0;
    frame[3] = 0;
    frame[72..76].copy_from_slice(&u32::try_from(payload).expect("an input is small").to_le_bytes());
    let crc = crc32c(&frame[..76]);
    frame[76..80].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum that stands behind the magic of most forms.
fn seal(form: &mut [u8]) {
    let crc = crc32c(&form[8..]);
    form[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Every other stored form, as it is and with magic and checksum made right.
pub(crate) fn headers(input: &[u8]) {
    check_headers(input);
    for magic in [b"MRS\x01", b"MRW\x01", b"MRF\x01"] {
        let mut sealed = input.to_vec();
        sealed.resize(input.len().max(40), 0);
        sealed[..4].copy_from_slice(magic);
        if magic == b"MRS\x01" {
            sealed.resize(4096, 0);
        }
        if let Some(rows) = sealed.get_mut(72..).filter(|_| magic == b"MRF\x01") {
            rows.chunks_mut(16 + FRAME_HEADER_BYTES).filter_map(|row| row.get_mut(16..)).for_each(seal_row);
        }
        let end = if magic == b"MRW\x01" { 40 } else { sealed.len() };
        seal(&mut sealed[..end]);
        check_headers(&sealed);
    }
}

fn seal_row(header: &mut [u8]) {
    if header.len() == FRAME_HEADER_BYTES {
        let crc = crc32c(&header[..76]);
        header[76..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn check_headers(bytes: &[u8]) {
    reads_the_same(bytes, FrameHeader::parse, |header| header.to_bytes().to_vec());
    reads_the_same(bytes, SegmentHeader::parse, SegmentHeader::to_bytes);
    reads_the_same(bytes, Superblock::parse, |superblock| superblock.to_bytes().to_vec());
    reads_the_same(bytes, Footer::parse, |footer| footer.to_bytes(8192));
    reads_the_same(bytes, Location::from_bytes, |location| location.to_bytes().to_vec());
    let part = |bytes: &[u8]| PartNote::decode(&Bytes::copy_from_slice(bytes));
    reads_the_same(bytes, part, |note| note.clone().encode().concat());
}

fn reads_the_same<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, FormatError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(form) = memory::in_proportion(bytes.len(), || parse(bytes)) {
        assert_eq!(parse(&write(&form)), Ok(form));
    }
}

const LANE: LaneId = LaneId::Bulk(RetentionClass::Week);
const CAMERA: StreamId = StreamId(7);
const BLOCK: usize = 4096;
/// What a check may hold besides the file: the piece of a segment in which it searches for a batch.
const SEARCHED: usize = 2 * 1024 * 1024;

/// A segment's file. Whatever stands in it is told as damage or as torn, and the log goes on.
pub(crate) fn segment(input: &[u8]) {
    go_on(input);
    let mut sealed = input.to_vec();
    seal_segment(&mut sealed);
    if sealed != input {
        go_on(&sealed);
    }
}

fn go_on(segment: &[u8]) {
    let folder = Folder::with(&[&format!("log/{LANE}/00000000000000000001.seg")], segment);
    folder.verify().expect("damage is told, not an error");
    let log = Log::open(folder.options(2)).expect("a damaged segment is set aside");
    let mut last = Lsn(0);
    log.replay(LANE, Lsn(0), &mut |frame| {
        assert!(frame.lsn > last, "out of order");
        last = frame.lsn;
        Ok(())
    })
    .expect("damaged frames are left out");
    let appended = wait(log.append(LANE, vec![entry(FrameKind::Media, 9, b"after")])).unwrap();
    assert!(appended.first > last, "a place in the order is given twice");
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), "after");
    drop(log);
    let log = Log::open(folder.options(3)).expect("what the log wrote, it reads");
    assert_eq!(wait(log.read(&appended.locations[0])).unwrap(), "after");
    drop(log);
    folder.verify().expect("damage is told, not an error");
}

/// Makes the checksums of a segment's header, batches and footer right.
fn seal_segment(file: &mut [u8]) {
    if file.len() < BLOCK {
        return;
    }
    seal(&mut file[..BLOCK]);
    let trailer = file.last_chunk::<16>().expect("a block is longer");
    let footer = usize::try_from(u64::from_le_bytes(*trailer.first_chunk().expect("8 of 16"))).ok();
    if let Some(footer) = footer.and_then(|at| file.get_mut(at..)).filter(|footer| footer.len() > 72) {
        seal(footer);
    }
    for at in (BLOCK..file.len()).step_by(BLOCK) {
        if file[at..].starts_with(b"MRB\x01") {
            reseal_batch(&mut file[at..]);
        }
    }
}

/// Makes the checksums of a batch right, its lengths as they are.
fn reseal_batch(batch: &mut [u8]) {
    let Some(needed) = BatchHead::needed(batch).filter(|needed| *needed <= batch.len()) else { return };
    let (head, mut rest) = batch.split_at_mut(needed);
    for slot in head[HEAD..].chunks_mut(SLOT) {
        let length = u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]) as usize;
        let Some((frame, after)) = rest.split_at_mut_checked(length) else { break };
        rest = after;
        seal_frame(frame);
        slot[4..].copy_from_slice(&crc32c(frame).to_le_bytes());
    }
    seal(head);
}

/// The key table, in both copies. Anything but the right one is refused in words.
pub(crate) fn key_table(input: &[u8]) {
    let copies = ["keys/table.0", "keys/table.1"];
    let mut sealed = input.to_vec();
    if let Some(start) = sealed.first_chunk_mut() {
        *start = *b"MRK\x01";
    }
    if sealed.len() > 8 {
        seal(&mut sealed);
    }
    for table in [input, &sealed] {
        match Folder::with(&copies, table).verify() {
            Ok(()) | Err(LogError::MasterKey(_) | LogError::Corrupt { .. } | LogError::NoKey(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The files of a data folder with one sealed segment, the same in every run.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> =
    LazyLock::new(|| {
        let folder = Folder::empty();
        let log = Log::open(folder.options(1)).unwrap();
        log.keys().create_stream_key(CAMERA).unwrap();
        wait(log.append(
            LANE,
            vec![entry(FrameKind::Media, 1, &[5; 700]), entry(FrameKind::FragmentMeta, 1, b"{}")],
        ))
        .unwrap();
        wait(log.append(LANE, vec![entry(FrameKind::Media, 2, &[6; 300])])).unwrap();
        drop(log);
        folder.files()
    });

/// A data folder.
struct Folder(TempDir);

impl Folder {
    fn empty() -> Self {
        // In memory where that is offered: nothing here has to outlive the process.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self(dir.unwrap())
    }

    /// [`FILES`], but those at `paths` hold `content`.
    fn with(paths: &[&str], content: &[u8]) -> Self {
        let folder = Self::empty();
        for (path, usual) in FILES.iter() {
            let file = folder.0.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, if paths.contains(&path.as_str()) { content } else { usual }).unwrap();
        }
        assert!(paths.iter().all(|path| folder.0.path().join(path).exists()));
        folder
    }

    /// Every file: its path within the folder, and what is in it.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let (mut files, mut open) = (Vec::new(), vec![self.0.path().to_owned()]);
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                let name = path.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(path).unwrap()));
            }
        }
        files
    }

    fn options(&self, seed: u64) -> Options {
        Options {
            segment_bytes: 64 * 1024,
            clock: Arc::new(FakeClock::default()),
            entropy: Arc::new(SeededEntropy::new(seed)),
            ..Options::new(self.0.path(), master())
        }
    }

    fn verify(&self) -> Result<(), LogError> {
        let stored: usize = self.files().iter().map(|(_, content)| content.len()).sum();
        let mut damages = 0;
        let summary = memory::at_most(SEARCHED + 64 * stored, || {
            Log::verify(self.0.path(), Some(&master()), &mut |_| damages += 1)
        })?;
        assert_eq!(summary.damages, damages);
        Ok(())
    }
}

fn master() -> MasterKey {
    MasterKey::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap()
}

fn entry(kind: FrameKind, sequence: u64, payload: &[u8]) -> Entry {
    let at = Timestamp::from_millis(1_767_268_800_000);
    Entry {
        kind,
        stream: CAMERA,
        shard: 0,
        first_sequence: sequence,
        count: 1,
        server_time: at,
        producer_time: at,
        flags: 0,
        payload: vec![Bytes::copy_from_slice(payload)],
    }
}

/// Runs a future of the log: all it needs is somewhere to block.
fn wait<F: Future>(future: F) -> F::Output {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap());
    RUNTIME.block_on(future)
}
