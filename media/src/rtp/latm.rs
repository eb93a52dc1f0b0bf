//! AAC in LATM payloads (RFC 6416 §6), as GStreamer's `rtspclientsink` sends it: the stream mux
//! config in the SDP, then audio mux elements of length-prefixed payloads (ISO/IEC 14496-3 §1.7.3).

use std::sync::Arc;

use base::Limits;
use bytes::{Buf, Bytes, BytesMut};

use super::announced::Announced;
use super::{AccessUnit, Format, Packet, PayloadFormat};
use crate::bits::BitReader;
use crate::codec::aac::Config;
use crate::{CodecId, MediaError, Track};

/// syncExtensionType of spectral band replication in an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
const SYNC_EXTENSION: u32 = 0x2b7;

/// Depayloads one AAC track in LATM.
#[derive(Debug)]
pub(super) struct Latm {
    track: Announced,
    /// Access units in an audio mux element.
    units: u32,
    /// Timestamp ticks that one access unit lasts.
    unit_ticks: u32,
    max_bytes: usize,
    /// The packets so far of an element that takes several, and their timestamp.
    partial: Option<(u32, BytesMut)>,
}

impl Latm {
    pub(super) fn new(number: u8, format: &Format, limits: &Limits) -> Result<Self, MediaError> {
        if format.number("cpresent") != Some(0) {
            return Err(MediaError::Unsupported {
                what: "MP4A-LATM with its config in band (cpresent=1)".into(),
            });
        }
        let config = format.hex("config").unwrap_or_default();
        let (units, audio, parsed) = stream_mux_config(&config).ok_or_else(|| MediaError::Unsupported {
            what: "an MP4A-LATM config other than one AAC layer in version 0".into(),
        })?;
        Ok(Self {
            track: Announced::of(Track::new(number, CodecId::Aac, format.clock_rate, audio)?),
            units,
            unit_ticks: parsed.frame_ticks(format.clock_rate),
            max_bytes: limits.frame_bytes,
            partial: None,
        })
    }

    /// PayloadLengthInfo and PayloadMux of every unit in the element. An element whose beginning was
    /// lost does not add up and is refused.
    fn element(
        &mut self,
        timestamp: u32,
        mut element: Bytes,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), MediaError> {
        let payloads: Option<Vec<Bytes>> = (0..self.units).map(|_| payload(&mut element)).collect();
        let payloads = payloads.filter(|_| element.is_empty()).ok_or(MediaError::Malformed {
            what: "LATM payload (ISO/IEC 14496-3 §1.7.3)",
            why: "the payloads' lengths do not add up",
        })?;
        for (unit, data) in (0..).zip(payloads) {
            self.track.emit(timestamp.wrapping_add(self.unit_ticks.wrapping_mul(unit)), true, data, out);
        }
        Ok(())
    }
}

impl PayloadFormat for Latm {
    /// The marker ends an audio mux element (RFC 6416 §6.1).
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        let begun = self.partial.take().filter(|(timestamp, _)| lost == 0 && *timestamp == packet.timestamp);
        if begun.is_none() && packet.marker {
            return self.element(packet.timestamp, packet.payload.clone(), out);
        }
        let (timestamp, mut element) = begun.unwrap_or((packet.timestamp, BytesMut::new()));
        if element.len() + packet.payload.len() > self.max_bytes {
            return Err(MediaError::TooLarge { what: "frame", limit: self.max_bytes });
        }
        element.extend_from_slice(&packet.payload);
        if packet.marker {
            return self.element(timestamp, element.freeze(), out);
        }
        self.partial = Some((timestamp, element));
        Ok(())
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.track.get()
    }
}

/// A payload behind its MuxSlotLengthBytes: bytes that add up, of which all but the last are 255.
fn payload(element: &mut Bytes) -> Option<Bytes> {
    let mut length = 0usize;
    loop {
        let byte = element.try_get_u8().ok()?;
        length += usize::from(byte);
        if byte != 255 {
            break;
        }
    }
    (length <= element.len()).then(|| element.split_to(length))
}

