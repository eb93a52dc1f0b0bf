//! RTP in: packets, reordering, sender reports, and access units out of payloads
//! (RFC 3550, 3640, 6184, 7798).

use std::sync::Arc;

use base::Limits;
use bytes::Bytes;

use crate::{MediaError, Track};

/// One RTP packet (RFC 3550 §5.1), header extension and padding removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// The marker bit; for video the last packet of a picture, with exceptions.
    pub marker: bool,
    /// Sequence number, wrapping.
    pub sequence: u16,
    /// Timestamp in ticks of the format's clock, wrapping.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// The payload, a slice of the packet.
    pub payload: Bytes,
}

impl Packet {
    /// Reads a packet.
    pub fn parse(packet: Bytes) -> Result<Self, MediaError> {
        let _ = packet;
        todo!("land the public face")
    }
}

/// An RTCP sender report's pair of clocks (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Synchronization source that reports.
    pub ssrc: u32,
    /// NTP timestamp: seconds since 1900 in the upper 32 bits, fraction in the lower.
    pub ntp: u64,
    /// The RTP timestamp of the same moment.
    pub rtp_timestamp: u32,
}

/// The first sender report in a compound RTCP packet.
pub fn sender_report(rtcp: &[u8]) -> Option<SenderReport> {
    let _ = rtcp;
    todo!("land the public face")
}

/// A packet in its place, and what is missing before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// The packet.
    pub packet: Packet,
    /// Packets that were sent between the previous one and this one and will not come.
    pub lost: u16,
}

/// Puts the packets of one source in order by sequence number, waiting for late ones within bounds.
#[derive(Debug)]
pub struct ReorderBuffer {
    capacity: usize,
}

impl ReorderBuffer {
    /// Holds at most `capacity` packets back behind a gap: 64 suits UDP; 0 suits TCP, where nothing
    /// overtakes.
    pub fn new(capacity: usize) -> Self {
        Self { capacity }
    }

    /// Takes a packet and appends those whose turn it is. Duplicates and packets that come after
    /// they were given up are dropped.
    pub fn push(&mut self, packet: Packet, out: &mut Vec<Sequenced>) {
        let _ = (self.capacity, packet, out);
        todo!("land the public face")
    }

    /// Appends everything still held, at the end of the source.
    pub fn finish(&mut self, out: &mut Vec<Sequenced>) {
        let _ = out;
        todo!("land the public face")
    }
}

/// How a payload type is packed: an SDP media section's `rtpmap` and `fmtp` attributes (RFC 8866).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Encoding name: `H264`, `H265`, `MPEG4-GENERIC`; case does not matter.
    pub encoding: String,
    /// Ticks per second of the RTP timestamps.
    pub clock_rate: u32,
    /// Audio channels; 0 where not given.
    pub channels: u8,
    /// The format parameters, `name=value; name=value`, without the payload type.
    pub fmtp: String,
}

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
    track: Option<Arc<Track>>,
}

impl Depayloader {
    /// For track `number` in the given format. [`MediaError::Unsupported`] names a codec or packing
    /// that is not spoken.
    pub fn new(number: u8, format: &Format, limits: &Limits) -> Result<Self, MediaError> {
        let _ = (number, format, limits);
        todo!("land the public face")
    }

    /// Takes the next packet in sequence, before which `lost` packets are missing, and appends the
    /// access units it completes. Units before the first parameter sets are dropped. After an error
    /// the next packets may be pushed as usual: the unit in hand is dropped.
    pub fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        let _ = (packet, lost, out);
        todo!("land the public face")
    }

    /// Appends the unit in hand, at the end of the source.
    pub fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        let _ = out;
        todo!("land the public face")
    }

    /// The track, once its parameter sets are known.
    pub fn track(&self) -> Option<&Arc<Track>> {
        self.track.as_ref()
    }
}
