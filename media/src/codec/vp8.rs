//! VP8: the header of key frames (RFC 6386 §9.1).

use super::Description;
use crate::MediaError;

/// Width and height in pixels as a key frame states them; `None` where it is none.
pub(crate) fn key_frame_size(frame: &[u8]) -> Option<(u32, u32)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *frame.first_chunk()? else { return None };
    // The upper two bits of each ask for scaling.
    let [width, height] = [[w0, w1], [h0, h1]].map(|bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff));
    (tag & 1 == 0 && width > 0 && height > 0).then_some((width, height))
}

/// What is known of every track.
pub(super) fn describe(private: &[u8]) -> Result<Description, MediaError> {
    if !private.is_empty() {
        return Err(MediaError::Malformed { what: "codec private data", why: "VP8 has none" });
    }
    Ok(Description { codec_string: "vp8".into(), ..Description::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_state_their_size() {
        let key = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x40";
        assert_eq!(key_frame_size(key), Some((320, 240)));
        assert_eq!(key_frame_size(&key[..9]), None);
        assert_eq!(key_frame_size(b"\x11\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"), None, "not a key frame");
    }
}
