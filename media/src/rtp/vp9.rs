//! VP9 payloads (RFC 9628): a descriptor, then part of a frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::Packet;
use super::whole::Join;
use crate::codec::vp9::KeyFrame;
use crate::{CodecId, MediaError};

/// The frames of a picture: one, or one for each spatial layer.
#[derive(Debug, Default)]
pub(super) struct Vp9 {
    /// Bytes of the frames that are complete.
    frames: Vec<usize>,
    /// Whether the last frame waits for more packets.
    open: bool,
}

/// As many as a superframe holds (VP9 specification, annex B).
const MAX_FRAMES: usize = 8;

/// What the descriptor (RFC 9628 §4.2) says of the payload behind it.
struct Descriptor {
    begins_frame: bool,
    ends_frame: bool,
    /// Whether the frame is decoded from one of a lower layer of the same picture.
    on_lower_layer: bool,
}

fn malformed(why: &'static str) -> MediaError {
    MediaError::Malformed { what: "VP9 payload (RFC 9628 §4.2)", why }
}

impl Descriptor {
    /// Takes the descriptor off the payload; `None` where it is cut off.
    fn read(payload: &mut &[u8]) -> Option<Self> {
        let flags = *payload.split_off_first()?;
        let is_set = |bit: u8| flags & bit != 0;
        let (picture_id, layers, flexible) = (is_set(0x80), is_set(0x20), is_set(0x10));
        if picture_id && *payload.split_off_first()? & 0x80 != 0 {
            payload.split_off_first()?; // 15 bits
        }
        let mut on_lower_layer = false;
        if layers {
            on_lower_layer = *payload.split_off_first()? & 1 != 0;
            if !flexible {
                payload.split_off_first()?; // TL0PICIDX
            }
        }
        if flexible && is_set(0x40) {
            let mut differences = 3; // P_DIFF, at most
            while *payload.split_off_first()? & 1 != 0 {
                differences -= 1;
                if differences == 0 {
                    return None;
                }
            }
        }
        if is_set(0x02) {
            skip_structure(payload)?;
        }
        Some(Self { begins_frame: is_set(0x08), ends_frame: is_set(0x04), on_lower_layer })
    }
}

/// The scalability structure (RFC 9628 §4.2.1).
fn skip_structure(payload: &mut &[u8]) -> Option<()> {
    let flags = *payload.split_off_first()?;
    if flags & 0x10 != 0 {
        payload.split_off(..4 * (usize::from(flags >> 5) + 1))?; // sizes of the layers
    }
    if flags & 0x08 != 0 {
        for _ in 0..*payload.split_off_first()? {
            let picture = *payload.split_off_first()?;
            payload.split_off(..usize::from(picture >> 2 & 3))?;
        }
    }
    Some(())
}

impl Join for Vp9 {
    const CODEC: CodecId = CodecId::Vp9;

    fn part(&mut self, packet: &Packet, picture: &mut BytesMut) -> Result<bool, MediaError> {
        let mut payload = &packet.payload[..];
        let Descriptor { begins_frame, ends_frame, on_lower_layer } =
            Descriptor::read(&mut payload).ok_or_else(|| malformed("cut off in its descriptor"))?;
        if begins_frame == self.open || (picture.is_empty() && on_lower_layer) {
            return Ok(false);
        }
        if self.frames.len() == MAX_FRAMES {
            return Err(malformed("more frames in a picture than a superframe holds"));
        }
        picture.put_slice(payload);
        self.open = !ends_frame;
        if ends_frame {
            let before: usize = self.frames.iter().sum();
            self.frames.push(picture.len() - before);
        }
        Ok(true)
    }

    fn whole(&mut self, mut picture: BytesMut) -> Option<(Bytes, bool)> {
        if self.open {
            return None;
        }
        if self.frames.len() > 1 {
            put_superframe_index(&mut picture, &self.frames);
        }
        let key = KeyFrame::parse(&picture).is_some();
        Some((picture.freeze(), key))
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Joins the frames of a picture to a superframe (VP9 specification, annex B).
fn put_superframe_index(picture: &mut BytesMut, frames: &[usize]) {
    // Frame limits are far below 2^32 bytes.
    let bytes = (1..4).find(|bytes| frames.iter().all(|size| size >> (8 * bytes) == 0)).unwrap_or(4);
    let marker = 0xc0 | (bytes as u8 - 1) << 3 | (frames.len() as u8 - 1);
    picture.put_u8(marker);
    frames.iter().for_each(|size| picture.put_uint_le(*size as u64, bytes));
    picture.put_u8(marker);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(payload: &[u8]) -> Option<(bool, bool, bool, usize)> {
        let mut rest = payload;
        let read = Descriptor::read(&mut rest)?;
        Some((read.begins_frame, read.ends_frame, read.on_lower_layer, rest.len()))
    }

    #[test]
    fn descriptors_of_every_kind_are_skipped() {
        assert_eq!(descriptor(b"\x0cabc"), Some((true, true, false, 3)), "nothing but the flags");
        assert_eq!(descriptor(b"\x88\x05abc"), Some((true, false, false, 3)), "7 bits of picture id");
        assert_eq!(descriptor(b"\x88\x85\x01abc"), Some((true, false, false, 3)), "15 bits");
        assert_eq!(descriptor(b"\x28\x03\x07abc"), Some((true, false, true, 3)), "layers, not flexible");
        assert_eq!(descriptor(b"\x74\x02\x03\x02abc"), Some((false, true, false, 3)), "flexible, two P_DIFF");
        assert_eq!(descriptor(b"\x54\x03\x03\x03abc"), None, "too many P_DIFF");
        let structure = b"\x0e\x38\x01\x40\0\xf0\x02\x80\x01\xe0\x02\x00\x04\x01abc";
        assert_eq!(descriptor(structure), Some((true, true, false, 3)), "a scalability structure");
        assert_eq!(descriptor(&structure[..9]), None);
    }

    #[test]
    fn layers_become_a_superframe() {
        let mut picture = BytesMut::from(&[7; 300][..]);
        put_superframe_index(&mut picture, &[260, 40]);
        assert_eq!(picture[300..], [0xc9, 4, 1, 40, 0, 0xc9]);
    }
}
