//! The codecs: what their parameter sets say. One file per codec.

pub(crate) mod aac;
pub(crate) mod av1;
pub(crate) mod h264;
pub(crate) mod h265;
pub(crate) mod mjpeg;
pub(crate) mod opus;
mod parameter_sets;
pub(crate) mod pcm;
pub(crate) mod vp8;
pub(crate) mod vp9;

pub(crate) use parameter_sets::{ParameterSets, SetKind};

use bytes::Bytes;

use crate::MediaError;

/// A codec that can be recorded. What browsers play of them is `playback`'s matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodecId {
    /// H.264, AVC: ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// H.265, HEVC: ITU-T H.265, ISO/IEC 23008-2.
    H265,
    /// AAC: ISO/IEC 14496-3.
    Aac,
    /// AV1: AV1 Bitstream & Decoding Process Specification.
    Av1,
    /// VP9: VP9 Bitstream & Decoding Process Specification.
    Vp9,
    /// Motion JPEG: a JPEG (ITU-T T.81) for every picture.
    Mjpeg,
    /// Opus: RFC 6716.
    Opus,
    /// G.711 in µ-law: ITU-T G.711.
    Pcmu,
    /// G.711 in A-law: ITU-T G.711.
    Pcma,
    /// Samples of 16 bits, big-endian: RFC 3551 §4.5.11.
    L16,
    /// VP8: RFC 6386.
    Vp8,
    /// Any other, or data: stored and given back as it came, and not looked into. The track's codec string is
    /// Matroska's codec id.
    Other,
}

impl CodecId {
    /// Every codec that is known here.
    pub const ALL: [Self; 11] = [
        Self::H264,
        Self::H265,
        Self::Aac,
        Self::Av1,
        Self::Vp9,
        Self::Mjpeg,
        Self::Opus,
        Self::Pcmu,
        Self::Pcma,
        Self::L16,
        Self::Vp8,
    ];

    /// The short name that metadata carries and searches use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Aac => "aac",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
            Self::Mjpeg => "mjpeg",
            Self::Opus => "opus",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::L16 => "l16",
            Self::Vp8 => "vp8",
            Self::Other => "other",
        }
    }

    /// The codec of a short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether it codes pictures.
    pub const fn is_video(self) -> bool {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Vp9 | Self::Vp8 | Self::Mjpeg => true,
            Self::Aac | Self::Opus | Self::Pcmu | Self::Pcma | Self::L16 | Self::Other => false,
        }
    }

    /// The samples in a frame of G.711 or L16, channels interleaved, of 16 bits each; `None` for other codecs.
    pub fn samples(self, data: &[u8]) -> Option<Vec<i16>> {
        pcm::samples(self, data)
    }

    /// Whether the pictures' size stands in key frames alone, not in codec private data.
    pub(crate) const fn is_sized_by_frames(self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp9 | Self::Mjpeg)
    }

    /// What codec private data say about a track.
    pub(crate) fn describe(self, private: &[u8]) -> Result<Description, MediaError> {
        match self {
            Self::H264 => h264::describe(private),
            Self::H265 => h265::describe(private),
            Self::Aac => aac::describe(private),
            Self::Av1 => av1::describe(private),
            Self::Vp8 => vp8::describe(private),
            Self::Vp9 => vp9::describe(private),
            Self::Mjpeg => mjpeg::describe(private),
            Self::Opus => opus::describe(private),
            Self::Pcmu | Self::Pcma | Self::L16 => pcm::describe(self, private),
            Self::Other => Ok(Description::default()),
        }
    }

    /// The parameter sets in codec private data as a sample carries them; empty where there are none.
    pub(crate) fn sets_in_band(self, private: &[u8]) -> Bytes {
        let sets = match self {
            Self::H264 => h264::sets_in_band(private),
            Self::H265 => h265::sets_in_band(private),
            Self::Av1 => av1::units_in_band(private),
            _ => None,
        };
        sets.unwrap_or_default()
    }
}

/// What codec private data say about a track; zero or none where they do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Description {
    pub(crate) codec_string: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_rate: Option<f64>,
    pub(crate) reorder_depth: u8,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u8,
}

/// What a NAL unit is to whoever stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NalKind {
    /// Part of a coded picture.
    Slice {
        /// Of a picture at which decoding may start.
        key: bool,
        /// Whether it is the picture's first.
        first: bool,
    },
    /// Belongs into the codec private data, not into samples.
    ParameterSet(SetKind),
    /// Delimits or fills; not stored.
    Delimiter,
    /// Stored with the picture: SEI and the like.
    Other,
}

/// Frames per second from a tick's length, where both numbers make sense.
pub(crate) fn frame_rate(ticks_per_second: u32, ticks_per_frame: u64) -> Option<f64> {
    if ticks_per_frame == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "both factors come from 32-bit fields")]
    let rate = f64::from(ticks_per_second) / ticks_per_frame as f64;
    (rate > 0.0 && rate <= 1000.0).then_some(rate)
}
