//! AV1 payloads (RTP Payload Format For AV1, version 1.0): an aggregation header, then open bitstream
//! units or fragments of them.

use bytes::{BufMut, Bytes, BytesMut};

use super::Packet;
use super::whole::Join;
use crate::codec::av1::{Obu, leb128, obu_type, sequence_header};
use crate::{CodecId, MediaError};

/// The units of a temporal unit.
#[derive(Debug, Default)]
pub(super) struct Av1 {
    /// The unit whose last fragment has not come.
    fragment: Option<BytesMut>,
    /// Of the temporal unit's first frame.
    key: Option<bool>,
    /// The last one that came, with its size, for key frames that lack it.
    sequence: Option<Bytes>,
}

/// More is no sequence header: it is kept for as long as the track lasts.
const MAX_SEQUENCE_BYTES: usize = 2048;

fn malformed(why: &'static str) -> MediaError {
    MediaError::Malformed { what: "AV1 payload (RTP Payload Format For AV1, §4)", why }
}

impl Av1 {
    /// Puts a whole unit into the temporal unit. False where it is part of a frame whose beginning is missing.
    fn unit(&mut self, unit: &[u8], out: &mut BytesMut) -> Result<bool, MediaError> {
        let (obu, _) = Obu::read(unit).ok_or_else(|| malformed("a unit that is cut off"))?;
        match obu.kind {
            obu_type::TEMPORAL_DELIMITER | obu_type::TILE_LIST | obu_type::PADDING => return Ok(true),
            obu_type::TILE_GROUP | obu_type::REDUNDANT_FRAME_HEADER if self.key.is_none() => {
                return Ok(false);
            }
            _ => {}
        }
        self.key = self.key.or_else(|| obu.key());
        out.reserve(obu.stored_bytes());
        let start = out.len();
        obu.put(out);
        if obu.kind == obu_type::SEQUENCE_HEADER && out.len() - start <= MAX_SEQUENCE_BYTES {
            // A copy: it outlives the frame it came with by hours.
            self.sequence = Some(Bytes::copy_from_slice(&out[start..]));
        }
        Ok(true)
    }
}

/// Takes the next element off the payload: `last_of_count` has no length of its own.
fn element<'a>(payload: &mut &'a [u8], last_of_count: bool) -> Option<&'a [u8]> {
    let length = if last_of_count { payload.len() } else { leb128(payload)? };
    payload.split_off(..length)
}

impl Join for Av1 {
    const CODEC: CodecId = CodecId::Av1;

    fn part(&mut self, packet: &Packet, unit: &mut BytesMut) -> Result<bool, MediaError> {
        let Some((&header, mut payload)) = packet.payload.split_first() else { return Ok(true) };
        let (continues, goes_on) = (header & 0x80 != 0, header & 0x40 != 0);
        let count = header >> 4 & 3; // 0: as many as there are, each with its length
        if continues != self.fragment.is_some() {
            return Ok(false);
        }
        let mut index = 0;
        while !payload.is_empty() {
            index += 1;
            let element = element(&mut payload, index == count)
                .ok_or_else(|| malformed("an element that is longer than the packet"))?;
            let last = payload.is_empty();
            let mut begun = self.fragment.take();
            if last && goes_on {
                let fragment = begun.get_or_insert_default();
                fragment.put_slice(element);
                self.fragment = begun;
                break;
            }
            let whole = match begun {
                Some(mut fragment) => {
                    fragment.put_slice(element);
                    self.unit(&fragment, unit)?
                }
                None if element.is_empty() => true,
                None => self.unit(element, unit)?,
            };
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn held(&self) -> usize {
        self.fragment.as_ref().map_or(0, BytesMut::len)
    }

    fn whole(&mut self, unit: BytesMut) -> Option<(Bytes, bool)> {
        if self.fragment.is_some() {
            return None;
        }
        let key = self.key?;
        let mut unit = unit.freeze();
        if key && sequence_header(&unit).is_none() {
            let sequence = self.sequence.as_ref()?;
            unit = [&sequence[..], &unit].concat().into();
        }
        Some((unit, key))
    }

    fn reset(&mut self) {
        (self.fragment, self.key) = (None, None);
    }
}
