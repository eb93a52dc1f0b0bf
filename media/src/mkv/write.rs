//! A fragment into a Matroska file.

use std::sync::Arc;

use base::Timestamp;
use bytes::{BufMut, Bytes, BytesMut};

use super::ebml::{id, put_binary, put_float, put_id, put_master, put_uint, put_vint};
use super::timing;
use crate::codec::aac;
use crate::ticks::scale;
use crate::{CodecId, Frame, Track};

/// Writes a fragment as one Matroska file, as a list of pieces to be written one after the other:
/// small headers and the frames' own bytes, not copied.
///
/// `tracks` are all tracks of the fragment, `frames` its frames in the order they are to be stored
/// (decoding order within a track). `run_origin` is the wall time of media time zero: the cluster's
/// timestamp is the wall time of the earliest frame in milliseconds since the epoch. Exact times of
/// every frame go into a binary tag of their own; it comes after the cluster, because the last
/// frame's duration is known last, and because players find the first picture sooner.
pub fn write_fragment(tracks: &[Arc<Track>], frames: &[Frame], run_origin: Timestamp) -> Vec<Bytes> {
    let clock = BlockClock::new(tracks, frames, run_origin);
    let mut small = BytesMut::with_capacity(1024 + 20 * frames.len());
    let mut body = info(clock.duration_ms);
    put_master(&mut body, id::TRACKS, |out| tracks.iter().for_each(|track| put_track(out, track)));
    let mut tags = BytesMut::new();
    put_master(&mut tags, id::TAGS, |out| {
        put_tag(out, &[(timing::TAG, Value::Binary(&timing::write(tracks, frames)))]);
    });
    let mut timestamp = BytesMut::new();
    put_uint(&mut timestamp, id::TIMESTAMP, clock.cluster_ms);
    let blocks: usize = frames.iter().map(|frame| block_header_size(frame) + frame.data.len()).sum();
    let cluster_size = (timestamp.len() + blocks) as u64;
    let mut cluster_header = BytesMut::new();
    put_id(&mut cluster_header, id::CLUSTER);
    put_vint(&mut cluster_header, cluster_size);

    put_ebml_header(&mut small);
    put_id(&mut small, id::SEGMENT);
    put_vint(&mut small, (body.len() + cluster_header.len() + tags.len()) as u64 + cluster_size);
    for part in [body, cluster_header, timestamp] {
        small.put_slice(&part);
    }
    gather(small, frames, &clock, &tags)
}

/// The file's pieces: what `small` holds, each frame behind its block header, the tags.
fn gather(mut small: BytesMut, frames: &[Frame], clock: &BlockClock<'_>, tags: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * frames.len() + 1);
    for frame in frames {
        put_id(&mut small, id::SIMPLE_BLOCK);
        put_vint(&mut small, block_size(frame));
        put_vint(&mut small, frame.track.into());
        small.put_i16(clock.relative_ms(frame));
        small.put_u8(if frame.key { 0x80 } else { 0 });
        pieces.push(small.split().freeze());
        pieces.push(frame.data.clone());
    }
    small.put_slice(tags);
    pieces.push(small.freeze());
    pieces
}

/// Bytes in a frame's SimpleBlock: track number, time, flags, data.
fn block_size(frame: &Frame) -> u64 {
    let number = if frame.track < 127 { 1 } else { 2 };
    (number + 3 + frame.data.len()) as u64
}

/// Bytes of a frame's SimpleBlock before the data.
fn block_header_size(frame: &Frame) -> usize {
    let size = block_size(frame);
    let size_bytes = (1..8u32).find(|bytes| size < (1 << (7 * bytes)) - 1).unwrap_or(8);
    1 + size_bytes as usize + (size as usize - frame.data.len())
}

/// Media times in the cluster's milliseconds.
struct BlockClock<'a> {
    tracks: &'a [Arc<Track>],
    /// Milliseconds since the run's start at which the cluster's time stands.
    zero_ms: i64,
    cluster_ms: u64,
    duration_ms: u32,
}

impl<'a> BlockClock<'a> {
    fn new(tracks: &'a [Arc<Track>], frames: &[Frame], run_origin: Timestamp) -> Self {
        let mut clock = Self { tracks, zero_ms: 0, cluster_ms: 0, duration_ms: 0 };
        let first = frames.iter().map(|frame| clock.ms(frame, frame.pts)).min().unwrap_or(0);
        let end = |frame: &Frame| clock.ms(frame, frame.pts.saturating_add(frame.duration.into()));
        let last = frames.iter().map(end).max().unwrap_or(0);
        clock.duration_ms = u32::try_from(last.saturating_sub(first)).unwrap_or(0);
        // Matroska has no time before 1970; blocks of such a fragment still lie right among themselves.
        clock.cluster_ms = u64::try_from(run_origin.millis().saturating_add(first)).unwrap_or(0);
        clock.zero_ms = first;
        clock
    }

