//! Opus: the identification header (RFC 7845 §5.1), which Matroska and, in other byte order, MP4 carry.

use bytes::{BufMut, Bytes, BytesMut};

use super::Description;
use crate::MediaError;

/// Ticks per second of every Opus stream, whatever rate it was made from (RFC 7587 §4.1).
pub(crate) const SAMPLE_RATE: u32 = 48_000;

/// Bytes of a header without a channel mapping table.
const HEAD_BYTES: usize = 19;

/// What an identification header says. Only mapping family 0 (mono, stereo) is recorded: RTP has no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) channels: u8,
    /// Samples at 48 kHz that a decoder drops at the start.
    pub(crate) pre_skip: u16,
    /// Of the source; decoders do not need it.
    pub(crate) input_rate: u32,
    /// In 1/256 dB.
    pub(crate) gain: i16,
}

impl Head {
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let fields: &[u8; HEAD_BYTES] = head.try_into().ok()?;
        let [
            b'O',
            b'p',
            b'u',
            b's',
            b'H',
            b'e',
            b'a',
            b'd',
            version,
            channels,
            p0,
            p1,
            r0,
            r1,
            r2,
            r3,
            g0,
            g1,
            family,
        ] = *fields
        else {
            return None;
        };
        if version & 0xf0 != 0 || family != 0 || !matches!(channels, 1 | 2) {
            return None;
        }
        Some(Self {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([g0, g1]),
        })
    }
}

/// The header of a stream that is joined while it runs: nothing to skip, nothing to amplify.
pub(crate) fn head(channels: u8) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES);
    out.put_slice(b"OpusHead");
    out.put_slice(&[1, channels]);
    out.put_u16_le(0);
    out.put_u32_le(SAMPLE_RATE);
    out.put_i16_le(0);
    out.put_u8(0);
    out.freeze()
}

/// What an identification header says of the track.
pub(super) fn describe(head: &[u8]) -> Result<Description, MediaError> {
    let head = Head::parse(head).ok_or(MediaError::Malformed {
        what: "OpusHead (RFC 7845 §5.1)",
        why: "cut off, or neither mono nor stereo",
    })?;
    Ok(Description {
        codec_string: "opus".into(),
        sample_rate: SAMPLE_RATE,
        channels: head.channels,
        ..Description::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip() {
        let read = Head::parse(&head(2)).unwrap();
        assert_eq!(read, Head { channels: 2, pre_skip: 0, input_rate: 48_000, gain: 0 });
        // As opusenc writes it: 312 samples to skip, made from 44.1 kHz.
        let encoded = b"OpusHead\x01\x01\x38\x01\x44\xac\x00\x00\x00\x00\x00";
        assert_eq!(Head::parse(encoded).map(|head| (head.channels, head.pre_skip)), Some((1, 312)));
    }

    #[test]
    fn refuses_other_mappings_and_pieces() {
        let mut surround = head(6).to_vec();
        assert_eq!(Head::parse(&surround), None);
        (surround[9], surround[18]) = (2, 1);
        assert_eq!(Head::parse(&surround), None);
        assert_eq!(Head::parse(&head(2)[..18]), None);
    }
}
