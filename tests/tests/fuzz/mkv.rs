//! Stored fragments.

use bytes::Bytes;
use media::mkv::{StoredFragment, delivery, read_fragment, write_fragment};
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

fn codecs(fragment: &StoredFragment) -> Vec<(u8, CodecId, &Bytes)> {
    fragment.tracks.iter().map(|track| (track.number, track.codec, &track.private)).collect()
}

fn payloads(fragment: &StoredFragment) -> Vec<(u8, bool, &Bytes)> {
    fragment.frames.iter().map(|Frame { track, key, data, .. }| (*track, *key, data)).collect()
}
