//! H.265 payloads (RFC 7798): single NAL units, aggregation packets, fragmentation units.

use super::picture::Pictures;
use super::{Packet, nal_units};
use crate::MediaError;
use crate::codec::h265::nal_type;

const AP: u8 = 48;
const FU: u8 = 49;
const PACI: u8 = 50;

/// Puts a packet's NAL units into the picture.
pub(super) fn push(pictures: &mut Pictures, packet: &Packet) -> Result<(), MediaError> {
    let malformed = |why| Err(MediaError::Malformed { what: "H.265 payload (RFC 7798 §4.4)", why });
    let payload = &packet.payload[..];
    if payload.is_empty() {
        return Ok(()); // keep-alives of some cameras
    }
    let Some((&[h0, h1], rest)) = payload.split_first_chunk() else {
        return malformed("shorter than a NAL unit header");
    };
    match nal_type(h0) {
        0..AP => pictures.nal(payload),
        AP => {
            for nal in nal_units(rest) {
                pictures.nal(nal.ok_or(MediaError::Malformed {
                    what: "aggregation packet (RFC 7798 §4.4.2)",
                    why: "a NAL unit is cut off",
                })?)?;
            }
            Ok(())
        }
        FU => {
            let Some((&header, fragment)) = rest.split_first() else {
                return malformed("a fragmentation unit without its header");
            };
            if header & 0x80 != 0 {
                pictures.first_fragment(&[h0 & 0x81 | (header & 0x3f) << 1, h1], fragment)?;
            } else {
                pictures.next_fragment(fragment)?;
            }
            if header & 0x40 != 0 {
                pictures.last_fragment()?;
            }
            Ok(())
        }
        PACI => Err(MediaError::Unsupported { what: "H265 in PACI packets".into() }),
        _ => malformed("a reserved NAL unit type"),
    }
}
