//! H.265: NAL unit types, sequence parameter sets, `hvcC`.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::h264::{move_sets, put_sets};
use super::{Description, NalKind, SetKind, frame_rate};
use crate::MediaError;
use crate::bits::{BitReader, unescape};

/// The type in a NAL unit's header (H.265 §7.3.1.2).
pub(crate) fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// What the NAL unit is (H.265 table 7-1). Key pictures are intra random access points.
pub(crate) fn classify(nal: &[u8]) -> NalKind {
    let first = nal.get(2).is_some_and(|byte| byte & 0x80 != 0); // first_slice_segment_in_pic_flag
    match nal.first().map_or(u8::MAX, |header| nal_type(*header)) {
        kind @ 0..=31 => NalKind::Slice { key: (16..=21).contains(&kind), first },
        32 => NalKind::ParameterSet(SetKind::Vps),
        33 => NalKind::ParameterSet(SetKind::Sps),
        34 => NalKind::ParameterSet(SetKind::Pps),
        35..=38 => NalKind::Delimiter,
        _ => NalKind::Other,
    }
}

/// The set's own id, by which a later one replaces it.
pub(crate) fn set_id(kind: SetKind, nal: &[u8]) -> Option<u32> {
    let head = unescape(nal.get(2..nal.len().min(160))?);
    let mut reader = BitReader::new(&head);
    match kind {
        SetKind::Vps => reader.bits(4),
        SetKind::Sps => {
            let layers = skip_to_profile(&mut reader)?;
            skip_profile(&mut reader, layers)?;
            reader.ue().filter(|id| *id < 16)
        }
        SetKind::Pps => reader.ue().filter(|id| *id < 64),
    }
}

/// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1) with 4-byte lengths.
pub(crate) fn hvcc(vps: &[&Bytes], sps: &[&Bytes], pps: &[&Bytes]) -> Option<Bytes> {
    let first = unescape(sps.first()?.get(2..)?);
    let profile = first.get(1..13)?;
    if vps.is_empty() || pps.is_empty() {
        return None;
    }
    let known = Sps::parse(&first).unwrap_or_default();
    let layers = (first[0] >> 1 & 7) + 1;
    let mut out = BytesMut::with_capacity(160);
    out.put_u8(1);
    out.put_slice(profile);
    out.put_u16(0xf000); // min_spatial_segmentation_idc: unknown
    out.put_slice(&[0xfc, 0xfc | known.chroma_format, 0xf8 | known.luma_depth, 0xf8 | known.chroma_depth]);
    out.put_u16(0); // avgFrameRate: unspecified
    out.put_u8(layers << 3 | (first[0] & 1) << 2 | 3); // layers, temporal nesting, 4-byte lengths
    out.put_u8(3);
    for (kind, sets) in [(32, vps), (33, sps), (34, pps)] {
        out.put_u8(0x80 | kind); // array_completeness: none of these are in the samples
        out.put_u16(u16::try_from(sets.len()).ok()?);
        put_sets(&mut out, sets)?;
    }
    Some(out.freeze())
}

/// What an `hvcC` says.
pub(super) fn describe(hvcc: &[u8]) -> Result<Description, MediaError> {
    let malformed = |why| MediaError::Malformed { what: "hvcC (ISO/IEC 14496-15 §8.3.3.1)", why };
    if hvcc.len() < 23 || hvcc[0] != 1 {
        return Err(malformed("shorter than its fixed fields, or not version 1"));
    }
    let sps = first_sps(&hvcc[22..]).ok_or_else(|| malformed("no sequence parameter set, or cut off"))?;
    let known = sps.get(2..).and_then(|body| Sps::parse(&unescape(body))).unwrap_or_default();
    Ok(Description {
        codec_string: codec_string(&hvcc[1..13]),
        width: known.width,
        height: known.height,
        frame_rate: known.frame_rate,
        reorder_depth: known.reorder_depth,
        ..Description::default()
    })
}

/// The parameter sets in an `hvcC`, each after its length in 4 bytes, as samples carry NAL units.
pub(super) fn sets_in_band(hvcc: &[u8]) -> Option<Bytes> {
    let mut arrays = hvcc.get(22..)?;
    let mut out = BytesMut::new();
    for _ in 0..*arrays.split_off_first()? {
        arrays.split_off_first()?; // the NAL unit type
        let sets = u16::from_be_bytes(*arrays.split_off(..2)?.first_chunk()?);
        move_sets(&mut arrays, sets, &mut out)?;
    }
    Some(out.freeze())
}

/// The first NAL unit of type 33 in the record's arrays.
fn first_sps(mut arrays: &[u8]) -> Option<&[u8]> {
    let count = *arrays.split_off_first()?;
    for _ in 0..count {
        let kind = *arrays.split_off_first()? & 0x3f;
        let sets = u16::from_be_bytes(*arrays.split_off(..2)?.first_chunk()?);
        for _ in 0..sets {
            let length = u16::from_be_bytes(*arrays.split_off(..2)?.first_chunk()?);
            let set = arrays.split_off(..usize::from(length))?;
            if kind == 33 {
                return Some(set);
            }
        }
    }
    None
}

/// RFC 6381 string of the 12 bytes of a general profile, tier and level (ISO/IEC 14496-15 §E.3).
fn codec_string(profile: &[u8]) -> String {
    let space = ["", "A", "B", "C"][usize::from(profile[0] >> 6)];
    let tier = if profile[0] & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes([profile[1], profile[2], profile[3], profile[4]]).reverse_bits();
    let mut text = format!("hvc1.{space}{}.{compatible:X}.{tier}{}", profile[0] & 0x1f, profile[11]);
    let constraints = &profile[5..11];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        let _ = write!(text, ".{byte:X}"); // writing to a String cannot fail
    }
    text
}

