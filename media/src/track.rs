//! A track: what a decoder and a container must know before the first frame.

use base::TrackMeta;
use bytes::Bytes;

use crate::codec::{Description, aac, av1, mjpeg, opus, pcm, vp8, vp9};
use crate::{CodecId, Frame, MediaError};

/// One video or audio track. Two tracks with the same [`Track::init_id`] share their init segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Matroska track number and MP4 track id, from 1.
    pub number: u8,
    /// The codec.
    pub codec: CodecId,
    /// RFC 6381 codec string: `avc1.64001f`, `hvc1.1.6.L93.B0`, `av01.0.04M.08`, `mp4a.40.2`, `opus`.
    pub codec_string: String,
    /// Ticks per second of the frames' times.
    pub timescale: u32,
    /// AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord (ISO/IEC 14496-15), `av1C`, VP9's
    /// features as WebM has them, AudioSpecificConfig (ISO/IEC 14496-3), OpusHead (RFC 7845), or, for G.711
    /// and L16, a WAVEFORMATEX. Nothing for VP8 and Motion JPEG.
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
        if timescale == 0 {
            return Err(MediaError::Malformed { what: "track", why: "a timescale of zero" });
        }
        let Description { codec_string, width, height, frame_rate, reorder_depth, sample_rate, channels } =
            codec.describe(&private)?;
        Ok(Self {
            number,
            codec,
            codec_string,
            timescale,
            private,
            width,
            height,
            frame_rate,
            reorder_depth,
            sample_rate,
            channels,
        })
    }

    /// A track of pictures that this key frame describes, for senders that give no parameter sets
    /// apart: AV1, VP8, VP9, Motion JPEG. `None` where the frame is not a key frame, or of another codec.
    pub fn of_key_frame(number: u8, codec: CodecId, timescale: u32, frame: &[u8]) -> Option<Self> {
        let (private, width, height) = match codec {
            CodecId::Av1 => (av1::av1c(av1::sequence_header(frame)?)?, 0, 0),
            CodecId::Vp9 => {
                let key = vp9::KeyFrame::parse(frame)?;
                (key.private(), key.width, key.height)
            }
            CodecId::Vp8 => {
                let (width, height) = vp8::key_frame_size(frame)?;
                (Bytes::new(), width, height)
            }
            CodecId::Mjpeg => {
                let (width, height) = mjpeg::size(frame)?;
                (Bytes::new(), width, height)
            }
            _ => return None,
        };
        let track = Self::new(number, codec, timescale, private).ok()?;
        Some(if codec.is_sized_by_frames() { Self { width, height, ..track } } else { track })
    }

    /// A track of plain samples (G.711, L16), Opus or AAC-LC, whose timescale is its sample rate.
    /// [`MediaError::Malformed`] for a rate or a number of channels that cannot be.
    pub fn of_samples(
        number: u8,
        codec: CodecId,
        sample_rate: u32,
        channels: u8,
    ) -> Result<Self, MediaError> {
        let private = match codec {
            CodecId::Opus => opus::head(channels),
            CodecId::Aac => aac::low_complexity(sample_rate, channels).unwrap_or_default(),
            _ => pcm::private(codec, sample_rate, channels),
        };
        Self::new(number, codec, sample_rate, private)
    }

    /// A track that is not looked into, by Matroska's codec id: another codec, data, or a known codec whose
    /// private data do not describe it. [`MediaError::Malformed`] for a timescale of zero.
    pub fn other(
        number: u8,
        codec_string: String,
        timescale: u32,
        private: Bytes,
    ) -> Result<Self, MediaError> {
        Ok(Self { codec_string, ..Self::new(number, CodecId::Other, timescale, private)? })
    }

    /// Whether this is a video track.
    pub fn is_video(&self) -> bool {
        self.codec.is_video()
    }

    /// Changes when the init segment must change: a hash of codec, private data and timescale, and of
    /// the size where private data do not say it, that is the same on every machine and in every version.
    pub fn init_id(&self) -> u64 {
        let name = self.codec.name().bytes();
        let timescale = self.timescale.to_be_bytes();
        let size = [self.width, self.height].into_iter().filter(|_| self.codec.is_sized_by_frames());
        let size = size.flat_map(u32::to_be_bytes);
        let other = Some(&self.codec_string).filter(|_| self.codec == CodecId::Other);
        let other = other.into_iter().flat_map(|text| text.bytes());
        let private = self.private.iter().copied();
        fnv1a(name.chain([0]).chain(timescale).chain(private).chain(size).chain(other))
    }

    /// What a fragment's metadata says about this track: `frames` are all frames of the fragment, of
    /// which those of this track count. `start` is the decode time of the first of them, in ticks.
    pub fn meta(&self, start: i64, frames: &[Frame]) -> TrackMeta {
        let mut meta = TrackMeta {
            number: self.number,
            codec: self.codec.name().to_owned(),
            codec_string: self.codec_string.clone(),
            timescale: self.timescale,
            start,
            duration: 0,
            frames: 0,
            bytes: 0,
            width: self.width,
            height: self.height,
            sample_rate: self.sample_rate,
            channels: self.channels,
            init_id: self.init_id(),
        };
        for frame in frames.iter().filter(|frame| frame.track == self.number) {
            meta.duration += u64::from(frame.duration);
            meta.frames += 1;
            meta.bytes += frame.data.len() as u64;
        }
        meta
    }
}

/// FNV-1a, 64 bits: stable by definition, unlike the standard library's hashers.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aac(number: u8) -> Track {
        Track::new(number, CodecId::Aac, 44100, Bytes::from_static(&[0x12, 0x10])).unwrap()
    }

    #[test]
    fn sound_is_described_by_rate_and_channels() {
        assert_eq!(Track::of_samples(1, CodecId::Aac, 44_100, 2), Ok(aac(1)));
        let opus = Track::of_samples(1, CodecId::Opus, 48_000, 2).unwrap();
        assert_eq!((opus.codec_string.as_str(), opus.channels), ("opus", 2));
        assert!(Track::of_samples(1, CodecId::Aac, 9000, 1).is_err(), "no rate of AAC");
        assert!(Track::of_samples(1, CodecId::Pcmu, 8000, 0).is_err());
        assert!(Track::of_samples(1, CodecId::H264, 90_000, 1).is_err(), "no sound");
    }

    #[test]
    fn init_id_follows_what_the_init_segment_holds() {
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
        assert_eq!(aac(1).init_id(), aac(2).init_id());
        let mono = Track::new(1, CodecId::Aac, 44100, Bytes::from_static(&[0x12, 0x08])).unwrap();
        assert_ne!(mono.init_id(), aac(1).init_id());
        let small = Track::new(1, CodecId::Mjpeg, 90_000, Bytes::new()).unwrap();
        let large = Track { width: 640, height: 480, ..small.clone() };
        assert_ne!(small.init_id(), large.init_id(), "nothing else tells the size");
    }

    #[test]
    fn meta_counts_the_frames_of_its_own_track() {
        let frame = |track| Frame {
            track,
            dts: 0,
            pts: 0,
            duration: 1024,
            key: true,
            data: Bytes::from_static(b"abc"),
        };
        let meta = aac(2).meta(77, &[frame(1), frame(2), frame(2)]);
        assert_eq!((meta.start, meta.frames, meta.bytes, meta.duration), (77, 2, 6, 2048));
    }
}
