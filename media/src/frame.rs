//! One coded picture or audio frame.

use bytes::Bytes;

/// One access unit of one track, with its place in time.
///
/// Times are ticks of the track's timescale since the start of the run. Decode times are strictly
/// increasing within a track; a presentation time may lie on either side of its decode time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The track's number.
    pub track: u8,
    /// Decode time, in ticks.
    pub dts: i64,
    /// Presentation time, in ticks.
    pub pts: i64,
    /// Ticks until the next frame's decode time.
    pub duration: u32,
    /// Whether decoding may start here (H.264 IDR, H.265 IRAP, AV1, VP8 and VP9 key frames, every JPEG, every
    /// audio frame).
    pub key: bool,
    /// H.264 and H.265: NAL units, each after its length in 4 bytes, without parameter sets and
    /// delimiters. AV1: the open bitstream units of a temporal unit, each with its size, without
    /// delimiters. VP8: a frame. VP9: a frame or superframe. Motion JPEG: a JPEG file. AAC: one raw access unit. Opus: one
    /// packet. G.711 and L16: the samples of one RTP packet, channels interleaved.
    pub data: Bytes,
}
