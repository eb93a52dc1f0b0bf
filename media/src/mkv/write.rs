//! A fragment into a Matroska file, whole or part by part.

use std::sync::Arc;

use base::Timestamp;
use bytes::{BufMut, Bytes, BytesMut};

use super::ebml::{id, put_binary, put_float, put_id, put_master, put_uint, put_vint};
use super::timing::{self, TimingWriter};
use crate::codec::{aac, pcm};
use crate::ticks::scale;
use crate::{CodecId, Frame, Track};

/// Writes a fragment as one Matroska file, as a list of pieces to be written one after the other:
/// small headers and the frames' own bytes, not copied.
///
/// `tracks` are all tracks of the fragment, `frames` its frames in the order they are to be stored
/// (decoding order within a track). `run_origin` is the wall time of media time zero.
pub fn write_fragment(tracks: &[Arc<Track>], frames: &[Frame], run_origin: Timestamp) -> Vec<Bytes> {
    let mut file = FragmentWriter::new(run_origin);
    let blocks = file.blocks(tracks, frames);
    let FileEnds { head, tail } = file.ends(tracks);
    std::iter::once(head).chain(blocks).chain([tail]).collect()
}

/// Writes a fragment's Matroska file while its frames still come. What the frames make of it is final
/// at once; what stands before and after them is known at any time for the file as it is so far.
///
/// The cluster's timestamp is the wall time, in milliseconds since the epoch, of the earliest frame of
/// the first part: a block counts from there. Exact times of every frame go into a binary tag of their
/// own; it comes after the cluster, because the last frame's duration is known last, and because
/// players find the first picture sooner.
#[derive(Debug)]
pub struct FragmentWriter {
    run_origin: Timestamp,
    span: Option<Span>,
    /// Bytes of all blocks so far.
    blocks: u64,
    timing: TimingWriter,
}

/// What stands around a file's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEnds {
    /// All before the first block.
    pub head: Bytes,
    /// All after the last one.
    pub tail: Bytes,
}

/// Where a fragment lies, in milliseconds since the run's start.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Where the cluster's time stands.
    zero: i64,
    /// The earliest frame.
    first: i64,
    /// Where the last frame ends.
    end: i64,
}

impl FragmentWriter {
    /// For a fragment of a run whose media time zero is `run_origin` by the wall clock.
    pub fn new(run_origin: Timestamp) -> Self {
        Self { run_origin, span: None, blocks: 0, timing: TimingWriter::default() }
    }

    /// Writes the next frames, which follow those before in the file: small headers and the frames'
    /// own bytes, not copied. `tracks` are at least those of all frames so far.
    pub fn blocks(&mut self, tracks: &[Arc<Track>], frames: &[Frame]) -> Vec<Bytes> {
        let Some(span) = self.widen(tracks, frames) else { return Vec::new() };
        let mut small = BytesMut::with_capacity(20 * frames.len());
        let mut pieces = Vec::with_capacity(2 * frames.len());
        for frame in frames {
            put_id(&mut small, id::SIMPLE_BLOCK);
            put_vint(&mut small, block_size(frame));
            put_vint(&mut small, frame.track.into());
            small.put_i16(block_time(millis(tracks, frame, frame.pts).saturating_sub(span.zero)));
            small.put_u8(if frame.key { 0x80 } else { 0 });
            let header = small.split().freeze();
            self.blocks += (header.len() + frame.data.len()) as u64;
            self.timing.push(frame);
            pieces.extend([header, frame.data.clone()]);
        }
        pieces
    }

    /// What stands before and after the blocks so far. `tracks` are all tracks that have frames.
    pub fn ends(&self, tracks: &[Arc<Track>]) -> FileEnds {
        let Span { zero, first, end } = self.span.unwrap_or(Span { zero: 0, first: 0, end: 0 });
        let mut tail = BytesMut::new();
        put_master(&mut tail, id::TAGS, |out| {
            put_tag(out, &[(timing::TAG, Value::Binary(&self.timing.tag(tracks)))]);
        });
        let mut body = info(u32::try_from(end.saturating_sub(first)).unwrap_or(0));
        put_master(&mut body, id::TRACKS, |out| tracks.iter().for_each(|track| put_track(out, track)));
        let mut timestamp = BytesMut::new();
        // Matroska has no time before 1970; blocks of such a fragment still lie right among themselves.
        let cluster_ms = u64::try_from(self.run_origin.millis().saturating_add(zero)).unwrap_or(0);
        put_uint(&mut timestamp, id::TIMESTAMP, cluster_ms);
        put_id(&mut body, id::CLUSTER);
        put_vint(&mut body, timestamp.len() as u64 + self.blocks);
        body.put_slice(&timestamp);

        let mut head = BytesMut::with_capacity(64 + body.len());
        put_ebml_header(&mut head);
        put_id(&mut head, id::SEGMENT);
        put_vint(&mut head, (body.len() + tail.len()) as u64 + self.blocks);
        head.put_slice(&body);
        FileEnds { head: head.freeze(), tail: tail.freeze() }
    }

    /// Bytes of all blocks so far.
    pub fn blocks_bytes(&self) -> u64 {
        self.blocks
    }

