//! VP8 payloads (RFC 7741): a descriptor, then part of a frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::Packet;
use super::whole::Join;
use crate::codec::vp8::key_frame_size;
use crate::{CodecId, MediaError};

/// A frame, whose end only the marker or the next timestamp tells.
#[derive(Debug, Default)]
pub(super) struct Vp8 {
    begun: bool,
}

/// Takes the descriptor (RFC 7741 §4.2) off the payload and says whether a frame begins behind it; `None`
/// where it is cut off.
fn begins_frame(payload: &mut &[u8]) -> Option<bool> {
    let flags = *payload.split_off_first()?;
    if flags & 0x80 != 0 {
        let extension = *payload.split_off_first()?;
        if extension & 0x80 != 0 && *payload.split_off_first()? & 0x80 != 0 {
            payload.split_off_first()?; // 15 bits of PictureID
        }
        if extension & 0x40 != 0 {
            payload.split_off_first()?; // TL0PICIDX
        }
        if extension & 0x30 != 0 {
            payload.split_off_first()?; // TID, Y, KEYIDX
        }
    }
    // The start of a partition, and that of number 0.
    Some(flags & 0x10 != 0 && flags & 0x07 == 0)
}

impl Join for Vp8 {
    const CODEC: CodecId = CodecId::Vp8;

    fn part(&mut self, packet: &Packet, frame: &mut BytesMut) -> Result<bool, MediaError> {
        let mut payload = &packet.payload[..];
        let begins = begins_frame(&mut payload).ok_or(MediaError::Malformed {
            what: "VP8 payload (RFC 7741 §4.2)",
            why: "cut off in its descriptor",
        })?;
        if begins == self.begun {
            return Ok(false);
        }
        self.begun = true;
        frame.put_slice(payload);
        Ok(true)
    }

    fn whole(&mut self, frame: BytesMut) -> Option<(Bytes, bool)> {
        let key = key_frame_size(&frame).is_some();
        Some((frame.freeze(), key))
    }

    fn reset(&mut self) {
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_kind_are_skipped() {
        for (payload, begins) in [
            (&b"\x10abc"[..], true),
            (b"\x00abc", false),
            (b"\x11abc", false), // the second partition
            (b"\x90\x80\x05abc", true),
            (b"\x90\xf0\x85\x01\x02\x03abc", true),
            (b"\x80\x20\x03abc", false),
        ] {
            let mut rest = payload;
            assert_eq!((begins_frame(&mut rest), rest), (Some(begins), &b"abc"[..]), "{payload:x?}");
        }
        assert_eq!(begins_frame(&mut &b"\x90\x80"[..]), None);
    }
}