/// StreamMuxConfig (ISO/IEC 14496-3 §1.7.3.1): units per element, AudioSpecificConfig, and its meaning.
fn stream_mux_config(bytes: &[u8]) -> Option<(u32, Bytes, Config)> {
    let mut reader = BitReader::new(bytes);
    let version = reader.bit()?;
    let same_framing = reader.bit()?;
    let units = reader.bits(6)? + 1;
    let (programs, layers) = (reader.bits(4)?, reader.bits(3)?);
    if version || !same_framing || programs != 0 || layers != 0 {
        return None;
    }
    let mut audio = reader.clone();
    let parsed = Config::read(&mut reader)?;
    let mut config = BytesMut::zeroed(parsed.bits.div_ceil(8));
    for bit in 0..parsed.bits {
        config[bit / 8] |= u8::from(audio.bit()?) << (7 - bit % 8);
    }
    // GStreamer leaves out what follows the audio config; zero is what AAC needs there. It copies the
    // backward compatible extension (§1.6.2.1), which libav's encoder adds to say that there is none.
    let extended = reader.clone().bits(11) == Some(SYNC_EXTENSION);
    let frame_length_type = reader.bits(3).unwrap_or(0);
    (extended || frame_length_type == 0).then(|| (units, config.freeze(), parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latm() -> Latm {
        // As GStreamer writes it: one unit per element, AAC-LC, 44.1 kHz, stereo.
        let fmtp = "cpresent=0;config=40002420".to_owned();
        let format = Format { encoding: "MP4A-LATM".into(), clock_rate: 44_100, channels: 2, fmtp };
        Latm::new(2, &format, &Limits::default()).unwrap()
    }

    fn packet(marker: bool, payload: &[u8]) -> Packet {
        let payload = Bytes::copy_from_slice(payload);
        Packet { payload_type: 96, marker, sequence: 0, timestamp: 5, ssrc: 0, payload }
    }

    #[test]
    fn takes_the_audio_config_out_of_its_odd_bits() {
        let track = latm().track.get().unwrap().clone();
        assert_eq!(
            (track.codec_string.as_str(), track.sample_rate, track.channels),
            ("mp4a.40.2", 44_100, 2)
        );
        assert_eq!(track.private, [0x12, 0x10].as_slice());
    }

    #[test]
    fn takes_a_config_with_an_extension_behind_it() {
        let (units, config, _) = stream_mux_config(&[0x40, 0, 0x23, 0x10, 0xad, 0xca, 0]).unwrap();
        assert_eq!((units, config), (1, Bytes::from_static(&[0x11, 0x88])));
        assert!(stream_mux_config(&[0x40, 0, 0x23, 0x11, 0xff]).is_none(), "another frame length type");
    }

    #[test]
    fn joins_elements_and_survives_losses() {
        let (mut latm, mut out) = (latm(), Vec::new());
        let long = [&[255, 10][..], &[7; 265]].concat();
        latm.push(&packet(false, &long[..100]), 0, &mut out).unwrap();
        latm.push(&packet(true, &long[100..]), 0, &mut out).unwrap();
        assert_eq!((out.len(), out[0].data.len(), out[0].track.is_some()), (1, 265, true));
        latm.push(&packet(false, &long[..100]), 0, &mut out).unwrap();
        assert!(latm.push(&packet(true, &long[200..]), 3, &mut out).is_err());
        latm.push(&packet(true, b"\x03abc"), 0, &mut out).unwrap();
        assert_eq!(out[1].data, "abc");
    }

    proptest! {
        #[test]
        fn never_panics(config: Vec<u8>, packets in prop::collection::vec((any::<bool>(), any::<Vec<u8>>(), 0u16..2), 0..20)) {
            stream_mux_config(&config);
            let (mut latm, mut out) = (latm(), Vec::new());
            for (marker, payload, lost) in packets {
                let _ = latm.push(&packet(marker, &payload), lost, &mut out);
            }
        }
    }
}
