//! A track: what a decoder and a container must know before the first frame.

use base::TrackMeta;
use bytes::Bytes;

use crate::{CodecId, Frame, MediaError};

/// One video or audio track. Two tracks with the same [`Track::init_id`] share their init segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Matroska track number and MP4 track id, from 1.
    pub number: u8,
    /// The codec.
    pub codec: CodecId,
    /// RFC 6381 codec string: `avc1.64001f`, `hvc1.1.6.L93.B0`, `mp4a.40.2`.
    pub codec_string: String,
    /// Ticks per second of the frames' times.
    pub timescale: u32,
    /// AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord (ISO/IEC 14496-15) or
    /// AudioSpecificConfig (ISO/IEC 14496-3).
    pub private: Bytes,
    /// Picture width in pixels; 0 for audio, or where the parameter sets cannot be read.
    pub width: u32,
    /// Picture height in pixels; 0 for audio, or where the parameter sets cannot be read.
    pub height: u32,
    /// Pictures per second as the parameter sets state it; often absent, sometimes wrong.
    pub frame_rate: Option<f64>,
    /// How many frames may precede a frame in decoding order and follow it in output order.
    pub reorder_depth: u8,
    /// Samples per second; 0 for video.
    pub sample_rate: u32,
    /// Audio channels; 0 for video.
    pub channels: u8,
}

impl Track {
    /// A track described by its codec private data. Private data whose inner parameter sets cannot
    /// be read still makes a track, without what they would have told (size, frame rate).
    pub fn new(number: u8, codec: CodecId, timescale: u32, private: Bytes) -> Result<Self, MediaError> {
        let _ = (number, codec, timescale, private);
        todo!("land the public face")
    }

    /// Whether this is a video track.
    pub fn is_video(&self) -> bool {
        self.codec.is_video()
    }

    /// Changes when the init segment must change: a hash of codec, private data and timescale that
    /// is the same on every machine and in every version.
    pub fn init_id(&self) -> u64 {
        todo!("land the public face")
    }

    /// What a fragment's metadata says about this track: `frames` are all frames of the fragment, of
    /// which those of this track count. `start` is the decode time of the first of them, in ticks.
    pub fn meta(&self, start: i64, frames: &[Frame]) -> TrackMeta {
        let _ = (start, frames);
        todo!("land the public face")
    }
}
