//! The codecs: what their parameter sets say. One file per codec.

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
}
