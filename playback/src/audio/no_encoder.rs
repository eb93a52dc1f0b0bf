//! Where Millrace is built without GStreamer: no AAC.

/// Why there is no encoder.
pub(super) fn missing() -> Option<&'static str> {
    Some(
        "browsers do not play it, and this build cannot make AAC of it: build with the cargo feature \
         `gstreamer`, or take it as Matroska (GetMediaForFragmentList)",
    )
}

/// As its namesake with GStreamer.
pub(super) fn encode(_sample_rate: u32, _channels: u8, _samples: &[i16]) -> Result<Vec<Vec<u8>>, String> {
    Err("built without the cargo feature `gstreamer`".into())
}
