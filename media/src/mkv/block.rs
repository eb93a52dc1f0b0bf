//! One frame of a cluster: a SimpleBlock, or a BlockGroup.

use bytes::Bytes;

use super::ebml::{Element, id, malformed, vint};
use crate::MediaError;

/// A frame as its block has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of its track.
    pub track: u64,
    /// Its presentation time after the cluster's, in units of the file's TimestampScale.
    pub time: i16,
    /// Whether decoding may start here.
    pub key: bool,
    /// How long it is shown, in units of the file's TimestampScale, where a BlockGroup says so.
    pub duration: Option<u64>,
    /// The frame.
    pub data: Bytes,
    /// The whole element, header included.
    pub element: Bytes,
}

impl Block {
    /// Reads a SimpleBlock (RFC 9559 §10.2) or a BlockGroup (§5.1.3.5). Lacing is not taken.
    pub(super) fn read(element: &Element) -> Result<Self, MediaError> {
        let whole = element.whole.clone();
        if element.id != id::BLOCK_GROUP {
            let (track, time, flags, data) = parts(element.data.clone())?;
            return Ok(Self { track, time, key: flags & 0x80 != 0, duration: None, data, element: whole });
        }
        let (mut block, mut key, mut duration) = (None, true, None);
        for child in element.children() {
            let child = child?;
            match child.id {
                id::BLOCK if block.is_some() => return Err(malformed("a BlockGroup of two Blocks")),
                id::BLOCK => block = Some(parts(child.data)?),
                id::REFERENCE_BLOCK => key = false,
                id::BLOCK_DURATION => duration = Some(child.uint()?),
                _ => {}
            }
        }
        let (track, time, _, data) = block.ok_or_else(|| malformed("a BlockGroup without a Block"))?;
        Ok(Self { track, time, key, duration, data, element: whole })
    }
}

/// Track number, time, flags and frame of a Block or SimpleBlock (RFC 9559 §10.1).
fn parts(mut data: Bytes) -> Result<(u64, i16, u8, Bytes), MediaError> {
    let (number, length) = vint(&data, 8)?;
    let Some(&[t0, t1, flags]) = data.get(length..).and_then(<[u8]>::first_chunk) else {
        return Err(malformed("a block that is cut off"));
    };
    if flags & 0x06 != 0 {
        return Err(malformed("a block with lacing: turn lacing off"));
    }
    let frame = data.split_off(length + 3);
    Ok((number & !(1 << (7 * length)), i16::from_be_bytes([t0, t1]), flags, frame))
}
