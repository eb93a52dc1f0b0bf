//! RTP in: packets, reordering, sender reports, and access units out of payloads
//! (RFC 2435, 3550, 3551, 3640, 6184, 6416, 7587, 7741, 7798, 9628, RTP Payload Format For AV1). One file per
//! payload format.

mod aac;
mod announced;
mod av1;
mod format;
mod h264;
mod h265;
mod jpeg;
mod latm;
mod opus;
mod packet;
mod pcm;
mod picture;
mod reorder;
mod rtcp;
mod transport_stream;
mod vp8;
mod vp9;
mod whole;

use std::sync::Arc;

use base::Limits;
use bytes::Bytes;

pub use format::Format;
pub use packet::Packet;
pub use reorder::{ReorderBuffer, Sequenced};
pub use rtcp::{SenderReport, sender_report};
use whole::WholeFrames;

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
    payload: Box<dyn PayloadFormat>,
}

/// One payload format at work on one track.
trait PayloadFormat: std::fmt::Debug + Send + Sync {
    /// As [`Depayloader::push`].
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError>;

    /// As [`Depayloader::finish`]. An unfinished frame of most formats is of no use.
    fn finish(&mut self, _out: &mut Vec<AccessUnit>) {}

    /// As [`Depayloader::track`].
    fn track(&self) -> Option<&Arc<Track>>;
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
        let payload: Box<dyn PayloadFormat> = match format.encoding.to_ascii_uppercase().as_str() {
            "H264" => {
                let pictures = pictures(number, CodecId::H264, format, limits, &["sprop-parameter-sets"]);
                Box::new(NalUnits { pictures, unpack: h264::push })
            }
            "H265" if format.number("sprop-max-don-diff").unwrap_or(0) == 0 => {
                let sets = ["sprop-vps", "sprop-sps", "sprop-pps"];
                let pictures = pictures(number, CodecId::H265, format, limits, &sets);
                Box::new(NalUnits { pictures, unpack: h265::push })
            }
            "H265" => {
                return Err(MediaError::Unsupported { what: "interleaved H265 (sprop-max-don-diff)".into() });
            }
            "AV1" => Box::new(WholeFrames::<av1::Av1>::new(number, format, limits)),
            "VP8" => Box::new(WholeFrames::<vp8::Vp8>::new(number, format, limits)),
            "VP9" => Box::new(WholeFrames::<vp9::Vp9>::new(number, format, limits)),
            "JPEG" => Box::new(WholeFrames::<jpeg::Jpeg>::new(number, format, limits)),
            "MPEG4-GENERIC" => Box::new(aac::Aac::new(number, format, limits)?),
            "MP4A-LATM" => Box::new(latm::Latm::new(number, format, limits)?),
            "OPUS" => Box::new(opus::Opus::new(number, format)?),
            "PCMU" => Box::new(pcm::Pcm::new(number, CodecId::Pcmu, format)?),
            "PCMA" => Box::new(pcm::Pcm::new(number, CodecId::Pcma, format)?),
            "L16" => Box::new(pcm::Pcm::new(number, CodecId::L16, format)?),
            _ => {
                let name: String = format.encoding.chars().take(40).collect();
                return Err(MediaError::Unsupported { what: format!("the codec {name:?}") });
            }
        };
        Ok(Self { payload })
    }

    /// For a transport stream: its units are pieces of it, to be taken apart elsewhere, and have no track.
    pub fn transport_stream() -> Self {
        Self { payload: Box::new(transport_stream::TransportStream) }
    }

    /// Takes the next packet in sequence, before which `lost` packets are missing, and appends the
    /// access units it completes. Units before the first parameter sets are dropped. After an error
    /// the next packets may be pushed as usual.
    pub fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        self.payload.push(packet, lost, out)
    }

    /// Appends the unit in hand, at the end of the source.
    pub fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        self.payload.finish(out);
    }

    /// The track, once its parameter sets are known.
    pub fn track(&self) -> Option<&Arc<Track>> {
        self.payload.track()
    }
}

/// H.264 and H.265: what `unpack` gets out of packets becomes pictures.
#[derive(Debug)]
struct NalUnits {
    pictures: picture::Pictures,
    unpack: fn(&mut picture::Pictures, &Packet) -> Result<(), MediaError>,
}

impl PayloadFormat for NalUnits {
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        if !self.pictures.begin(packet.timestamp, lost, out) {
            return Ok(());
        }
        let unpacked = (self.unpack)(&mut self.pictures, packet);
        self.pictures.end(packet.marker, unpacked.is_err(), out);
        unpacked
    }

    fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        self.pictures.finish(out);
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.pictures.track()
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
#[cfg(test)]
mod whole_tests;