    /// The span with these frames; `None` without any.
    fn widen(&mut self, tracks: &[Arc<Track>], frames: &[Frame]) -> Option<Span> {
        let end = |frame: &Frame| millis(tracks, frame, frame.pts.saturating_add(frame.duration.into()));
        let first = frames.iter().map(|frame| millis(tracks, frame, frame.pts)).min()?;
        let end = frames.iter().map(end).max()?;
        let span = self.span.get_or_insert(Span { zero: first, first, end });
        (span.first, span.end) = (span.first.min(first), span.end.max(end));
        Some(*span)
    }
}

/// Ticks of a frame's track in milliseconds.
fn millis(tracks: &[Arc<Track>], frame: &Frame, ticks: i64) -> i64 {
    let track = tracks.iter().find(|track| track.number == frame.track);
    scale(ticks, track.map_or(1000, |track| track.timescale), 1000)
}

/// A block's time. Beyond Matroska's 32 s only the timing tag tells it.
fn block_time(relative_ms: i64) -> i16 {
    i16::try_from(relative_ms).unwrap_or(if relative_ms < 0 { i16::MIN } else { i16::MAX })
}

/// Bytes in a frame's SimpleBlock: track number, time, flags, data.
fn block_size(frame: &Frame) -> u64 {
    let number = if frame.track < 127 { 1 } else { 2 };
    (number + 3 + frame.data.len()) as u64
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

pub(super) fn info(duration_ms: u32) -> BytesMut {
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

/// Matroska's name of a codec (RFC 9559 §5.1.4.1.21 and the codec registry); `None` for those that are not
/// known here.
pub(super) const fn codec_name(codec: CodecId) -> Option<&'static str> {
    Some(match codec {
        CodecId::H264 => "V_MPEG4/ISO/AVC",
        CodecId::H265 => "V_MPEGH/ISO/HEVC",
        CodecId::Av1 => "V_AV1",
        CodecId::Vp9 => "V_VP9",
        CodecId::Vp8 => "V_VP8",
        CodecId::Mjpeg => "V_MJPEG",
        CodecId::Aac => "A_AAC",
        CodecId::Opus => "A_OPUS",
        CodecId::Pcmu | CodecId::Pcma => "A_MS/ACM",
        CodecId::L16 => "A_PCM/INT/BIG",
        CodecId::Other => return None,
    })
}

/// TrackType (RFC 9559 §5.1.4.1.3) of a track by Matroska's name of its codec.
fn track_type(codec_id: &str) -> u64 {
    match codec_id.as_bytes() {
        [b'V', ..] => 1,
        [b'A', ..] => 2,
        [b'S', ..] => 17,
        _ => 33, // metadata
    }
}

/// What a decoder must be fed before the sound it is to play (RFC 9559 §5.1.4.1.26, the Opus mapping): 80 ms,
/// in nanoseconds.
const OPUS_SEEK_PRE_ROLL: u64 = 80_000_000;

fn put_track(out: &mut BytesMut, track: &Track) {
    put_master(out, id::TRACK_ENTRY, |out| {
        put_uint(out, id::TRACK_NUMBER, track.number.into());
        put_uint(out, id::TRACK_UID, track.number.into());
        let codec_id = codec_name(track.codec).unwrap_or(&track.codec_string);
        put_uint(out, id::TRACK_TYPE, track_type(codec_id));
        put_uint(out, id::FLAG_LACING, 0);
        put_binary(out, id::LANGUAGE, b"und");
        put_binary(out, id::CODEC_ID, codec_id.as_bytes());
        // Matroska's own elements say all there is to L16.
        if !track.private.is_empty() && track.codec != CodecId::L16 {
            put_binary(out, id::CODEC_PRIVATE, &track.private);
        }
        if track.codec == CodecId::Opus {
            put_uint(out, id::SEEK_PRE_ROLL, OPUS_SEEK_PRE_ROLL);
        }
        if track.is_video() {
            // Matroska demands a size; where it is unknown, none misleads less than an invented one.
            if track.width > 0 && track.height > 0 {
                put_master(out, id::VIDEO, |out| {
                    put_uint(out, id::PIXEL_WIDTH, track.width.into());
                    put_uint(out, id::PIXEL_HEIGHT, track.height.into());
                });
            }
        } else if track.codec != CodecId::Other {
            put_audio(out, track);
        }
    });
}

fn put_audio(out: &mut BytesMut, track: &Track) {
    let aac = aac::Config::parse(&track.private).filter(|_| track.codec == CodecId::Aac);
    let core_rate = aac.map_or(track.sample_rate, |config| config.core_rate);
    put_master(out, id::AUDIO, |out| {
        put_float(out, id::SAMPLING_FREQUENCY, core_rate.into());
        if core_rate != track.sample_rate {
            put_float(out, id::OUTPUT_SAMPLING_FREQUENCY, track.sample_rate.into());
        }
        put_uint(out, id::CHANNELS, track.channels.into());
        if pcm::sample_bytes(track.codec) > 0 {
            put_uint(out, id::BIT_DEPTH, u64::from(pcm::sample_bytes(track.codec)) * 8);
        }
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
