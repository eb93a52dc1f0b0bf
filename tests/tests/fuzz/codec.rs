//! What decoders and containers are told of a track.

use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use media::fmp4::init_segment;
use media::mkv::{read_fragment, write_fragment};
use media::{CodecId, Track};

use crate::memory;

/// Codec private data: parameter sets in avcC and hvcC, AudioSpecificConfig. The first byte says which.
pub(crate) fn private(input: &[u8]) {
    let Some((codec, private)) = input.split_first() else { return };
    let codec = CodecId::ALL[usize::from(*codec) % CodecId::ALL.len()];
    let private = Bytes::copy_from_slice(private);
    let track = memory::in_proportion(input.len(), || Track::new(1, codec, 90_000, private));
    if let Ok(track) = track {
        check(&Arc::new(track));
    }
}

/// A track that was made from foreign bytes is fit for every container.
pub(crate) fn check(track: &Arc<Track>) {
    assert!(track.reorder_depth <= 16);
    assert!(track.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= 1000.0));
    assert_eq!(track.is_video(), track.sample_rate == 0);
    assert_eq!(track.width == 0, track.height == 0, "half a size");
    let file = Bytes::from(write_fragment(&[Arc::clone(track)], &[], Timestamp::default()).concat());
    assert_eq!(read_fragment(&file).unwrap().tracks, [Arc::clone(track)]);
    memory::in_proportion(file.len(), || {
        // A codec that the container cannot describe is refused.
        let _ = init_segment(&[track]);
    });
}
