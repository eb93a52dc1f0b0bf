//! AV1: open bitstream units, sequence headers, `av1C`
//! (AV1 Bitstream & Decoding Process Specification; AV1 Codec ISO Media File Format Binding).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Description, frame_rate};
use crate::MediaError;
use crate::bits::BitReader;

/// Types of open bitstream units (specification §6.2.2).
pub(crate) mod obu_type {
    pub(crate) const SEQUENCE_HEADER: u8 = 1;
    pub(crate) const TEMPORAL_DELIMITER: u8 = 2;
    pub(crate) const FRAME_HEADER: u8 = 3;
    pub(crate) const TILE_GROUP: u8 = 4;
    pub(crate) const FRAME: u8 = 6;
    pub(crate) const REDUNDANT_FRAME_HEADER: u8 = 7;
    pub(crate) const TILE_LIST: u8 = 8;
    pub(crate) const PADDING: u8 = 15;
}

/// One open bitstream unit (§5.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Obu<'a> {
    pub(crate) kind: u8,
    /// One or two bytes; whether the size follows is still as it was.
    header: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Reads the unit at the start of `bytes` and returns what follows it. One without a size takes all.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let first = *bytes.first()?;
        if first & 0x80 != 0 {
            return None; // obu_forbidden_bit
        }
        let (header, mut rest) = bytes.split_at_checked(if first & 4 != 0 { 2 } else { 1 })?;
        let length = if first & 2 != 0 { leb128(&mut rest)? } else { rest.len() };
        let (payload, rest) = rest.split_at_checked(length)?;
        Some((Self { kind: first >> 3 & 0xf, header, payload }, rest))
    }

    /// Bytes that [`Self::put`] appends.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.header.len() + leb128_bytes(self.payload.len()) + self.payload.len()
    }

    /// Appends the unit with its size, as files carry it.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.header[0] | 2);
        out.put_slice(&self.header[1..]);
        let mut length = self.payload.len();
        while length > 0x7f {
            out.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.put_u8(length as u8);
        out.put_slice(self.payload);
    }

    /// Whether it begins a frame that can be decoded without others and is shown at once (§7.20); `None`
    /// where it begins no frame at all.
    pub(crate) fn key(&self) -> Option<bool> {
        if !matches!(self.kind, obu_type::FRAME | obu_type::FRAME_HEADER) {
            return None;
        }
        // show_existing_frame 0, frame_type KEY_FRAME (0), show_frame 1.
        Some(self.payload.first().is_some_and(|first| first >> 4 == 1))
    }
}

/// An unsigned integer in at most 8 bytes of 7 bits (§4.10.5).
pub(crate) fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for shift in (0..56).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok().filter(|value| *value <= u32::MAX as usize);
        }
    }
    None
}

fn leb128_bytes(value: usize) -> usize {
    (1..8).find(|bytes| value >> (7 * bytes) == 0).unwrap_or(8)
}

/// The part of a sequence header (§5.5) that containers ask for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sequence {
    profile: u8,
    level: u8,
    high_tier: bool,
    width: u32,
    height: u32,
    frame_rate: Option<f64>,
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Color {
    high_bit_depth: bool,
    twelve_bit: bool,
    monochrome: bool,
    subsampling_x: bool,
    subsampling_y: bool,
    sample_position: u8,
}

