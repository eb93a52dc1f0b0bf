//! moof and mdat.

use base::Timestamp;
use bytes::Bytes;
use mp4_atom::{Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::encode;
use crate::ticks::scale;
use crate::{Frame, MediaError, Track};

/// One track's share of a media segment.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The track.
    pub track: &'a Track,
    /// Decode time of the first frame, in ticks of the track: see [`base_decode_time`].
    pub base_decode_time: u64,
    /// The frames of this track in decoding order. Their own times count only in relation to each other.
    pub frames: &'a [Frame],
}

/// Decode time that a segment starts at, in ticks: the run's origin (milliseconds since the epoch,
/// scaled to the track) plus the media start. A segment is then the same bytes in every playlist.
pub fn base_decode_time(run_origin: Timestamp, timescale: u32, start: i64) -> u64 {
    u64::try_from(scale(run_origin.millis(), 1000, timescale).saturating_add(start)).unwrap_or(0)
}

/// A media segment (moof, mdat) as a list of pieces; the frames' bytes are not copied. Its total
/// size is [`media_segment_size`].
pub fn media_segment(sequence: u32, parts: &[Part<'_>]) -> Result<Vec<Bytes>, MediaError> {
    let runs = parts.iter().map(|part| Run {
        track_id: part.track.number.into(),
        description: 1,
        base_decode_time: part.base_decode_time,
        from_timescale: part.track.timescale,
        to_timescale: part.track.timescale,
        prefix: Bytes::new(),
        frames: part.frames,
    });
    segment(sequence, &runs.collect::<Vec<_>>())
}

/// One track's frames as they go into a segment of a movie.
pub(crate) struct Run<'a> {
    pub(crate) track_id: u32,
    /// Sample description index, from 1.
    pub(crate) description: u32,
    /// In ticks of the movie's track.
    pub(crate) base_decode_time: u64,
    /// Ticks per second of the frames.
    pub(crate) from_timescale: u32,
    /// Ticks per second of the movie's track.
    pub(crate) to_timescale: u32,
    /// Goes before the first frame's data, as part of it.
    pub(crate) prefix: Bytes,
    pub(crate) frames: &'a [Frame],
}

// Bytes of the boxes, which hold the same fields in every segment.
const BOX_HEADER: u64 = 8;
const MFHD: u64 = 16;
/// With `sample_description_index`.
const TFHD: u64 = 20;
/// With 64 bits.
const TFDT: u64 = 20;
/// With `data_offset`, without entries.
const TRUN: u64 = 20;
/// Duration, size, flags and composition offset.
const TRUN_ENTRY: u64 = 16;

/// Exact bytes of the media segment whose parts have these numbers of frames and bytes of frame data.
pub fn media_segment_size(parts: &[(u32, u64)]) -> u64 {
    let data: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    moof_size(parts.iter().map(|(frames, _)| u64::from(*frames))) + BOX_HEADER + data
}

fn moof_size(frames: impl Iterator<Item = u64>) -> u64 {
    let traf = |frames| BOX_HEADER + TFHD + TFDT + TRUN + TRUN_ENTRY * frames;
    BOX_HEADER + MFHD + frames.filter(|frames| *frames > 0).map(traf).sum::<u64>()
}

/// moof and mdat. A run without frames leaves no trace.
pub(crate) fn segment(sequence: u32, runs: &[Run<'_>]) -> Result<Vec<Bytes>, MediaError> {
    let too_large = |_| MediaError::TooLarge { what: "media segment", limit: i32::MAX as usize };
    let runs = runs.iter().filter(|run| !run.frames.is_empty());
    let data_start = moof_size(runs.clone().map(|run| run.frames.len() as u64)) + BOX_HEADER;
    let mut data_end = data_start;
    let mut moof = Moof { mfhd: Mfhd { sequence_number: sequence }, traf: Vec::new() };
    for run in runs.clone() {
        moof.traf.push(traf(run, i32::try_from(data_end).map_err(too_large)?));
        data_end += run.prefix.len() as u64;
        data_end += run.frames.iter().map(|frame| frame.data.len() as u64).sum::<u64>();
    }
    let mdat_size = i32::try_from(data_end - data_start + BOX_HEADER).map_err(too_large)?;
    let mut head = Vec::with_capacity(usize::try_from(data_start).unwrap_or(0));
    encode(&mut head, &moof)?;
    head.extend(mdat_size.to_be_bytes());
    head.extend(b"mdat");
    debug_assert_eq!(head.len() as u64, data_start);
    let mut pieces = vec![Bytes::from(head)];
    for run in runs {
        pieces.extend(Some(run.prefix.clone()).filter(|prefix| !prefix.is_empty()));
        pieces.extend(run.frames.iter().map(|frame| frame.data.clone()));
    }
    Ok(pieces)
}

fn traf(run: &Run<'_>, data_offset: i32) -> Traf {
    let mut entries: Vec<_> = run.frames.iter().map(|frame| entry(run, frame)).collect();
    if let Some(TrunEntry { size: Some(size), .. }) = entries.first_mut() {
        *size = size.saturating_add(u32::try_from(run.prefix.len()).unwrap_or(u32::MAX));
    }
    Traf {
        tfhd: Tfhd {
            track_id: run.track_id,
            sample_description_index: Some(run.description),
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt { base_media_decode_time: run.base_decode_time }),
        trun: vec![Trun { data_offset: Some(data_offset), samples: entries.into() }],
        ..Traf::default()
    }
}

/// All four fields are always given: that is what makes sizes foreseeable.
fn entry(run: &Run<'_>, frame: &Frame) -> TrunEntry {
    let ticks = |time: i64| scale(time, run.from_timescale, run.to_timescale);
    let decode = ticks(frame.dts);
    let duration = ticks(frame.dts.saturating_add(frame.duration.into())).saturating_sub(decode);
    let offset = ticks(frame.pts).saturating_sub(decode);
    TrunEntry {
        duration: Some(u32::try_from(duration).unwrap_or(u32::MAX)),
        size: Some(u32::try_from(frame.data.len()).unwrap_or(u32::MAX)),
        flags: Some(if frame.key { SYNC_SAMPLE } else { NON_SYNC_SAMPLE }),
        cts: Some(offset.clamp(i32::MIN.into(), i32::MAX.into())),
    }
}

/// sample_depends_on = 2: on no other (ISO/IEC 14496-12 §8.8.3.1).
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// sample_depends_on = 1, sample_is_non_sync_sample.
const NON_SYNC_SAMPLE: u32 = 0x0101_0000;
