//! What an SDP says of a payload type, and where its parameter sets are.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How a payload type is packed: an SDP media section's `rtpmap` and `fmtp` attributes (RFC 8866).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Encoding name: `H264`, `H265`, `MPEG4-GENERIC`, `MP4A-LATM`; case does not matter.
    pub encoding: String,
    /// Ticks per second of the RTP timestamps.
    pub clock_rate: u32,
    /// Audio channels; 0 where not given.
    pub channels: u8,
    /// The format parameters, `name=value; name=value`, without the payload type.
    pub fmtp: String,
}

/// Cameras pad or do not pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Format {
    /// The value of a format parameter; its name's case does not matter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|pair| {
            let (found, value) = pair.split_once('=')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A format parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.parameter(name)?.parse().ok()
    }

    /// A format parameter in hexadecimal digits.
    pub(super) fn hex(&self, name: &str) -> Option<Vec<u8>> {
        let digits = self.parameter(name)?.trim_matches('"').as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
        digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
    }

    /// The NAL units of a parameter that lists them in Base64, separated by commas. What cannot be
    /// read is left out: the sets may still come in band.
    pub(super) fn nal_units(&self, name: &str) -> Vec<Vec<u8>> {
        let list = self.parameter(name).unwrap_or_default();
        list.split(',').filter_map(|text| BASE64.decode(text.trim().trim_matches('"')).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_parameters_as_cameras_write_them() {
        let fmtp = "packetization-mode=1;Profile-Level-ID=42C028 ; sprop-parameter-sets=Z0LAKA==,aMuDyw; config=1210;sizeLength=13";
        let format = Format { encoding: "H264".into(), clock_rate: 90_000, channels: 0, fmtp: fmtp.into() };
        assert_eq!(format.parameter("profile-level-id"), Some("42C028"));
        assert_eq!(format.nal_units("sprop-parameter-sets"), [b"\x67\x42\xc0\x28", b"\x68\xcb\x83\xcb"]);
        assert_eq!((format.hex("config"), format.number("sizelength")), (Some(vec![0x12, 0x10]), Some(13)));
        assert_eq!((format.hex("sprop-parameter-sets"), format.parameter("mode")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read(fmtp in ".{0,80}") {
            let fmtp = format!("a={fmtp}");
            let format = Format { encoding: String::new(), clock_rate: 0, channels: 0, fmtp };
            format.hex("a");
            format.nal_units("a");
        }
    }
}