/// `sps_video_parameter_set_id` to the temporal nesting flag: gives `sps_max_sub_layers_minus1`.
fn skip_to_profile(reader: &mut BitReader<'_>) -> Option<u32> {
    reader.skip(4)?;
    let layers = reader.bits(3)?;
    reader.skip(1)?;
    Some(layers)
}

/// profile_tier_level (H.265 §7.3.3) with the general profile.
fn skip_profile(reader: &mut BitReader<'_>, layers: u32) -> Option<()> {
    reader.skip(96)?;
    let present = (0..layers).map(|_| reader.bits(2)).collect::<Option<Vec<_>>>()?;
    if layers > 0 {
        reader.skip(2 * (8 - layers as usize))?; // reserved_zero_2bits
    }
    for flags in present {
        reader.skip(if flags & 2 != 0 { 88 } else { 0 } + if flags & 1 != 0 { 8 } else { 0 })?;
    }
    Some(())
}

/// The part of a sequence parameter set (H.265 §7.3.2.2.1) that containers ask for.
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
    /// From the bytes after the NAL header, unescaped. `None` where even the picture size cannot be
    /// read; what breaks later costs only the frame rate.
    fn parse(rbsp: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(rbsp);
        let reader = &mut reader;
        let mut sps = Self::default();
        let layers = skip_to_profile(reader)?;
        skip_profile(reader, layers)?;
        reader.ue()?; // sps_seq_parameter_set_id
        sps.size(reader)?;
        let order_bits = reader.ue().filter(|bits| *bits <= 12)? + 4; // log2_max_pic_order_cnt_lsb
        let all_layers = reader.bit()?;
        for _ in if all_layers { 0 } else { layers }..=layers {
            reader.ue()?; // sps_max_dec_pic_buffering_minus1
            sps.reorder_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 16)?;
            reader.ue()?; // sps_max_latency_increase_plus1
        }
        sps.frame_rate = skip_to_vui(reader, order_bits).and_then(|()| vui_frame_rate(reader));
        Some(sps)
    }

    fn size(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        self.chroma_format = u8::try_from(reader.ue()?).ok().filter(|format| *format <= 3)?;
        if self.chroma_format == 3 {
            reader.bit()?; // separate_colour_plane_flag
        }
        let (width, height) = (reader.ue()?, reader.ue()?);
        let [left, right, top, bottom] = match reader.bit()? {
            true => [reader.ue()?, reader.ue()?, reader.ue()?, reader.ue()?],
            false => [0; 4],
        };
        let unit_x = if matches!(self.chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if self.chroma_format == 1 { 2 } else { 1 };
        let remaining = |size: u32, cut: u32| size.checked_sub(cut).filter(|pixels| *pixels > 0);
        self.width = remaining(width, left.checked_add(right)?.checked_mul(unit_x)?)?;
        self.height = remaining(height, top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        self.luma_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 7)?;
        self.chroma_depth = u8::try_from(reader.ue()?).ok().filter(|depth| *depth <= 7)?;
        Some(())
    }
}

/// `log2_min_luma_coding_block_size_minus3` to `vui_parameters_present_flag`, which must be set.
fn skip_to_vui(reader: &mut BitReader<'_>, order_bits: u32) -> Option<()> {
    for _ in 0..6 {
        reader.ue()?; // block sizes and hierarchy depths
    }
    if reader.bit()? && reader.bit()? {
        skip_scaling_lists(reader)?;
    }
    reader.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.bit()? {
        reader.skip(8)?; // pcm sample bit depths
        reader.ue()?; // log2_min_pcm_luma_coding_block_size_minus3
        reader.ue()?; // log2_diff_max_min_pcm_luma_coding_block_size
        reader.bit()?; // pcm_loop_filter_disabled_flag
    }
    skip_reference_sets(reader)?;
    if reader.bit()? {
        for _ in 0..reader.ue().filter(|count| *count <= 32)? {
            reader.skip(order_bits as usize + 1)?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
        }
    }
    reader.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    reader.bit()?.then_some(())
}

/// scaling_list_data (H.265 §7.3.4).
fn skip_scaling_lists(reader: &mut BitReader<'_>) -> Option<()> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !reader.bit()? {
                reader.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                reader.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                reader.se()?; // scaling_list_delta_coef
            }
        }
    }
    Some(())
}

/// All st_ref_pic_set of a sequence parameter set (H.265 §7.3.7).
fn skip_reference_sets(reader: &mut BitReader<'_>) -> Option<()> {
    let count = reader.ue().filter(|count| *count <= 64)?;
    let mut pictures = 0; // NumDeltaPocs of the previous set
    for index in 0..count {
        if index > 0 && reader.bit()? {
            reader.bit()?; // delta_rps_sign
            reader.ue()?; // abs_delta_rps_minus1
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = reader.bit()?;
                if used || reader.bit()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let before = reader.ue().filter(|count| *count <= 16)?;
            let after = reader.ue().filter(|count| *count <= 16)?;
            for _ in 0..before + after {
                reader.ue()?; // delta_poc_minus1
                reader.bit()?; // used_by_curr_pic_flag
            }
            pictures = before + after;
        }
    }
    Some(())
}

/// The frame rate of VUI parameters (H.265 §E.2.1).
fn vui_frame_rate(reader: &mut BitReader<'_>) -> Option<f64> {
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
    reader.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if reader.bit()? {
        for _ in 0..4 {
            reader.ue()?; // default display window
        }
    }
    if !reader.bit()? {
        return None;
    }
    let units_in_tick = reader.bits(32)?;
    frame_rate(reader.bits(32)?, u64::from(units_in_tick))
}

#[cfg(test)]
#[path = "h265_tests.rs"]
mod tests;
