//! G.711 and L16 as AAC, for browsers: made when it is asked for, never stored.
//!
//! All fragments of a run share one grid of AAC frames: frame `k` plays the samples from `1024 k` on. An AAC
//! frame is decoded from its own samples and the 1024 that follow, and a fragment gives the frames whose
//! last sample it holds. So the frames of successive fragments follow one another without gap or overlap,
//! which frames there are follows from the index alone, and the newest fragment need not wait for the next
//! one. What a fragment's first frames need of the samples before it comes from its predecessor; where that
//! is gone or shorter, or at the start of a run, there is silence. At the end of a run up to 2047 samples are not heard.
//!
//! Every frame has the same number of bytes, the most that AAC allows, filled up where it needs fewer: so
//! the sizes of clips stay foreseeable.

mod access_unit;
mod convert;
#[cfg(feature = "gstreamer")]
mod encoder;
#[cfg(not(feature = "gstreamer"))]
#[path = "no_encoder.rs"]
mod encoder;
mod grid;
mod samples;
#[cfg(test)]
mod tests;

pub(crate) use convert::Converter;

use base::TrackMeta;
use media::{CodecId, Track};

use grid::Span;

/// Bytes of an AAC frame for each channel: 6144 bits, the most there may be (ISO/IEC 14496-3 §4.5.3).
const FRAME_BYTES: usize = 768;

/// Why a track of plain samples cannot become AAC; `None` where it can.
pub(crate) fn obstacle(track: &TrackMeta) -> Option<&'static str> {
    if aac_track(track).is_none() || track.channels > 2 {
        return Some(
            "its rate or number of channels is none of AAC: take it as Matroska (GetMediaForFragmentList)",
        );
    }
    encoder::missing()
}

/// The AAC track that a track of plain samples becomes.
pub(crate) fn aac_track(track: &TrackMeta) -> Option<Track> {
    Track::of_samples(track.number, CodecId::Aac, track.sample_rate, track.channels).ok()
}

/// What is known of the AAC track's share of a fragment before any of it is made.
pub(crate) fn as_aac(track: &TrackMeta) -> TrackMeta {
    let Some(aac) = aac_track(track) else { return track.clone() };
    let span = Span::of(track);
    TrackMeta {
        number: track.number,
        codec: aac.codec.name().into(),
        init_id: aac.init_id(),
        codec_string: aac.codec_string,
        timescale: aac.timescale,
        start: span.start(),
        duration: span.duration(),
        frames: span.count,
        bytes: u64::from(span.count) * frame_bytes(track.channels) as u64,
        width: 0,
        height: 0,
        sample_rate: track.sample_rate,
        channels: track.channels,
    }
}

fn frame_bytes(channels: u8) -> usize {
    FRAME_BYTES * usize::from(channels)
}
