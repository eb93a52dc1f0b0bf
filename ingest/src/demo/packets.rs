//! RTP out, interleaved: H.264 (RFC 6184), AAC (RFC 3640), sender reports (RFC 3550 §6.4.1).

use base::Timestamp;

/// Payload bytes of a packet at most.
const MTU: usize = 1400;
const FU_A: u8 = 28;
/// Seconds from 1900, NTP's epoch, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

/// Makes the packets of one track.
pub(super) struct Packetizer {
    pub(super) payload_type: u8,
    /// The channel of RTP; RTCP's is the next.
    pub(super) channel: u8,
    pub(super) clock_rate: u32,
    pub(super) ssrc: u32,
    sequence: u16,
    packets: u32,
    octets: u32,
}

impl Packetizer {
    pub(super) fn new(payload_type: u8, channel: u8, clock_rate: u32, ssrc: u32) -> Self {
        Self { payload_type, channel, clock_rate, ssrc, sequence: 0, packets: 0, octets: 0 }
    }

    /// Appends the packets of an H.264 access unit in the byte-stream format.
    pub(super) fn h264(&mut self, access_unit: &[u8], pts: u64, out: &mut Vec<u8>) {
        let mut nals = nal_units(access_unit).peekable();
        while let Some(nal) = nals.next() {
            let last = nals.peek().is_none();
            match nal.split_first() {
                Some((header, body)) if nal.len() > MTU => self.fragments(*header, body, last, pts, out),
                Some(_) => self.packet(&[nal], last, pts, out),
                None => {}
            }
        }
    }

    /// Appends the packet of an AAC access unit: one unit, 13 bits of size, 3 of index.
    pub(super) fn aac(&mut self, access_unit: &[u8], pts: u64, out: &mut Vec<u8>) {
        let Ok(size) = u16::try_from(access_unit.len() << 3) else { return };
        self.packet(&[&16_u16.to_be_bytes(), &size.to_be_bytes(), access_unit], true, pts, out);
    }

    /// Appends a sender report: `now` is the moment `pts` nanoseconds after the start.
    pub(super) fn sender_report(&self, now: Timestamp, pts: u64, out: &mut Vec<u8>) {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let fraction = ((millis % 1000) << 32) / 1000;
        let ntp = (millis / 1000 + NTP_OFFSET) << 32 | fraction;
        out.extend_from_slice(&[b'$', self.channel + 1, 0, 28, 0x80, 200, 0, 6]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&ntp.to_be_bytes());
        out.extend_from_slice(&self.timestamp(pts).to_be_bytes());
        out.extend_from_slice(&self.packets.to_be_bytes());
        out.extend_from_slice(&self.octets.to_be_bytes());
    }

    /// One NAL unit in several packets (RFC 6184 §5.8).
    fn fragments(&mut self, header: u8, body: &[u8], last: bool, pts: u64, out: &mut Vec<u8>) {
        let mut pieces = body.chunks(MTU - 2).peekable();
        let mut start = 0x80;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { 0x40 } else { 0 };
            let prefix = [header & 0xe0 | FU_A, start | end | header & 0x1f];
            self.packet(&[&prefix, piece], last && end > 0, pts, out);
            start = 0;
        }
    }

    fn packet(&mut self, payload: &[&[u8]], marker: bool, pts: u64, out: &mut Vec<u8>) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let Ok(framed) = u16::try_from(length + 12) else { return };
        out.extend_from_slice(&[b'$', self.channel]);
        out.extend_from_slice(&framed.to_be_bytes());
        out.extend_from_slice(&[0x80, u8::from(marker) << 7 | self.payload_type]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp(pts).to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        payload.iter().for_each(|part| out.extend_from_slice(part));
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::from(framed) - 12);
    }

    #[expect(clippy::cast_possible_truncation, reason = "RTP time counts modulo 2^32")]
    fn timestamp(&self, pts: u64) -> u32 {
        (u128::from(pts) * u128::from(self.clock_rate) / 1_000_000_000) as u32
    }
}

/// The NAL units between the start codes of annex B (H.264 §B.1), access unit delimiters left out.
fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let nal = rest.take()?;
        let end = nal.windows(3).position(|three| three == [0, 0, 1]).unwrap_or(nal.len());
        let (unit, tail) = nal.split_at(end);
        rest = after_start_code(tail);
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        unit.get(..unit.len() - zeros)
    })
    .filter(|nal| nal.first().is_some_and(|header| header & 0x1f != 9))
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    let at = stream.windows(3).position(|three| three == [0, 0, 1])?;
    stream.get(at + 3..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::wire::{Framer, Incoming};

    fn packets(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut framer = Framer::new(1024, 1024);
        framer.space().extend_from_slice(bytes);
        std::iter::from_fn(|| framer.pop().unwrap())
            .map(|incoming| match incoming {
                Incoming::Packet { channel, payload } => (channel, payload.to_vec()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn large_nal_units_are_fragmented_and_only_the_last_packet_is_marked() {
        let big = [&[0x65][..], &[7; 3000]].concat();
        let unit = [&[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1][..], &big].concat();
        let mut out = Vec::new();
        Packetizer::new(96, 0, 90_000, 5).h264(&unit, 1_000_000_000, &mut out);
        let packets = packets(&out);
        assert_eq!(packets[0].1[12..], [0x67, 1, 2]);
        assert_eq!(packets[0].1[4..8], 90_000_u32.to_be_bytes());
        assert_eq!(packets[1].1[12..14], [0x60 | 28, 0x80 | 5]);
        assert_eq!(packets[3].1[12..14], [0x60 | 28, 0x40 | 5]);
        let marked: Vec<_> = packets.iter().map(|(_, packet)| packet[1] >> 7).collect();
        assert_eq!(marked, [0, 0, 0, 1]);
        let body: Vec<u8> = packets[1..].iter().flat_map(|(_, packet)| packet[14..].to_vec()).collect();
        assert_eq!(body, big[1..]);
    }

    #[test]
    fn reports_pair_ntp_with_rtp_time() {
        let mut out = Vec::new();
        Packetizer::new(97, 2, 48_000, 5).sender_report(Timestamp::from_millis(500), 2_000_000_000, &mut out);
        let packets = packets(&out);
        let report = media::rtp::sender_report(&packets[0].1).unwrap();
        assert_eq!((packets[0].0, report.rtp_timestamp, report.ssrc), (3, 96_000, 5));
        assert_eq!(report.ntp, (NTP_OFFSET << 32) + (1 << 31));
    }
}
