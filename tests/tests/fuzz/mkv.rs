//! Stored fragments, and streams of them.

use bytes::Bytes;
use media::mkv::{
    Block, Event, Header, Reader, ReaderLimits, Received, StoredFragment, delivery, has_media, read_fragment,
    write_fragment,
};
use media::{CodecId, Frame};

use crate::memory;

const MAX_TRACKS: usize = 16;

/// A fragment's Matroska file. What is read can be written and read again, and be delivered.
pub(crate) fn fragment(input: &[u8]) {
    let file = Bytes::copy_from_slice(input);
    let Ok(read) = memory::in_proportion(input.len(), || read_fragment(&file)) else { return };
    assert!(read.tracks.len() <= MAX_TRACKS);
    assert!(read.frames.iter().all(|frame| read.track(frame.track).is_some()));
    let media: usize = read.frames.iter().map(|frame| frame.data.len()).sum();
    assert!(media <= file.len());

    let (meta, _) = fixtures::fragment(0);
    let written = write_fragment(&read.tracks, &read.frames, meta.run_origin).concat();
    let again = read_fragment(&written.into()).unwrap();
    assert_eq!((codecs(&again), &again.frames), (codecs(&read), &read.frames));

    let delivered: Bytes = delivery(&file, &meta, 7).unwrap().concat().into();
    let delivered = read_fragment(&delivered).unwrap();
    assert_eq!((codecs(&delivered), payloads(&delivered)), (codecs(&read), payloads(&read)));
}

const LIMITS: ReaderLimits = ReaderLimits { cluster_bytes: 100_000, tracks: 3 };

/// A producer's stream. It tells the same in one portion and in many, and every cluster it tells of can be
/// stored and read back.
pub(crate) fn stream(input: &[u8]) {
    let (events, whole) = memory::in_proportion(input.len(), || events(input, usize::MAX));
    assert_eq!(self::events(input, 700), (events.clone(), whole));
    let (mut header, mut timestamp, mut blocks) = (None, 0, Vec::new());
    for event in events {
        match event {
            Event::Header(found) => header = Some(found),
            Event::Cluster(time) => (timestamp, blocks) = (time, Vec::new()),
            Event::Block(block) => blocks.push(block),
            Event::ClusterEnd => stored(header.as_ref().unwrap(), timestamp, &blocks),
            Event::Tags(tags) => assert!(tags.iter().all(|tag| !tag.name.is_empty())),
        }
    }
}

/// What a stream tells, and whether all of it was taken.
fn events(input: &[u8], portion: usize) -> (Vec<Event>, bool) {
    let (mut reader, mut events) = (Reader::new(LIMITS), Vec::new());
    for bytes in input.chunks(portion) {
        reader.push(bytes);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(_) => return (events, false),
            }
        }
    }
    let last = reader.finish();
    events.extend(last.iter().flatten().cloned());
    (events, last.is_ok())
}

fn stored(header: &Header, timestamp: u64, blocks: &[Block]) {
    let elements: Vec<Bytes> = blocks.iter().map(|block| block.element.clone()).collect();
    let frame = |block: &Block| Frame {
        track: u8::try_from(block.track).unwrap(),
        dts: 0,
        pts: block.time.into(),
        duration: 1,
        key: block.key,
        data: block.data.clone(),
    };
    let frames: Vec<Frame> = blocks.iter().map(frame).collect();
    let received = Received { header, timestamp, blocks: &elements };
    let file = received.file(&frames).concat().into();
    assert!(has_media(&file, &received));
    let read = read_fragment(&file).unwrap();
    assert_eq!((&read.tracks, read.frames), (&header.tracks, frames));
}

fn codecs(fragment: &StoredFragment) -> Vec<(u8, CodecId, &Bytes)> {
    fragment.tracks.iter().map(|track| (track.number, track.codec, &track.private)).collect()
}

fn payloads(fragment: &StoredFragment) -> Vec<(u8, bool, &Bytes)> {
    fragment.frames.iter().map(|Frame { track, key, data, .. }| (*track, *key, data)).collect()
}
