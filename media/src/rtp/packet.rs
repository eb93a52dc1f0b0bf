//! The RTP packet (RFC 3550 §5.1).

use bytes::{Buf, Bytes};

use crate::MediaError;

/// One RTP packet, header extension and padding removed.
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
    pub fn parse(mut packet: Bytes) -> Result<Self, MediaError> {
        let malformed = |why| MediaError::Malformed { what: "RTP packet (RFC 3550 §5.1)", why };
        let Some([flags, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]) = packet.first_chunk().copied()
        else {
            return Err(malformed("shorter than its header"));
        };
        if flags >> 6 != 2 {
            return Err(malformed("not version 2"));
        }
        let mut header = 12 + 4 * usize::from(flags & 0x0f);
        if flags & 0x10 != 0 {
            let words =
                packet.get(header + 2..header + 4).ok_or_else(|| malformed("cut off in its header"))?;
            header += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        if flags & 0x20 != 0 {
            let padding = usize::from(packet[packet.len() - 1]);
            let end = packet.len().checked_sub(padding).filter(|_| padding > 0);
            packet.truncate(end.ok_or_else(|| malformed("more padding than packet"))?);
        }
        if header > packet.len() {
            return Err(malformed("cut off in its header"));
        }
        packet.advance(header);
        Ok(Self {
            payload_type: kind & 0x7f,
            marker: kind & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
            payload: packet,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &[u8] = &[0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0xaa, 0xbb, 0xcc, 0xdd];

    fn packet(flags: u8, rest: &[u8]) -> Bytes {
        let mut bytes = HEADER.to_vec();
        bytes[0] |= flags;
        bytes.extend_from_slice(rest);
        bytes.into()
    }

    #[test]
    fn reads_header_sources_extension_and_padding() {
        let plain = Packet::parse(packet(0, b"media")).unwrap();
        assert_eq!((plain.payload_type, plain.marker, plain.sequence), (96, true, 0x1234));
        assert_eq!((plain.timestamp, plain.ssrc, &plain.payload[..]), (9, 0xaabb_ccdd, &b"media"[..]));
        let full = packet(0x31, b"CSRC\xbe\xde\x00\x01EXT!media\x00\x02");
        assert_eq!(Packet::parse(full).unwrap().payload, "media");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for bad in [
            packet(0x0f, b"short"),
            packet(0x10, b"\0\0\xff\xff"),
            packet(0x20, b"\xff"),
            packet(0x20, b"\0"),
        ] {
            assert!(Packet::parse(bad).is_err());
        }
        assert!(Packet::parse(Bytes::from_static(&HEADER[..11])).is_err());
        assert!(Packet::parse(packet(0x40, b"")).is_err(), "version 3");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>, flags: u8) {
            let _ = Packet::parse(bytes.clone().into());
            let _ = Packet::parse(packet(flags & 0x3f, &bytes));
        }
    }
}