    fn ms(&self, frame: &Frame, ticks: i64) -> i64 {
        let track = self.tracks.iter().find(|track| track.number == frame.track);
        scale(ticks, track.map_or(1000, |track| track.timescale), 1000)
    }

    /// A block's time. Beyond Matroska's 32 s only the timing tag tells it.
    fn relative_ms(&self, frame: &Frame) -> i16 {
        let relative = self.ms(frame, frame.pts).saturating_sub(self.zero_ms);
        i16::try_from(relative).unwrap_or(if relative < 0 { i16::MIN } else { i16::MAX })
    }
}

/// The EBML header.
pub(super) fn put_ebml_header(out: &mut BytesMut) {
    put_master(out, id::EBML, |out| {
        put_uint(out, id::EBML_VERSION, 1);
        put_uint(out, id::EBML_READ_VERSION, 1);
        put_uint(out, id::EBML_MAX_ID_LENGTH, 4);
        put_uint(out, id::EBML_MAX_SIZE_LENGTH, 8);
        put_binary(out, id::DOC_TYPE, b"matroska");
        put_uint(out, id::DOC_TYPE_VERSION, 4);
        put_uint(out, id::DOC_TYPE_READ_VERSION, 2);
    });
}

fn info(duration_ms: u32) -> BytesMut {
    let mut out = BytesMut::with_capacity(512);
    put_master(&mut out, id::INFO, |out| {
        put_uint(out, id::TIMESTAMP_SCALE, 1_000_000);
        if duration_ms > 0 {
            put_float(out, id::DURATION, duration_ms.into());
        }
        put_binary(out, id::MUXING_APP, b"Millrace");
        put_binary(out, id::WRITING_APP, b"Millrace");
    });
    out
}

/// Matroska's name of a codec (RFC 9559 §5.1.4.1.21 and the codec registry).
pub(super) const fn codec_name(codec: CodecId) -> &'static str {
    match codec {
        CodecId::H264 => "V_MPEG4/ISO/AVC",
        CodecId::H265 => "V_MPEGH/ISO/HEVC",
        CodecId::Aac => "A_AAC",
    }
}

fn put_track(out: &mut BytesMut, track: &Track) {
    put_master(out, id::TRACK_ENTRY, |out| {
        put_uint(out, id::TRACK_NUMBER, track.number.into());
        put_uint(out, id::TRACK_UID, track.number.into());
        put_uint(out, id::TRACK_TYPE, if track.is_video() { 1 } else { 2 });
        put_uint(out, id::FLAG_LACING, 0);
        put_binary(out, id::LANGUAGE, b"und");
        put_binary(out, id::CODEC_ID, codec_name(track.codec).as_bytes());
        put_binary(out, id::CODEC_PRIVATE, &track.private);
        if track.is_video() {
            // Matroska demands a size; where it is unknown, none misleads less than an invented one.
            if track.width > 0 && track.height > 0 {
                put_master(out, id::VIDEO, |out| {
                    put_uint(out, id::PIXEL_WIDTH, track.width.into());
                    put_uint(out, id::PIXEL_HEIGHT, track.height.into());
                });
            }
        } else {
            put_audio(out, track);
        }
    });
}

fn put_audio(out: &mut BytesMut, track: &Track) {
    let core_rate = aac::Config::parse(&track.private).map_or(track.sample_rate, |config| config.core_rate);
    put_master(out, id::AUDIO, |out| {
        put_float(out, id::SAMPLING_FREQUENCY, core_rate.into());
        if core_rate != track.sample_rate {
            put_float(out, id::OUTPUT_SAMPLING_FREQUENCY, track.sample_rate.into());
        }
        put_uint(out, id::CHANNELS, track.channels.into());
    });
}

/// A tag's value.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// A Tag of these names and values, about the whole segment.
pub(super) fn put_tag(out: &mut BytesMut, tags: &[(&str, Value<'_>)]) {
    put_master(out, id::TAG, |out| {
        put_binary(out, id::TARGETS, &[]);
        for (name, value) in tags {
            put_master(out, id::SIMPLE_TAG, |out| {
                put_binary(out, id::TAG_NAME, name.as_bytes());
                match value {
                    Value::Text(text) => put_binary(out, id::TAG_STRING, text.as_bytes()),
                    Value::Binary(bytes) => put_binary(out, id::TAG_BINARY, bytes),
                }
            });
        }
    });
}