impl Sequence {
    fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(payload);
        let mut sequence =
            Self { profile: reader.byte(3).filter(|profile| *profile <= 2)?, ..Self::default() };
        reader.bit()?; // still_picture
        let reduced = reader.bit()?; // reduced_still_picture_header
        if reduced {
            sequence.level = reader.byte(5)?;
        } else {
            sequence.operating_points(&mut reader)?;
        }
        let (width_bits, height_bits) = (reader.bits(4)? + 1, reader.bits(4)? + 1);
        sequence.width = reader.bits(width_bits)? + 1;
        sequence.height = reader.bits(height_bits)? + 1;
        skip_tools(&mut reader, reduced)?;
        sequence.color = Color::parse(&mut reader, sequence.profile)?;
        Some(sequence)
    }

    /// `timing_info_present_flag` to the last operating point, of which the first one describes the track.
    fn operating_points(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        let delay_bits = if reader.bit()? { self.timing(reader)? } else { None };
        let initial_delays = reader.bit()?; // initial_display_delay_present_flag
        for index in 0..=reader.bits(5)? {
            reader.skip(12)?; // operating_point_idc
            let level = reader.byte(5)?;
            let high_tier = level > 7 && reader.bit()?;
            if let Some(bits) = delay_bits
                && reader.bit()?
            {
                reader.skip(2 * bits as usize + 1)?; // operating_parameters_info
            }
            if initial_delays && reader.bit()? {
                reader.skip(4)?;
            }
            if index == 0 {
                (self.level, self.high_tier) = (level, high_tier);
            }
        }
        Some(())
    }

    /// timing_info and decoder_model_info: the bits of a buffer delay, where there is such a model.
    fn timing(&mut self, reader: &mut BitReader<'_>) -> Option<Option<u32>> {
        let (tick, time_scale) = (reader.bits(32)?, reader.bits(32)?);
        if reader.bit()? {
            let ticks = u64::from(reader.ue()?) + 1; // num_ticks_per_picture_minus_1
            self.frame_rate = frame_rate(time_scale, u64::from(tick).saturating_mul(ticks));
        }
        if !reader.bit()? {
            return Some(None);
        }
        let bits = reader.bits(5)? + 1;
        reader.skip(32 + 5 + 5)?; // num_units_in_decoding_tick and two lengths
        Some(Some(bits))
    }
}

/// `frame_id_numbers_present_flag` to `enable_restoration`.
fn skip_tools(reader: &mut BitReader<'_>, reduced: bool) -> Option<()> {
    if !reduced && reader.bit()? {
        reader.skip(7)?; // lengths of frame ids
    }
    reader.skip(3)?; // superblock size, filter intra, intra edge filter
    if !reduced {
        reader.skip(4)?; // inter-intra, masked, warped, dual filter
        let order_hint = reader.bit()?;
        if order_hint {
            reader.skip(2)?; // joint compound, reference motion vectors
        }
        let screen_content = reader.bit()? || reader.bit()?; // chosen by the frame, or forced
        if screen_content && !reader.bit()? {
            reader.bit()?; // seq_force_integer_mv
        }
        if order_hint {
            reader.skip(3)?; // order_hint_bits_minus_1
        }
    }
    reader.skip(3) // super-resolution, CDEF, restoration
}

impl Color {
    /// color_config (§5.5.2).
    fn parse(reader: &mut BitReader<'_>, profile: u8) -> Option<Self> {
        let mut color = Self { high_bit_depth: reader.bit()?, ..Self::default() };
        color.twelve_bit = profile == 2 && color.high_bit_depth && reader.bit()?;
        color.monochrome = profile != 1 && reader.bit()?;
        let described = if reader.bit()? { reader.bits(24)? } else { 0x02_02_02 };
        (color.subsampling_x, color.subsampling_y) = (true, true);
        if color.monochrome {
            return Some(color);
        }
        if described == 0x01_0d_00 {
            // BT.709, sRGB, identity
            (color.subsampling_x, color.subsampling_y) = (false, false);
            return Some(color);
        }
        reader.bit()?; // color_range
        (color.subsampling_x, color.subsampling_y) = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if !color.twelve_bit => (true, false),
            _ => {
                let x = reader.bit()?;
                (x, x && reader.bit()?)
            }
        };
        if color.subsampling_x && color.subsampling_y {
            color.sample_position = reader.byte(2)?;
        }
        Some(color)
    }
}

/// `av1C` (AV1 in ISOBMFF §2.3.3) of a sequence header, given as a unit with its size.
pub(crate) fn av1c(sequence_header: &[u8]) -> Option<Bytes> {
    let (obu, _) = Obu::read(sequence_header).filter(|(obu, _)| obu.kind == obu_type::SEQUENCE_HEADER)?;
    let Sequence { profile, level, high_tier, color, .. } = Sequence::parse(obu.payload)?;
    let bit = |set: bool, shift: u8| u8::from(set) << shift;
    let mut out = BytesMut::with_capacity(4 + sequence_header.len());
    out.put_u8(0x81); // marker, version 1
    out.put_u8(profile << 5 | level);
    out.put_u8(
        bit(high_tier, 7)
            | bit(color.high_bit_depth, 6)
            | bit(color.twelve_bit, 5)
            | bit(color.monochrome, 4)
            | bit(color.subsampling_x, 3)
            | bit(color.subsampling_y, 2)
            | color.sample_position,
    );
    out.put_u8(0); // no initial presentation delay
    out.put_slice(sequence_header);
    Some(out.freeze())
}

