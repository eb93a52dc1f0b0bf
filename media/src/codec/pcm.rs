//! Samples as they are: G.711 (ITU-T G.711, one byte each) and L16 (RFC 3551 §4.5.11, big-endian).

use bytes::{BufMut, Bytes, BytesMut};

use super::{CodecId, Description};
use crate::MediaError;

/// What a WAVEFORMATEX says (Microsoft `mmreg.h`, the private data of Matroska's `A_MS/ACM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WaveFormat {
    tag: u16,
    channels: u8,
    sample_rate: u32,
}

/// Bytes of a WAVEFORMATEX without an extension.
const WAVE_FORMAT_BYTES: usize = 18;

impl WaveFormat {
    fn parse(private: &[u8]) -> Option<Self> {
        // Byte rate, block size, bits per sample and the extension's size follow.
        let [t0, t1, c0, c1, r0, r1, r2, r3] = *private.first_chunk()?;
        let channels = u8::try_from(u16::from_le_bytes([c0, c1])).ok().filter(|count| *count > 0)?;
        let sample_rate = Some(u32::from_le_bytes([r0, r1, r2, r3])).filter(|rate| *rate > 0)?;
        Some(Self { tag: u16::from_le_bytes([t0, t1]), channels, sample_rate })
    }
}

/// Bytes of one sample of one channel; 0 for codecs that do not store plain samples.
pub(crate) const fn sample_bytes(codec: CodecId) -> u8 {
    match codec {
        CodecId::Pcmu | CodecId::Pcma => 1,
        CodecId::L16 => 2,
        _ => 0,
    }
}

/// The codec private data of plain samples: a WAVEFORMATEX. Matroska carries it for G.711; of L16 it
/// says the same in elements of its own.
pub(crate) fn private(codec: CodecId, sample_rate: u32, channels: u8) -> Bytes {
    let sample = sample_bytes(codec);
    let block = u16::from(sample) * u16::from(channels);
    let mut out = BytesMut::with_capacity(WAVE_FORMAT_BYTES);
    out.put_u16_le(tag(codec));
    out.put_u16_le(channels.into());
    out.put_u32_le(sample_rate);
    out.put_u32_le(sample_rate.saturating_mul(block.into()));
    out.put_u16_le(block);
    out.put_u16_le(8 * u16::from(sample));
    out.put_u16_le(0);
    out.freeze()
}

/// Whether these private data are of this codec: Matroska has one name for both laws of G.711.
pub(crate) fn is_private_of(codec: CodecId, private: &[u8]) -> bool {
    WaveFormat::parse(private).is_some_and(|format| format.tag == tag(codec))
}

const fn tag(codec: CodecId) -> u16 {
    match codec {
        CodecId::Pcma => 6,
        CodecId::Pcmu => 7,
        _ => 1, // WAVE_FORMAT_PCM
    }
}

/// What a WAVEFORMATEX says of the track.
pub(super) fn describe(codec: CodecId, private: &[u8]) -> Result<Description, MediaError> {
    let malformed = |why| MediaError::Malformed { what: "WAVEFORMATEX (mmreg.h)", why };
    let format = WaveFormat::parse(private)
        .filter(|format| format.tag == tag(codec))
        .ok_or_else(|| malformed("cut off, or of another format"))?;
    // L16 is stored without it and must come back the same.
    if codec == CodecId::L16 && self::private(codec, format.sample_rate, format.channels) != private {
        return Err(malformed("not of 16-bit samples"));
    }
    // QuickTime's names of the sample entries.
    let codec_string = match codec {
        CodecId::Pcmu => "ulaw",
        CodecId::Pcma => "alaw",
        _ => "twos",
    };
    Ok(Description {
        codec_string: codec_string.into(),
        sample_rate: format.sample_rate,
        channels: format.channels,
        ..Description::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_windows_defines() {
        assert_eq!(
            private(CodecId::Pcmu, 8000, 1),
            b"\x07\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0\0\0".as_slice()
        );
        assert_eq!(
            private(CodecId::L16, 44_100, 2),
            b"\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0\0\0".as_slice()
        );
    }

    #[test]
    fn tells_the_laws_apart() {
        let a_law = private(CodecId::Pcma, 8000, 1);
        assert!(is_private_of(CodecId::Pcma, &a_law) && !is_private_of(CodecId::Pcmu, &a_law));
        assert!(describe(CodecId::Pcmu, &a_law).is_err());
        let description = describe(CodecId::Pcma, &a_law).unwrap();
        assert_eq!((description.codec_string.as_str(), description.sample_rate), ("alaw", 8000));
    }

    #[test]
    fn refuses_what_has_no_samples() {
        assert!(describe(CodecId::Pcmu, &private(CodecId::Pcmu, 0, 1)).is_err());
        assert!(describe(CodecId::Pcmu, &private(CodecId::Pcmu, 8000, 0)).is_err());
        assert!(describe(CodecId::Pcmu, &private(CodecId::Pcmu, 8000, 1)[..7]).is_err());
    }
}
