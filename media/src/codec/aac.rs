//! AAC: AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

use bytes::Bytes;

use super::Description;
use crate::MediaError;
use crate::bits::BitReader;

/// Sampling frequencies by index (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// What an AudioSpecificConfig says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Audio object type: 2 for AAC-LC, 5 for HE-AAC, 29 for HE-AAC v2.
    pub(crate) object_type: u32,
    /// Samples per second of the AAC core.
    pub(crate) core_rate: u32,
    /// Samples per second after spectral band replication.
    pub(crate) output_rate: u32,
    /// Channels; 0 where a program config element tells.
    pub(crate) channels: u8,
    /// Core samples per access unit: 1024 or 960.
    pub(crate) frame_samples: u32,
    /// Length of the config in bits.
    pub(crate) bits: usize,
}

impl Config {
    /// Reads the config at the start of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut BitReader::new(bytes))
    }

    pub(crate) fn read(reader: &mut BitReader<'_>) -> Option<Self> {
        let start = reader.position();
        let object_type = object_type(reader)?;
        let core_rate = rate(reader)?;
        let configuration = reader.byte(4)?;
        let mut output_rate = core_rate;
        let mut core_type = object_type;
        if matches!(object_type, 5 | 29) {
            output_rate = rate(reader)?;
            core_type = self::object_type(reader)?;
        }
        if !matches!(core_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
            return None; // not described by GASpecificConfig
        }
        let short = reader.bit()?; // frameLengthFlag
        if reader.bit()? {
            reader.skip(14)?; // coreCoderDelay
        }
        reader.bit()?; // extensionFlag
        let channels = match configuration {
            0..=6 => configuration,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return None,
        };
        Some(Self {
            object_type,
            core_rate,
            output_rate,
            channels,
            frame_samples: if short { 960 } else { 1024 },
            bits: reader.position() - start,
        })
    }

    /// Ticks of a clock of `clock_rate` that one access unit lasts.
    pub(crate) fn frame_ticks(&self, clock_rate: u32) -> u32 {
        let ticks = u64::from(self.frame_samples) * u64::from(clock_rate) / u64::from(self.core_rate);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// An AAC-LC config for senders that give none.
pub(crate) fn low_complexity(rate: u32, channels: u8) -> Option<Bytes> {
    let index = u16::try_from(RATES.iter().position(|known| *known == rate)?).ok()?;
    let configuration = match channels {
        0 => 1,
        1..=6 => u16::from(channels),
        8 => 7,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&(2 << 11 | index << 7 | configuration << 3).to_be_bytes()))
}

/// Length of the ADTS header that bytes begin with, and of the frame with it (ISO/IEC 13818-7 §6.2); `None` where
/// they do not, or the frame is cut off.
pub(crate) fn adts_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let [0xff, flags, _, high, middle, low, ..] = *bytes else { return None };
    let header = if flags & 1 == 1 { 7 } else { 9 };
    let length = usize::from(high & 3) << 11 | usize::from(middle) << 3 | usize::from(low >> 5);
    (flags & 0xf6 == 0xf0 && (header..=bytes.len()).contains(&length)).then_some((header, length))
}

/// What an AudioSpecificConfig says of the track.
pub(super) fn describe(config: &[u8]) -> Result<Description, MediaError> {
    let parsed = Config::parse(config).ok_or(MediaError::Malformed {
        what: "AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1)",
        why: "cut off, or not AAC",
    })?;
    Ok(Description {
        codec_string: format!("mp4a.40.{}", parsed.object_type),
        sample_rate: parsed.output_rate,
        // A program config element is rare enough to be taken for stereo.
        channels: if parsed.channels == 0 { 2 } else { parsed.channels },
        ..Description::default()
    })
}

fn object_type(reader: &mut BitReader<'_>) -> Option<u32> {
    match reader.bits(5)? {
        31 => Some(32 + reader.bits(6)?),
        object_type => Some(object_type),
    }
}

fn rate(reader: &mut BitReader<'_>) -> Option<u32> {
    let rate = match reader.bits(4)? {
        15 => reader.bits(24)?,
        index => *RATES.get(index as usize)?,
    };
    (rate > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_low_complexity_and_he_aac() {
        let config = Config::parse(&[0x12, 0x10]).unwrap();
        assert_eq!((config.object_type, config.output_rate, config.channels), (2, 44100, 2));
        assert_eq!(config.frame_ticks(44100), 1024);
        // HE-AAC: object type 5, core 24 kHz, stereo, extension 48 kHz, core object type 2.
        let config = Config::parse(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!((config.object_type, config.core_rate, config.output_rate), (5, 24000, 48000));
        assert_eq!(config.frame_ticks(48000), 2048);
        assert_eq!(describe(&[0x2b, 0x11, 0x88, 0x00]).unwrap().codec_string, "mp4a.40.5");
    }

    #[test]
    fn makes_the_config_a_sender_left_out() {
        assert_eq!(low_complexity(44100, 2).unwrap(), [0x12, 0x10].as_slice());
        assert_eq!(low_complexity(44101, 2), None);
    }

    #[test]
    fn finds_frames_behind_adts_headers() {
        let frame = b"\xff\xf1\x4c\x40\x01\x7f\xfc\0\0\0\x07";
        assert_eq!(adts_frame(frame), Some((7, 11)));
        assert_eq!(adts_frame(&frame[..10]), None, "cut off");
        assert_eq!(adts_frame(b"\xff\xfb\x4c\x40\x01\x7f\xfc\0\0\0\x07"), None, "MPEG audio layer III");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
            if let Some((header, length)) = adts_frame(&bytes) {
                assert!(header <= length && length <= bytes.len());
            }
            if let Some(config) = Config::parse(&bytes) {
                config.frame_ticks(u32::MAX);
            }
        }
    }
}
