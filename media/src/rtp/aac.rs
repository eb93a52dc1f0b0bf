//! AAC payloads (RFC 3640): several access units per packet behind AU headers, or one in fragments.

use std::sync::Arc;

use base::Limits;
use bytes::{Bytes, BytesMut};

use super::announced::Announced;
use super::{AccessUnit, Format, Packet, PayloadFormat};
use crate::bits::BitReader;
use crate::codec::aac;
use crate::{CodecId, MediaError, Track};

/// Depayloads one AAC track.
#[derive(Debug)]
pub(super) struct Aac {
    track: Announced,
    /// Bits of the size, index and index delta in an AU header.
    header_bits: [u32; 3],
    /// Timestamp ticks that one access unit lasts.
    unit_ticks: u32,
    max_bytes: usize,
    /// An access unit whose first fragments are here. One that misses a fragment never fills and is
    /// dropped at its marker, so that no unit that comes out is damaged.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    timestamp: u32,
    size: usize,
    data: BytesMut,
}

fn malformed(why: &'static str) -> MediaError {
    MediaError::Malformed { what: "AAC payload (RFC 3640 §3.2)", why }
}

impl Aac {
    pub(super) fn new(number: u8, format: &Format, limits: &Limits) -> Result<Self, MediaError> {
        let mode = format.parameter("mode").unwrap_or("AAC-hbr");
        let defaults = match mode.to_ascii_lowercase().as_str() {
            "aac-hbr" => [13, 3, 3],
            "aac-lbr" => [6, 2, 2],
            _ => return Err(MediaError::Unsupported { what: format!("MPEG4-GENERIC in mode {mode:?}") }),
        };
        let names = ["sizelength", "indexlength", "indexdeltalength"];
        let header_bits = [0, 1, 2].map(|i| format.number(names[i]).unwrap_or(defaults[i]).min(32));
        if header_bits[0] == 0 {
            return Err(MediaError::Unsupported { what: "MPEG4-GENERIC without AU sizes".into() });
        }
        let config = match format.hex("config") {
            Some(config) => config.into(),
            None => aac::low_complexity(format.clock_rate, format.channels)
                .ok_or_else(|| malformed("the format gives no config, and an unusual clock rate"))?,
        };
        let track = Track::new(number, CodecId::Aac, format.clock_rate, config)?;
        let unit_ticks =
            aac::Config::parse(&track.private).map_or(1024, |config| config.frame_ticks(format.clock_rate));
        Ok(Self {
            track: Announced::of(track),
            header_bits,
            unit_ticks,
            max_bytes: limits.frame_bytes,
            partial: None,
        })
    }

    /// Sizes and index deltas of the access units in the AU headers (RFC 3640 §3.2.1).
    fn unit_sizes(&self, headers: &[u8], bits: usize) -> Result<Vec<(usize, u32)>, MediaError> {
        let [size_bits, index_bits, delta_bits] = self.header_bits;
        let mut reader = BitReader::new(headers);
        let mut units = Vec::new();
        loop {
            let index_bits = if units.is_empty() { index_bits } else { delta_bits };
            if reader.position() + (size_bits + index_bits) as usize > bits {
                return Ok(units);
            }
            let read = reader.bits(size_bits).zip(reader.bits(index_bits));
            let (size, index) = read.ok_or_else(|| malformed("cut off in its AU headers"))?;
            units.push((size as usize, index));
        }
    }

    /// Whole access units, one after the other.
    fn whole(
        &mut self,
        timestamp: u32,
        units: &[(usize, u32)],
        mut data: Bytes,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), MediaError> {
        let mut timestamp = timestamp;
        for (position, (size, index)) in units.iter().enumerate() {
            if *size > data.len() {
                return Err(malformed("an access unit is cut off"));
            }
            if position > 0 {
                timestamp = timestamp.wrapping_add(self.unit_ticks.wrapping_mul(index.wrapping_add(1)));
            }
            self.track.emit(timestamp, true, data.split_to(*size), out);
        }
        Ok(())
    }

    /// Access units behind ADTS headers, as some cameras send them in the place of AU headers.
    fn adts(&mut self, packet: &Packet, out: &mut Vec<AccessUnit>) {
        let (mut timestamp, mut rest) = (packet.timestamp, packet.payload.clone());
        while let Some((header, length)) = aac::adts_frame(&rest) {
            let frame = rest.split_to(length).slice(header..);
            self.track.emit(timestamp, true, frame, out);
            timestamp = timestamp.wrapping_add(self.unit_ticks);
        }
    }

    /// One fragment of an access unit that is larger than a packet (RFC 3640 §3.2.3.2).
    fn fragment(
        &mut self,
        packet: &Packet,
        size: usize,
        data: &Bytes,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), MediaError> {
        if size > self.max_bytes {
            self.partial = None;
            return Err(MediaError::TooLarge { what: "frame", limit: self.max_bytes });
        }
        let mut partial = match self.partial.take() {
            Some(partial) if partial.timestamp == packet.timestamp && partial.size == size => partial,
            _ => Partial { timestamp: packet.timestamp, size, data: BytesMut::with_capacity(size.min(8192)) },
        };
        partial.data.extend_from_slice(data);
        if partial.data.len() > size {
            return Err(malformed("fragments longer than their access unit"));
        }
        if partial.data.len() == size {
            self.track.emit(partial.timestamp, true, partial.data.freeze(), out);
        } else if !packet.marker {
            self.partial = Some(partial);
        }
        Ok(())
    }
}

impl PayloadFormat for Aac {
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        if lost > 0 {
            self.partial = None;
        }
        let payload = &packet.payload;
        let Some(header) = payload.first_chunk() else {
            return Ok(()); // nothing but padding
        };
        let bits = usize::from(u16::from_be_bytes(*header));
        if bits.div_ceil(8) > payload.len() && aac::adts_frame(payload).is_some() {
            self.adts(packet, out);
            return Ok(());
        }
        let headers =
            payload.get(2..2 + bits.div_ceil(8)).ok_or_else(|| malformed("cut off in its AU headers"))?;
        let data = payload.slice(2 + headers.len()..);
        let units = self.unit_sizes(headers, bits)?;
        if let [(size, _)] = units[..]
            && (size > data.len() || self.partial.is_some())
        {
            return self.fragment(packet, size, &data, out);
        }
        self.partial = None;
        self.whole(packet.timestamp, &units, data, out)
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.track.get()
    }
}
