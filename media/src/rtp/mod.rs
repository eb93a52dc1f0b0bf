//! RTP in: packets, reordering, sender reports, and access units out of payloads
//! (RFC 3550, 3640, 6184, 6416, 7798). One file per payload format.

mod aac;
mod format;
mod h264;
mod h265;
mod latm;
mod packet;
mod picture;
mod reorder;
mod rtcp;

use std::sync::Arc;

use base::Limits;
use bytes::Bytes;

pub use format::Format;
pub use packet::Packet;
pub use reorder::{ReorderBuffer, Sequenced};
pub use rtcp::{SenderReport, sender_report};

use crate::{CodecId, MediaError, Track};

/// One access unit as RTP carried it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessUnit {
    /// Timestamp in ticks of the format's clock, wrapping.
    pub rtp_timestamp: u32,
    /// Whether decoding may start here.
    pub key: bool,
    /// The sample, as [`crate::Frame::data`].
    pub data: Bytes,
    /// Set when new or changed parameter sets apply from this unit on; always on the first unit.
    pub track: Option<Arc<Track>>,
    /// Whether packets of this unit were lost.
    pub damaged: bool,
}

/// Makes access units from the payloads of one track.
#[derive(Debug)]
pub struct Depayloader {
    payload: Payload,
}

#[derive(Debug)]
enum Payload {
    H264(picture::Pictures),
    H265(picture::Pictures),
    Aac(aac::Aac),
    Latm(latm::Latm),
}

impl Depayloader {
    /// For track `number` in the given format. [`MediaError::Unsupported`] names a codec or packing
    /// that is not spoken.
    pub fn new(number: u8, format: &Format, limits: &Limits) -> Result<Self, MediaError> {
        if format.clock_rate == 0 {
            return Err(MediaError::Malformed {
                what: "format (RFC 8866 §6.6)",
                why: "a clock rate of zero",
            });
        }
        let payload = match format.encoding.to_ascii_uppercase().as_str() {
            "H264" => {
                Payload::H264(pictures(number, CodecId::H264, format, limits, &["sprop-parameter-sets"]))
            }
            "H265" if format.number("sprop-max-don-diff").unwrap_or(0) == 0 => {
                let sets = ["sprop-vps", "sprop-sps", "sprop-pps"];
                Payload::H265(pictures(number, CodecId::H265, format, limits, &sets))
            }
            "H265" => {
                return Err(MediaError::Unsupported { what: "interleaved H265 (sprop-max-don-diff)".into() });
            }
            "MPEG4-GENERIC" => Payload::Aac(aac::Aac::new(number, format, limits)?),
            "MP4A-LATM" => Payload::Latm(latm::Latm::new(number, format, limits)?),
            _ => {
                let name: String = format.encoding.chars().take(40).collect();
                return Err(MediaError::Unsupported { what: format!("the codec {name:?}") });
            }
        };
        Ok(Self { payload })
    }

    /// Takes the next packet in sequence, before which `lost` packets are missing, and appends the
    /// access units it completes. Units before the first parameter sets are dropped. After an error
    /// the next packets may be pushed as usual.
    pub fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        let (pictures, push): (_, fn(&mut _, &_) -> _) = match &mut self.payload {
            Payload::H264(pictures) => (pictures, h264::push),
            Payload::H265(pictures) => (pictures, h265::push),
            Payload::Aac(aac) => return aac.push(packet, lost, out),
            Payload::Latm(latm) => return latm.push(packet, lost, out),
        };
        if pictures.begin(packet.timestamp, lost, out) {
            let pushed = push(pictures, packet);
            pictures.end(packet.marker, pushed.is_err(), out);
            return pushed;
        }
        Ok(())
    }

    /// Appends the unit in hand, at the end of the source.
    pub fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        match &mut self.payload {
            Payload::H264(pictures) | Payload::H265(pictures) => pictures.finish(out),
            Payload::Aac(_) | Payload::Latm(_) => {} // an unfinished frame of audio is of no use
        }
    }

    /// The track, once its parameter sets are known.
    pub fn track(&self) -> Option<&Arc<Track>> {
        match &self.payload {
            Payload::H264(pictures) | Payload::H265(pictures) => pictures.track(),
            Payload::Aac(aac) => Some(aac.track()),
            Payload::Latm(latm) => Some(latm.track()),
        }
    }
}

/// A picture collector that knows the parameter sets of the format's `sprop` parameters.
fn pictures(
    number: u8,
    codec: CodecId,
    format: &Format,
    limits: &Limits,
    sets: &[&str],
) -> picture::Pictures {
    let mut pictures = picture::Pictures::new(number, codec, format.clock_rate, limits.frame_bytes);
    for nal in sets.iter().flat_map(|name| format.nal_units(name)) {
        pictures.out_of_band(&nal);
    }
    pictures
}

/// The NAL units of an aggregate, each behind its length in 16 bits; `None` for one that is cut off.
fn nal_units(mut aggregate: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if aggregate.is_empty() {
            return None;
        }
        let nal = aggregate
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let (nal, rest) = nal.map_or((None, &[][..]), |(nal, rest)| (Some(nal), rest));
        aggregate = rest;
        Some(nal)
    })
}

#[cfg(test)]
mod tests;
