//! H.264: NAL unit types, sequence parameter sets, `avcC`.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Description, NalKind, SetKind, frame_rate};
use crate::MediaError;
use crate::bits::{BitReader, unescape};

/// What the NAL unit is (H.264 table 7-1). Key pictures are IDR pictures only.
pub(crate) fn classify(nal: &[u8]) -> NalKind {
    let first = nal.get(1).is_some_and(|byte| byte & 0x80 != 0); // first_mb_in_slice == 0
    match nal.first().map_or(0, |header| header & 0x1f) {
        1 | 2 => NalKind::Slice { key: false, first },
        3 | 4 => NalKind::Slice { key: false, first: false },
        5 => NalKind::Slice { key: true, first },
        7 => NalKind::ParameterSet(SetKind::Sps),
        8 => NalKind::ParameterSet(SetKind::Pps),
        9..=12 => NalKind::Delimiter,
        _ => NalKind::Other,
    }
}

/// The set's own id, by which a later one replaces it.
pub(crate) fn set_id(kind: SetKind, nal: &[u8]) -> Option<u32> {
    let at = match kind {
        SetKind::Vps => return None,
        SetKind::Sps => 4, // after the NAL header, profile, constraints and level
        SetKind::Pps => 1,
    };
    let head = unescape(nal.get(at..nal.len().min(at + 12))?);
    let limit = if kind == SetKind::Sps { 32 } else { 256 };
    BitReader::new(&head).ue().filter(|id| *id < limit)
}

/// AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) with 4-byte lengths.
pub(crate) fn avcc(sps: &[&Bytes], pps: &[&Bytes]) -> Option<Bytes> {
    let first = sps.first()?;
    let (sps, pps) = (&sps[..sps.len().min(31)], &pps[..pps.len().min(255)]);
    if first.len() < 4 || pps.is_empty() {
        return None;
    }
    let mut out = BytesMut::with_capacity(64);
    out.put_slice(&[1, first[1], first[2], first[3], 0xff, 0xe0 | u8::try_from(sps.len()).ok()?]);
    put_sets(&mut out, sps)?;
    out.put_u8(u8::try_from(pps.len()).ok()?);
    put_sets(&mut out, pps)?;
    if matches!(first[1], 100 | 110 | 122 | 144 | 244) {
        let known = Sps::parse(first).unwrap_or_default();
        out.put_slice(&[0xfc | known.chroma_format, 0xf8 | known.luma_depth, 0xf8 | known.chroma_depth, 0]);
    }
    Some(out.freeze())
}

/// The parameter sets in an `avcC`, each after its length in 4 bytes, as samples carry NAL units.
pub(super) fn sets_in_band(avcc: &[u8]) -> Option<Bytes> {
    let mut rest = avcc.get(5..)?;
    let mut out = BytesMut::new();
    let count = *rest.split_off_first()? & 0x1f;
    move_sets(&mut rest, count.into(), &mut out)?;
    let count = *rest.split_off_first()?;
    move_sets(&mut rest, count.into(), &mut out)?;
    Some(out.freeze())
}

/// Copies `count` sets, each after its length in 16 bits, out of a record.
pub(super) fn move_sets(record: &mut &[u8], count: u16, out: &mut BytesMut) -> Option<()> {
    for _ in 0..count {
        let length = u16::from_be_bytes(*record.split_off(..2)?.first_chunk()?);
        out.put_u32(length.into());
        out.put_slice(record.split_off(..usize::from(length))?);
    }
    Some(())
}

/// Each set after its length in 16 bits.
pub(super) fn put_sets(out: &mut BytesMut, sets: &[&Bytes]) -> Option<()> {
    for set in sets {
        out.put_u16(u16::try_from(set.len()).ok()?);
        out.put_slice(set);
    }
    Some(())
}

/// What an `avcC` says.
pub(super) fn describe(avcc: &[u8]) -> Result<Description, MediaError> {
    let malformed = |why| MediaError::Malformed { what: "avcC (ISO/IEC 14496-15 §5.3.3.1)", why };
    let [1, profile, constraints, level, _, count, rest @ ..] = avcc else {
        return Err(malformed("shorter than its fixed fields, or not version 1"));
    };
    if count & 0x1f == 0 || rest.len() < 2 {
        return Err(malformed("no sequence parameter set"));
    }
    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let sps = rest.get(2..2 + length).ok_or_else(|| malformed("cut off in a parameter set"))?;
    let known = Sps::parse(sps).unwrap_or_default();
    Ok(Description {
        codec_string: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        width: known.width,
        height: known.height,
        frame_rate: known.frame_rate,
        reorder_depth: known.reorder_depth,
        ..Description::default()
    })
}

/// The part of a sequence parameter set (H.264 §7.3.2.1.1) that containers ask for.
#[derive(Clone, Debug, PartialEq)]
struct Sps {
    chroma_format: u8,
    /// Bits per luma sample above 8.
    luma_depth: u8,
    /// Bits per chroma sample above 8.
    chroma_depth: u8,
    width: u32,
    height: u32,
    frame_rate: Option<f64>,
    reorder_depth: u8,
}

impl Default for Sps {
    fn default() -> Self {
        Self {
            chroma_format: 1,
            luma_depth: 0,
            chroma_depth: 0,
            width: 0,
            height: 0,
            frame_rate: None,
            reorder_depth: 0,
        }
    }
}

