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

/// The samples in a frame; `None` where the codec does not store plain samples. Half a sample at the end
/// is left out.
pub(super) fn samples(codec: CodecId, data: &[u8]) -> Option<Vec<i16>> {
    Some(match codec {
        CodecId::Pcmu => data.iter().map(|byte| mu_law(*byte)).collect(),
        CodecId::Pcma => data.iter().map(|byte| a_law(*byte)).collect(),
        CodecId::L16 => data.as_chunks().0.iter().map(|pair| i16::from_be_bytes(*pair)).collect(),
        _ => return None,
    })
}

/// One sample of µ-law (ITU-T G.711 table 2), scaled to 16 bits.
fn mu_law(byte: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let bits = !byte;
    let magnitude = ((i16::from(bits & 0x0f) << 3) + BIAS) << (bits >> 4 & 7);
    if bits & 0x80 != 0 { BIAS - magnitude } else { magnitude - BIAS }
}

/// One sample of A-law (ITU-T G.711 table 1), scaled to 16 bits.
fn a_law(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let (mantissa, segment) = (i16::from(bits & 0x0f) << 4, bits >> 4 & 7);
    let magnitude = if segment == 0 { mantissa + 8 } else { (mantissa + 0x108) << (segment - 1) };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
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
    fn decodes_the_ends_and_the_middle_of_both_laws() {
        let of = |codec, bytes: &[u8]| samples(codec, bytes).unwrap();
        assert_eq!(of(CodecId::Pcmu, &[0x00, 0x80, 0xff, 0x7f, 0xaa]), [-32_124, 32_124, 0, 0, 5372]);
        assert_eq!(of(CodecId::Pcma, &[0xaa, 0x2a, 0xd5, 0x55, 0x80]), [32_256, -32_256, 8, -8, 5504]);
        assert_eq!(of(CodecId::L16, &[0x80, 0, 0, 1, 9]), [i16::MIN, 1]);
        assert_eq!(samples(CodecId::Aac, &[0]), None);
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
