//! EBML (RFC 8794): elements out of and into bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::MediaError;

/// Element ids (RFC 9559 §5), with their length marker.
pub(super) mod id {
    pub(crate) const EBML: u32 = 0x1A45_DFA3;
    pub(crate) const EBML_VERSION: u32 = 0x4286;
    pub(crate) const EBML_READ_VERSION: u32 = 0x42F7;
    pub(crate) const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
    pub(crate) const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
    pub(crate) const DOC_TYPE: u32 = 0x4282;
    pub(crate) const DOC_TYPE_VERSION: u32 = 0x4287;
    pub(crate) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub(crate) const VOID: u32 = 0xEC;
    pub(crate) const CRC_32: u32 = 0xBF;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(crate) const CUES: u32 = 0x1C53_BB6B;
    pub(crate) const CHAPTERS: u32 = 0x1043_A770;
    pub(crate) const ATTACHMENTS: u32 = 0x1941_A469;
    pub(crate) const INFO: u32 = 0x1549_A966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub(crate) const DURATION: u32 = 0x4489;
    pub(crate) const MUXING_APP: u32 = 0x4D80;
    pub(crate) const WRITING_APP: u32 = 0x5741;
    pub(crate) const TRACKS: u32 = 0x1654_AE6B;
    pub(crate) const TRACK_ENTRY: u32 = 0xAE;
    pub(crate) const TRACK_NUMBER: u32 = 0xD7;
    pub(crate) const TRACK_UID: u32 = 0x73C5;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const FLAG_LACING: u32 = 0x9C;
    pub(crate) const LANGUAGE: u32 = 0x22_B59C;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63A2;
    pub(crate) const DEFAULT_DURATION: u32 = 0x23_E383;
    pub(crate) const CONTENT_ENCODINGS: u32 = 0x6D80;
    pub(crate) const SEEK_PRE_ROLL: u32 = 0x56BB;
    pub(crate) const VIDEO: u32 = 0xE0;
    pub(crate) const PIXEL_WIDTH: u32 = 0xB0;
    pub(crate) const PIXEL_HEIGHT: u32 = 0xBA;
    pub(crate) const AUDIO: u32 = 0xE1;
    pub(crate) const SAMPLING_FREQUENCY: u32 = 0xB5;
    pub(crate) const OUTPUT_SAMPLING_FREQUENCY: u32 = 0x78B5;
    pub(crate) const CHANNELS: u32 = 0x9F;
    pub(crate) const BIT_DEPTH: u32 = 0x6264;
    pub(crate) const CLUSTER: u32 = 0x1F43_B675;
    pub(crate) const TIMESTAMP: u32 = 0xE7;
    pub(crate) const POSITION: u32 = 0xA7;
    pub(crate) const PREV_SIZE: u32 = 0xAB;
    pub(crate) const SILENT_TRACKS: u32 = 0x5854;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(crate) const BLOCK_GROUP: u32 = 0xA0;
    pub(crate) const BLOCK: u32 = 0xA1;
    pub(crate) const BLOCK_DURATION: u32 = 0x9B;
    pub(crate) const REFERENCE_BLOCK: u32 = 0xFB;
    pub(crate) const ENCRYPTED_BLOCK: u32 = 0xAF;
    pub(crate) const TAGS: u32 = 0x1254_C367;
    pub(crate) const TAG: u32 = 0x7373;
    pub(crate) const TARGETS: u32 = 0x63C0;
    pub(crate) const TAG_TRACK_UID: u32 = 0x63C5;
    pub(crate) const TAG_EDITION_UID: u32 = 0x63C9;
    pub(crate) const TAG_CHAPTER_UID: u32 = 0x63C4;
    pub(crate) const TAG_ATTACHMENT_UID: u32 = 0x63C6;
    pub(crate) const SIMPLE_TAG: u32 = 0x67C8;
    pub(crate) const TAG_NAME: u32 = 0x45A3;
    pub(crate) const TAG_STRING: u32 = 0x4487;
    pub(crate) const TAG_BINARY: u32 = 0x4485;
}

pub(super) fn malformed(why: &'static str) -> MediaError {
    MediaError::Malformed { what: "Matroska file (RFC 9559)", why }
}

/// Appends an element id.
pub(super) fn put_id(out: &mut BytesMut, id: u32) {
    let bytes = id.to_be_bytes();
    out.put_slice(&bytes[(id.leading_zeros() / 8) as usize..]);
}

/// Appends a variable-size integer (RFC 8794 §4) of the fewest bytes: an element's data size, or a
/// track number. `value` must be below 2^56 - 1.
pub(super) fn put_vint(out: &mut BytesMut, value: u64) {
    debug_assert!(value < (1 << 56) - 1);
    // All ones is the reserved "unknown".
    let bytes = (1..8u32).find(|bytes| value < (1 << (7 * bytes)) - 1).unwrap_or(8);
    out.put_uint(1 << (7 * bytes) | value, bytes as usize);
}

/// Appends a master element, whose children `fill` appends.
pub(super) fn put_master(out: &mut BytesMut, id: u32, fill: impl FnOnce(&mut BytesMut)) {
    let mut children = BytesMut::new();
    fill(&mut children);
    put_binary(out, id, &children);
}

/// Appends a binary element.
pub(super) fn put_binary(out: &mut BytesMut, id: u32, data: &[u8]) {
    put_id(out, id);
    put_vint(out, data.len() as u64);
    out.put_slice(data);
}

/// Appends an unsigned integer element of the fewest bytes.
pub(super) fn put_uint(out: &mut BytesMut, id: u32, value: u64) {
    let zeros = (value.leading_zeros() / 8).min(7) as usize;
    put_binary(out, id, &value.to_be_bytes()[zeros..]);
}

