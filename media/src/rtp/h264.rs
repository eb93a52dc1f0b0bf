//! H.264 payloads (RFC 6184): single NAL units, STAP-A, FU-A.

use super::picture::Pictures;
use super::{Packet, nal_units};
use crate::MediaError;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Puts a packet's NAL units into the picture.
pub(super) fn push(pictures: &mut Pictures, packet: &Packet) -> Result<(), MediaError> {
    let malformed = |why| Err(MediaError::Malformed { what: "H.264 payload (RFC 6184 §5.2)", why });
    let payload = &packet.payload[..];
    let Some((&indicator, rest)) = payload.split_first() else {
        return Ok(()); // keep-alives of some cameras
    };
    match indicator & 0x1f {
        1..=23 => pictures.nal(payload),
        STAP_A => {
            for nal in nal_units(rest) {
                pictures.nal(nal.ok_or(MediaError::Malformed {
                    what: "STAP-A (RFC 6184 §5.7.1)",
                    why: "a NAL unit is cut off",
                })?)?;
            }
            Ok(())
        }
        FU_A => {
            let Some((&header, fragment)) = rest.split_first() else {
                return malformed("FU-A without its header");
            };
            let nal_header = indicator & 0xe0 | header & 0x1f;
            if header & 0x80 != 0 {
                pictures.first_fragment(&[nal_header], fragment)?;
            } else {
                pictures.next_fragment(fragment)?;
            }
            if header & 0x40 != 0 {
                pictures.last_fragment()?;
            }
            Ok(())
        }
        25..=27 | 29 => {
            Err(MediaError::Unsupported { what: "H264 in interleaved mode (packetization-mode=2)".into() })
        }
        _ => malformed("a reserved NAL unit type"),
    }
}
