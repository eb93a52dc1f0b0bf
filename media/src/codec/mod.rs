//! The codecs: what their parameter sets say. One file per codec.

pub(crate) mod aac;
pub(crate) mod h264;
pub(crate) mod h265;
mod parameter_sets;

pub(crate) use parameter_sets::{ParameterSets, SetKind};

use bytes::Bytes;

use crate::MediaError;

/// A codec that can be recorded and played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodecId {
    /// H.264, AVC: ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// H.265, HEVC: ITU-T H.265, ISO/IEC 23008-2.
    H265,
    /// AAC: ISO/IEC 14496-3.
    Aac,
}

impl CodecId {
    /// Every codec.
    pub const ALL: [Self; 3] = [Self::H264, Self::H265, Self::Aac];

    /// The short name that metadata carries and searches use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Aac => "aac",
        }
    }

    /// The codec of a short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether it codes pictures.
    pub const fn is_video(self) -> bool {
        match self {
            Self::H264 | Self::H265 => true,
            Self::Aac => false,
        }
    }

    /// What codec private data say about a track.
    pub(crate) fn describe(self, private: &[u8]) -> Result<Description, MediaError> {
        match self {
            Self::H264 => h264::describe(private),
            Self::H265 => h265::describe(private),
            Self::Aac => aac::describe(private),
        }
    }

    /// The parameter sets in codec private data as NAL units of a sample; empty where there are none.
    pub(crate) fn sets_in_band(self, private: &[u8]) -> Bytes {
        match self {
            Self::H264 => h264::sets_in_band(private).unwrap_or_default(),
            Self::H265 => h265::sets_in_band(private).unwrap_or_default(),
            Self::Aac => Bytes::new(),
        }
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