impl Sps {
    /// `None` where even the picture size cannot be read; a broken VUI costs only what it would tell.
    fn parse(nal: &[u8]) -> Option<Self> {
        let rbsp = unescape(nal.get(1..)?);
        let mut reader = BitReader::new(&rbsp);
        let profile = reader.byte(8)?;
        reader.skip(16)?; // constraint flags, level_idc
        reader.ue()?; // seq_parameter_set_id
        let mut sps = Self::default();
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            sps.chroma(&mut reader)?;
        }
        skip_picture_order(&mut reader)?;
        reader.ue()?; // max_num_ref_frames
        reader.bit()?; // gaps_in_frame_num_value_allowed_flag
        sps.size(&mut reader)?;
        if reader.bit()? {
            // A sender that breaks off here still gave the picture's size.
            let _ = sps.vui(&mut reader);
        }
        Some(sps)
    }

    fn chroma(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        self.chroma_format = u8::try_from(reader.ue()?).ok().filter(|format| *format <= 3)?;
        if self.chroma_format == 3 {
            reader.bit()?; // separate_colour_plane_flag
        }
        self.luma_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 6)?;
        self.chroma_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 6)?;
        reader.bit()?; // qpprime_y_zero_transform_bypass_flag
        if reader.bit()? {
            for index in 0..if self.chroma_format == 3 { 12 } else { 8 } {
                if reader.bit()? {
                    skip_scaling_list(reader, if index < 6 { 16 } else { 64 })?;
                }
            }
        }
        Some(())
    }

    fn size(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        let width = reader.ue()?.checked_add(1)?.checked_mul(16)?;
        let map_units = reader.ue()?.checked_add(1)?;
        let frames_only = reader.bit()?;
        let rows_per_unit = if frames_only { 1 } else { 2 };
        if !frames_only {
            reader.bit()?; // mb_adaptive_frame_field_flag
        }
        let height = map_units.checked_mul(16 * rows_per_unit)?;
        reader.bit()?; // direct_8x8_inference_flag
        let [left, right, top, bottom] = match reader.bit()? {
            true => [reader.ue()?, reader.ue()?, reader.ue()?, reader.ue()?],
            false => [0; 4],
        };
        let unit_x = if matches!(self.chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = rows_per_unit * if self.chroma_format == 1 { 2 } else { 1 };
        let remaining = |size: u32, cut: u32| size.checked_sub(cut).filter(|pixels| *pixels > 0);
        self.width = remaining(width, left.checked_add(right)?.checked_mul(unit_x)?)?;
        self.height = remaining(height, top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        Some(())
    }

    /// VUI parameters (H.264 §E.1.1).
    fn vui(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        if reader.bit()? && reader.byte(8)? == 255 {
            reader.skip(32)?; // sar_width, sar_height
        }
        if reader.bit()? {
            reader.bit()?; // overscan_appropriate_flag
        }
        if reader.bit()? {
            reader.skip(4)?; // video_format, video_full_range_flag
            if reader.bit()? {
                reader.skip(24)?; // colour description
            }
        }
        if reader.bit()? {
            reader.ue()?; // chroma_sample_loc_type_top_field
            reader.ue()?; // chroma_sample_loc_type_bottom_field
        }
        if reader.bit()? {
            let units_in_tick = reader.bits(32)?;
            let time_scale = reader.bits(32)?;
            reader.bit()?; // fixed_frame_rate_flag
            self.frame_rate = frame_rate(time_scale, 2 * u64::from(units_in_tick));
        }
        let nal_hrd = reader.bit()?;
        if nal_hrd {
            skip_hrd(reader)?;
        }
        let vcl_hrd = reader.bit()?;
        if vcl_hrd {
            skip_hrd(reader)?;
        }
        if nal_hrd || vcl_hrd {
            reader.bit()?; // low_delay_hrd_flag
        }
        reader.bit()?; // pic_struct_present_flag
        if reader.bit()? {
            reader.bit()?; // motion_vectors_over_pic_boundaries_flag
            for _ in 0..4 {
                reader.ue()?; // max_bytes_per_pic_denom … log2_max_mv_length_vertical
            }
            self.reorder_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 16)?;
        }
        Some(())
    }
}

/// `log2_max_frame_num_minus4` to the end of the picture order count fields.
fn skip_picture_order(reader: &mut BitReader<'_>) -> Option<()> {
    reader.ue()?; // log2_max_frame_num_minus4
    match reader.ue()? {
        0 => {
            reader.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            reader.bit()?; // delta_pic_order_always_zero_flag
            reader.se()?; // offset_for_non_ref_pic
            reader.se()?; // offset_for_top_to_bottom_field
            for _ in 0..reader.ue().filter(|count| *count <= 255)? {
                reader.se()?; // offset_for_ref_frame
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// scaling_list (H.264 §7.3.2.1.1.1).
fn skip_scaling_list(reader: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + reader.se()? + 256).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// HRD parameters (H.264 §E.1.2).
fn skip_hrd(reader: &mut BitReader<'_>) -> Option<()> {
    let count = reader.ue().filter(|count| *count <= 31)? + 1;
    reader.skip(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..count {
        reader.ue()?; // bit_rate_value_minus1
        reader.ue()?; // cpb_size_value_minus1
        reader.bit()?; // cbr_flag
    }
    reader.skip(20) // four lengths of 5 bits
}

#[cfg(test)]
#[path = "h264_tests.rs"]
mod tests;