/// Appends a float element.
pub(super) fn put_float(out: &mut BytesMut, id: u32, value: f64) {
    put_binary(out, id, &value.to_be_bytes());
}

/// One element of a file.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) id: u32,
    /// The whole element, header included.
    pub(super) whole: Bytes,
    /// What is in it.
    pub(super) data: Bytes,
}

impl Element {
    /// An unsigned integer element's value.
    pub(super) fn uint(&self) -> Result<u64, MediaError> {
        let length = self.data.len();
        if length > 8 {
            return Err(malformed("an unsigned integer of more than 8 bytes"));
        }
        Ok((&self.data[..]).get_uint(length))
    }

    /// A float element's value.
    pub(super) fn float(&self) -> Result<f64, MediaError> {
        match *self.data {
            [] => Ok(0.0),
            [a, b, c, d] => Ok(f32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Ok(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => Err(malformed("a float of neither 4 nor 8 bytes")),
        }
    }

    /// The elements in a master element.
    pub(super) fn children(&self) -> Elements {
        Elements { rest: self.data.clone() }
    }
}

/// The elements that follow one another in some bytes. Ends after the first error. Allocates
/// nothing: a nested, long or lying file costs no more than its bytes.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    rest: Bytes,
}

impl Elements {
    pub(super) fn new(file: Bytes) -> Self {
        Self { rest: file }
    }

    fn read(&mut self) -> Result<Element, MediaError> {
        let (id, id_length) = vint(&self.rest, 4)?;
        let id = u32::try_from(id).map_err(|_| malformed("an element id of more than 4 bytes"))?;
        let (size, size_length) = vint(&self.rest[id_length..], 8)?;
        let header = id_length + size_length;
        let available = self.rest.len() - header;
        let mask = (1 << (7 * size_length)) - 1;
        // An element of unknown size (a Segment while it is being streamed) takes all there is.
        let length = if size & mask == mask { Some(available) } else { usize::try_from(size & mask).ok() };
        let length = length
            .filter(|length| *length <= available)
            .ok_or_else(|| malformed("an element that is larger than what it is in"))?;
        let whole = self.rest.split_to(header + length);
        let data = whole.slice(header..);
        Ok(Element { id, whole, data })
    }
}

impl Iterator for Elements {
    type Item = Result<Element, MediaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let element = self.read();
        if element.is_err() {
            self.rest.clear();
        }
        Some(element)
    }
}

/// A variable-size integer of at most `max` bytes at the start of `bytes`, its length marker
/// included, and its length.
pub(super) fn vint(bytes: &[u8], max: usize) -> Result<(u64, usize), MediaError> {
    let length = bytes.first().map_or(9, |first| first.leading_zeros() as usize + 1);
    if length > max {
        return Err(malformed("a variable-size integer that is too long"));
    }
    let mut bytes = bytes.get(..length).ok_or_else(|| malformed("cut off in an element's header"))?;
    Ok((bytes.get_uint(length), length))
}

/// As [`vint`], of a stream whose next bytes may be still to come: `None` then.
pub(super) fn unsigned(bytes: &[u8], max: usize) -> Result<Option<(u64, usize)>, MediaError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let length = first.leading_zeros() as usize + 1;
    if length <= max && bytes.len() < length {
        return Ok(None);
    }
    vint(bytes, max).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_the_fewest_bytes() {
        let mut out = BytesMut::new();
        put_uint(&mut out, id::TRACK_NUMBER, 0);
        put_uint(&mut out, id::TIMESTAMP_SCALE, 1_000_000);
        assert_eq!(out, [0xd7, 0x81, 0, 0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40].as_slice());
        let mut out = BytesMut::new();
        put_vint(&mut out, 126);
        put_vint(&mut out, 127);
        assert_eq!(out, [0xfe, 0x40, 0x7f].as_slice());
        let mut out = BytesMut::new();
        put_float(&mut out, id::SAMPLING_FREQUENCY, 44_100.0);
        let float = Elements::new(out.freeze()).next().unwrap().unwrap();
        assert_eq!(float.float(), Ok(44_100.0));
    }

    #[test]
    fn an_element_of_unknown_size_takes_the_rest() {
        let file = Bytes::from_static(&[0x18, 0x53, 0x80, 0x67, 0xff, 0xd7, 0x81, 5]);
        let segment = Elements::new(file).next().unwrap().unwrap();
        let child = segment.children().next().unwrap().unwrap();
        assert_eq!((segment.id, child.id, child.uint()), (id::SEGMENT, id::TRACK_NUMBER, Ok(5)));
    }

    proptest! {
        #[test]
        fn elements_round_trip(value: u64, data: Vec<u8>, size in 0u64..(1 << 56) - 1) {
            let mut out = BytesMut::new();
            put_uint(&mut out, id::TIMESTAMP, value);
            put_master(&mut out, id::TAGS, |out| put_binary(out, id::TAG_BINARY, &data));
            let file = out.freeze();
            let elements: Vec<_> = Elements::new(file.clone()).map(Result::unwrap).collect();
            prop_assert_eq!((elements[0].id, elements[0].uint()), (id::TIMESTAMP, Ok(value)));
            prop_assert_eq!([&elements[0].whole[..], &elements[1].whole].concat(), &file[..]);
            prop_assert_eq!(&elements[1].children().next().unwrap().unwrap().data[..], &data);
            let mut out = BytesMut::new();
            put_vint(&mut out, size);
            let (read, length) = vint(&out, 8).unwrap();
            prop_assert_eq!((read & ((1 << (7 * length)) - 1), length), (size, out.len()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            for element in Elements::new(bytes.into()).flatten() {
                let _ = element.uint();
                for _ in element.children() {}
            }
        }
    }
}
