//! Frames of codecs besides H.264, as far as a recorder looks at them.

/// Bytes behind a frame's header: more than one packet's.
const REST: usize = 3000;
/// A VP9 key frame's header (libvpx): profile 0, 640x360.
const VP9_KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70, 0x00];
/// The same of a frame that depends on others.
const VP9_OTHER: &[u8] = &[0x86, 0x00];
/// An AV1 sequence header (libaom): main profile, 322x242.
const AV1_SEQUENCE: &[u8] = b"\x0a\x0b\0\0\0\x04\x3d\x07\xc4\xda\xf9\0\x40";
/// 20 ms of silence.
pub const OPUS: &[u8] = &[0xfc, 0xff, 0xfe];

pub fn vp9(key: bool) -> Vec<u8> {
    [if key { VP9_KEY } else { VP9_OTHER }, &[0x55; REST]].concat()
}

/// A temporal unit: its delimiter, a sequence header before a key frame, a frame.
pub fn av1(key: bool) -> Vec<u8> {
    let (sequence, first) = if key { (AV1_SEQUENCE, 0x10) } else { (&[][..], 0x30) };
    let size = REST + 1;
    let leb128 = [u8::try_from(size & 0x7f).unwrap() | 0x80, u8::try_from(size >> 7).unwrap()];
    [&[0x12, 0][..], sequence, &[0x32], &leb128, &[first], &[0x55; REST]].concat()
}
