//! TrackEntry (RFC 9559 §5.1.4.1): what a file says of a track.

use bytes::Bytes;

use super::ebml::{Element, id, malformed};
use super::write::codec_name;
use crate::codec::pcm;
use crate::{CodecId, MediaError, Track};

/// Longer than any codec id in the registry.
const CODEC_ID_BYTES: usize = 64;

/// A TrackEntry, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) number: u8,
    /// How long a frame is shown, in nanoseconds, where it says so; else 0.
    pub(super) default_duration_ns: u64,
    codec_id: Bytes,
    private: Bytes,
    width: u32,
    height: u32,
    sampling_frequency: f64,
    channels: u8,
    bit_depth: u64,
}

impl Entry {
    pub(super) fn read(entry: &Element) -> Result<Self, MediaError> {
        let mut read = Self { channels: 1, ..Self::default() };
        for element in entry.children() {
            let element = element?;
            match element.id {
                id::TRACK_NUMBER => read.number = u8::try_from(element.uint()?).unwrap_or(0),
                id::CODEC_ID => read.codec_id = element.data,
                id::CODEC_PRIVATE => read.private = element.data,
                id::DEFAULT_DURATION => read.default_duration_ns = element.uint()?,
                id::VIDEO | id::AUDIO => read.settings(&element)?,
                id::CONTENT_ENCODINGS => {
                    return Err(malformed(
                        "a track with ContentEncodings: send frames neither encrypted nor compressed",
                    ));
                }
                _ => {}
            }
        }
        if read.number == 0 {
            return Err(malformed("a track without a number from 1 to 255"));
        }
        let plain = read.codec_id.iter().all(u8::is_ascii_graphic);
        if !plain || read.codec_id.is_empty() || read.codec_id.len() > CODEC_ID_BYTES {
            return Err(malformed("a track without a CodecID of 1 to 64 printable characters"));
        }
        Ok(read)
    }

    /// The elements of Video or Audio.
    fn settings(&mut self, settings: &Element) -> Result<(), MediaError> {
        for element in settings.children() {
            let element = element?;
            match element.id {
                id::PIXEL_WIDTH => self.width = u32::try_from(element.uint()?).unwrap_or(0),
                id::PIXEL_HEIGHT => self.height = u32::try_from(element.uint()?).unwrap_or(0),
                id::SAMPLING_FREQUENCY => self.sampling_frequency = element.float()?,
                id::CHANNELS => self.channels = u8::try_from(element.uint()?).unwrap_or(0),
                id::BIT_DEPTH => self.bit_depth = element.uint()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The track, with frames timed in so many ticks a second. One of a codec that is not known here, or
    /// that its private data do not describe, is not looked into.
    pub(super) fn track(&self, timescale: u32) -> Result<Track, MediaError> {
        let known = self.codec().and_then(|(codec, private)| {
            let mut track = Track::new(self.number, codec, timescale, private).ok()?;
            if track.width == 0 && codec.is_video() {
                (track.width, track.height) = (self.width, self.height);
            }
            Some(track)
        });
        let codec_id = || String::from_utf8_lossy(&self.codec_id).into_owned();
        known.map_or_else(|| Track::other(self.number, codec_id(), timescale, self.private.clone()), Ok)
    }

    /// Which codec it is, and its private data.
    fn codec(&self) -> Option<(CodecId, Bytes)> {
        let either_law = |codec: &CodecId| match codec {
            CodecId::Pcmu | CodecId::Pcma => pcm::is_private_of(*codec, &self.private),
            _ => true,
        };
        let is_named = |codec: &CodecId| codec_name(*codec).is_some_and(|name| self.is_named(name));
        match CodecId::ALL.into_iter().filter(is_named).find(either_law)? {
            CodecId::L16 if self.bit_depth != 16 => None,
            // A rate that is no number becomes 0, which describes no track.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            CodecId::L16 => {
                let rate = self.sampling_frequency as u32;
                Some((CodecId::L16, pcm::private(CodecId::L16, rate, self.channels)))
            }
            codec @ (CodecId::Vp8 | CodecId::Mjpeg) => Some((codec, Bytes::new())),
            codec => Some((codec, self.private.clone())),
        }
    }

    /// Whether the codec's id is this one, or another that producers have for it.
    fn is_named(&self, name: &str) -> bool {
        let found: &[u8] = match &self.codec_id[..] {
            b"V_MPEG/ISO/AVC" => b"V_MPEG4/ISO/AVC",
            b"V_MPEG/ISO/HEVC" => b"V_MPEGH/ISO/HEVC",
            id if id.starts_with(b"A_AAC/") => b"A_AAC",
            id => id,
        };
        found == name.as_bytes()
    }
}