/// The units in an `av1C`, as samples carry them.
pub(super) fn units_in_band(av1c: &[u8]) -> Option<Bytes> {
    av1c.get(4..).map(Bytes::copy_from_slice)
}

/// The sequence header in a temporal unit (`av1C` or sample), with its size.
pub(crate) fn sequence_header(mut units: &[u8]) -> Option<&[u8]> {
    while let Some((obu, rest)) = Obu::read(units) {
        if obu.kind == obu_type::SEQUENCE_HEADER {
            return units.get(..units.len() - rest.len());
        }
        units = rest;
    }
    None
}

/// What an `av1C` says.
pub(super) fn describe(av1c: &[u8]) -> Result<Description, MediaError> {
    let malformed = |why| MediaError::Malformed { what: "av1C (AV1 in ISOBMFF §2.3.3)", why };
    let [0x81, profile_level, flags, delay, units @ ..] = av1c else {
        return Err(malformed("shorter than its fixed fields, or not version 1"));
    };
    let header = sequence_header(units).and_then(Obu::read);
    let known = header.and_then(|(obu, _)| Sequence::parse(obu.payload)).unwrap_or_default();
    if delay & 0xe0 != 0 {
        return Err(malformed("a reserved bit is set"));
    }
    let (profile, level) = (profile_level >> 5, profile_level & 0x1f);
    let tier = if flags & 0x80 != 0 { 'H' } else { 'M' };
    let bit_depth = match flags & 0x60 {
        0x60 => 12,
        0x40 => 10,
        _ => 8,
    };
    Ok(Description {
        codec_string: format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}"),
        width: known.width,
        height: known.height,
        frame_rate: known.frame_rate,
        ..Description::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libaom: main profile, 322x242, with its size.
    const HEADER: &[u8] = b"\x0a\x0b\0\0\0\x04\x3d\x07\xc4\xda\xf9\0\x40";

    #[test]
    fn describes_a_sequence_header() {
        let record = av1c(HEADER).unwrap();
        assert_eq!(record, [b"\x81\0\x0c\0", HEADER].concat());
        let Description { codec_string, width, height, .. } = describe(&record).unwrap();
        assert_eq!((codec_string.as_str(), width, height), ("av01.0.00M.08", 322, 242));
        assert_eq!(units_in_band(&record).unwrap(), HEADER);
        let unit = [b"\x12\0", HEADER, b"\x32\x01\x10"].concat();
        assert_eq!(sequence_header(&unit), Some(HEADER));
        assert!(describe(&record[..3]).is_err() && av1c(&HEADER[..5]).is_none());
    }

    #[test]
    fn units_are_stored_with_their_size() {
        let bare = [&[0x30 | 4, 0x08][..], &[0x10; 200]].concat();
        let (obu, rest) = Obu::read(&bare).unwrap();
        assert_eq!((obu.kind, obu.key(), rest.len()), (obu_type::FRAME, Some(true), 0));
        let mut out = BytesMut::new();
        obu.put(&mut out);
        assert_eq!((&out[..4], out.len()), (&[0x36, 0x08, 0xc8, 0x01][..], obu.stored_bytes()));
        let (again, rest) = Obu::read(&out).unwrap();
        assert_eq!((again.payload, rest.len()), (obu.payload, 0));
        assert!(Obu::read(&out[..100]).is_none() && Obu::read(&[0x80]).is_none());
    }

    #[test]
    fn only_shown_key_frames_are_key() {
        let key = |kind: u8, first: u8| Obu::read(&[kind << 3, first]).unwrap().0.key();
        assert_eq!(key(obu_type::FRAME, 0x10), Some(true));
        assert_eq!(key(obu_type::FRAME_HEADER, 0x10), Some(true));
        for other in [0x00, 0x30, 0x50, 0x80, 0x90] {
            assert_eq!(key(obu_type::FRAME, other), Some(false), "{other:x}");
        }
        assert_eq!(key(obu_type::TILE_GROUP, 0x10), None);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = (describe(&bytes), Obu::read(&bytes), sequence_header(&bytes));
            let mut header = HEADER.to_vec();
            let at = at % header.len();
            header[at] = byte;
            if let Some(record) = av1c(&header) {
                prop_assert!(describe(&record).is_ok());
            }
        }
    }
}
