//! Motion JPEG: markers of a JPEG file (ITU-T T.81 annex B), and the tables that RTP leaves out.

use super::Description;
use crate::MediaError;

/// Markers, without the 0xff before them (table B.1).
pub(crate) mod marker {
    pub(crate) const START_OF_FRAME: u8 = 0xc0;
    pub(crate) const HUFFMAN_TABLES: u8 = 0xc4;
    pub(crate) const START_OF_IMAGE: u8 = 0xd8;
    pub(crate) const END_OF_IMAGE: u8 = 0xd9;
    pub(crate) const START_OF_SCAN: u8 = 0xda;
    pub(crate) const QUANTIZATION_TABLES: u8 = 0xdb;
    pub(crate) const RESTART_INTERVAL: u8 = 0xdd;
}

/// Width and height in pixels of a JPEG file; `None` where its frame header cannot be found.
pub(crate) fn size(file: &[u8]) -> Option<(u32, u32)> {
    let mut rest = file.strip_prefix(&[0xff, marker::START_OF_IMAGE])?;
    loop {
        let [mark, kind, high, low] = *rest.split_off(..4)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
        let segment = rest.split_off(..length)?;
        match (mark, kind) {
            (0xff, marker::START_OF_SCAN) => return None,
            // SOF0 to SOF15, but for the tables and the reserved marker among them.
            (0xff, 0xc0..=0xcf) if !matches!(kind, marker::HUFFMAN_TABLES | 0xc8 | 0xcc) => {
                let [_, h0, h1, w0, w1] = *segment.first_chunk()?;
                let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
                return (width > 0 && height > 0).then(|| (width.into(), height.into()));
            }
            (0xff, _) => {}
            _ => return None,
        }
    }
}

/// What is known of every track: the object type 6C of ISO/IEC 14496-1 is JPEG.
pub(super) fn describe(private: &[u8]) -> Result<Description, MediaError> {
    if !private.is_empty() {
        let why = "Motion JPEG has none";
        return Err(MediaError::Malformed { what: "codec private data", why });
    }
    Ok(Description { codec_string: "mp4v.6C".into(), ..Description::default() })
}

/// A Huffman table as `DHT` carries it: class and id, codes of each length, symbols (T.81 annex K.3).
pub(crate) struct HuffmanTable {
    pub(crate) class_and_id: u8,
    pub(crate) counts: [u8; 16],
    pub(crate) symbols: &'static [u8],
}

/// The tables that every RTP stream is coded with (RFC 2435 §3.1.2): of luminance, then of chrominance.
pub(crate) const HUFFMAN: [HuffmanTable; 4] = [
    HuffmanTable {
        class_and_id: 0x00,
        counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        symbols: &DC_SYMBOLS,
    },
    HuffmanTable {
        class_and_id: 0x10,
        counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
        symbols: &LUMA_AC_SYMBOLS,
    },
    HuffmanTable {
        class_and_id: 0x01,
        counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        symbols: &DC_SYMBOLS,
    },
    HuffmanTable {
        class_and_id: 0x11,
        counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        symbols: &CHROMA_AC_SYMBOLS,
    },
];

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const LUMA_AC_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

#[rustfmt::skip]
const CHROMA_AC_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

/// Quantization tables of luminance and chrominance at quality 50, in zigzag order (T.81 annex K.1).
#[rustfmt::skip]
const QUANTIZATION: [[u8; 64]; 2] = [
    [
        16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
        26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
        56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
        95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
    ],
    [
        17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The quantization tables of a quality from 1 to 99 (RFC 2435 §4.2), luminance first.
pub(crate) fn quantization(quality: u8) -> [u8; 128] {
    let quality = u32::from(quality.clamp(1, 99));
    let factor = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let mut scaled = [0; 128];
    for (out, base) in scaled.iter_mut().zip(QUANTIZATION.as_flattened()) {
        let value = (u32::from(*base) * factor + 50) / 100;
        *out = u8::try_from(value.clamp(1, 255)).unwrap_or(u8::MAX);
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_size_behind_other_segments() {
        let file = b"\xff\xd8\xff\xe0\0\x04JF\xff\xc0\0\x0b\x08\0\xf0\x01\x40\x01\x01\x11\0";
        assert_eq!(size(file), Some((320, 240)));
        assert_eq!(size(&file[..12]), None);
        assert_eq!(size(b"\xff\xd8\xff\xda\0\x02\xff\xc0\0\x0b\x08\0\xf0\x01\x40"), None);
    }

    #[test]
    fn the_tables_hold_as_many_symbols_as_they_count() {
        for table in &HUFFMAN {
            let counted: usize = table.counts.iter().map(|count| usize::from(*count)).sum();
            assert_eq!(counted, table.symbols.len());
        }
    }

    #[test]
    fn tables_scale_with_the_quality() {
        assert_eq!(quantization(50)[..64], QUANTIZATION[0]);
        assert_eq!((quantization(99)[0], quantization(1)[0], quantization(25)[64]), (1, 255, 34));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = size(&[&b"\xff\xd8"[..], &bytes].concat());
        }
    }
}
