//! VP9: the uncompressed header of key frames, and what containers ask for
//! (VP9 Bitstream & Decoding Process Specification; VP Codec ISO Media File Format Binding).

use bytes::{BufMut, Bytes, BytesMut};

use super::Description;
use crate::MediaError;
use crate::bits::BitReader;

/// What the header of a key frame says (specification §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFrame {
    profile: u8,
    bit_depth: u8,
    /// As `vpcC` numbers it: 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    chroma_subsampling: u8,
    /// In pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
}

const SYNC_CODE: u32 = 0x49_83_42;
const COLOR_SPACE_RGB: u32 = 7;

impl KeyFrame {
    /// Reads the header of the first frame in `data`; `None` where that is not a key frame.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(data);
        if reader.bits(2)? != 2 {
            return None; // frame_marker
        }
        let profile = reader.byte(1)? | reader.byte(1)? << 1;
        if profile == 3 && reader.bit()? {
            return None; // reserved_zero
        }
        if reader.bit()? || reader.bit()? {
            return None; // show_existing_frame, or frame_type is not KEY_FRAME
        }
        reader.skip(2)?; // show_frame, error_resilient_mode
        if reader.bits(24)? != SYNC_CODE {
            return None;
        }
        let (bit_depth, chroma_subsampling) = color_config(&mut reader, profile)?;
        let (width, height) = (reader.bits(16)? + 1, reader.bits(16)? + 1);
        Some(Self { profile, bit_depth, chroma_subsampling, width, height })
    }

    /// The codec private data as WebM carries them ("VP9 Codec Feature Metadata"). It has no room for
    /// the size, which therefore stands beside it.
    pub(crate) fn private(&self) -> Bytes {
        let features = [
            (1, self.profile),
            (2, level(self.width, self.height)),
            (3, self.bit_depth),
            (4, self.chroma_subsampling),
        ];
        let mut out = BytesMut::with_capacity(12);
        features.iter().for_each(|(id, value)| out.put_slice(&[*id, 1, *value]));
        out.freeze()
    }
}

/// color_config (§6.2.2): bits per sample, and the subsampling as `vpcC` numbers it.
fn color_config(reader: &mut BitReader<'_>, profile: u8) -> Option<(u8, u8)> {
    let bit_depth = match profile {
        0 | 1 => 8,
        _ if reader.bit()? => 12,
        _ => 10,
    };
    let chosen = profile & 1 == 1;
    let subsampled = if reader.bits(3)? == COLOR_SPACE_RGB {
        (false, false)
    } else {
        reader.bit()?; // color_range
        if chosen { (reader.bit()?, reader.bit()?) } else { (true, true) }
    };
    if chosen {
        reader.bit()?; // reserved_zero
    }
    Some((
        bit_depth,
        match subsampled {
            (true, true) => 1,
            (true, false) => 2,
            (false, _) => 3,
        },
    ))
}

/// The lowest level (VP9 levels, "Level definitions") that such pictures fit in at thirty a second:
/// the bitstream does not say its own.
fn level(width: u32, height: u32) -> u8 {
    /// Level, luma samples a second, luma samples a picture.
    const LEVELS: [(u8, u64, u64); 13] = [
        (10, 829_440, 36_864),
        (11, 2_764_800, 73_728),
        (20, 4_608_000, 122_880),
        (21, 9_216_000, 245_760),
        (30, 20_736_000, 552_960),
        (31, 36_864_000, 983_040),
        (40, 83_558_400, 2_228_224),
        (41, 160_432_128, 2_228_224),
        (50, 311_951_360, 8_912_896),
        (51, 588_251_136, 8_912_896),
        (52, 1_176_502_272, 8_912_896),
        (60, 1_176_502_272, 35_651_584),
        (61, 2_353_004_544, 35_651_584),
    ];
    let picture = u64::from(width) * u64::from(height);
    let fits = |(_, rate, size): &&(u8, u64, u64)| picture <= *size && picture * 30 <= *rate;
    LEVELS.iter().find(fits).map_or(62, |(level, ..)| *level)
}

/// What WebM's codec private data say; the colours are left to the bitstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) profile: u8,
    pub(crate) level: u8,
    pub(crate) bit_depth: u8,
    pub(crate) chroma_subsampling: u8,
}

impl Features {
    /// Reads features of one byte each; `None` where one is cut off, or impossible, or the profile is missing.
    pub(crate) fn parse(mut private: &[u8]) -> Option<Self> {
        let (mut profile, mut level, mut bit_depth, mut chroma_subsampling) = (None, 10, 8, 1);
        while let Some((&[id, length], rest)) = private.split_first_chunk() {
            let (value, rest) = rest.split_at_checked(length.into())?;
            private = rest;
            match (id, value) {
                (1, [value @ 0..=3]) => profile = Some(*value),
                (2, [value @ 10..=62]) => level = *value,
                (3, [value @ (8 | 10 | 12)]) => bit_depth = *value,
                (4, [value @ 0..=3]) => chroma_subsampling = *value,
                (1..=4, _) => return None,
                _ => {}
            }
        }
        private.is_empty().then_some(Self { profile: profile?, level, bit_depth, chroma_subsampling })
    }
}

/// What codec private data say of a track: everything but the picture's size.
pub(super) fn describe(private: &[u8]) -> Result<Description, MediaError> {
    let Features { profile, level, bit_depth, chroma_subsampling } =
        Features::parse(private).ok_or(MediaError::Malformed {
            what: "VP9 codec private data (WebM: VP9 Codec Feature Metadata)",
            why: "no profile, or a feature out of range",
        })?;
    let mut codec_string = format!("vp09.{profile:02}.{level:02}.{bit_depth:02}");
    if chroma_subsampling > 1 {
        // Either all of the optional fields or none: BT.709, video range.
        codec_string.push_str(&format!(".{chroma_subsampling:02}.01.01.01.00"));
    }
    Ok(Description { codec_string, ..Description::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libvpx: profile 0, 640x360.
    const KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70, 0x00];

    #[test]
    fn reads_a_key_frame() {
        let frame = KeyFrame::parse(KEY).unwrap();
        assert_eq!((frame.width, frame.height, frame.profile, frame.bit_depth), (640, 360, 0, 8));
        let description = describe(&frame.private()).unwrap();
        assert_eq!((description.codec_string.as_str(), description.width), ("vp09.00.21.08", 0));
        assert_eq!(KeyFrame::parse(&[0x86, 0x49, 0x83, 0x42, 0, 0x27, 0xf0, 0x16, 0x70]), None, "not key");
        assert_eq!(KeyFrame::parse(&KEY[..8]), None);
    }

    #[test]
    fn levels_follow_the_size() {
        let sizes = [(320, 240), (1280, 720), (1920, 1080), (3840, 2160), (65_536, 65_536)];
        assert_eq!(sizes.map(|(width, height)| level(width, height)), [20, 31, 40, 50, 62]);
    }

    #[test]
    fn other_subsamplings_take_the_long_string() {
        let private = [1, 1, 1, 2, 1, 31, 3, 1, 8, 4, 1, 3];
        assert_eq!(describe(&private).unwrap().codec_string, "vp09.01.31.08.03.01.01.01.00");
        assert!(describe(&[1, 1, 4]).is_err() && describe(&[1, 2, 0]).is_err() && describe(&[]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
            let _ = describe(&bytes);
            if let Some(frame) = KeyFrame::parse(&[KEY, &bytes].concat()) {
                prop_assert!(describe(&frame.private()).is_ok());
            }
        }
    }
}
