//! A stream's media timeline: which fragments follow each other without a break, and where their frames lie
//! on it.

use std::time::Duration;

use base::{ClockSource, FragmentMeta, FragmentNumber, Timestamp, TrackMeta};
use bytes::Bytes;
use media::mkv::Header;
use media::{Frame, Track};

use super::Timecodes;
use super::cluster::{Begun, Cluster};
use crate::numbers::Numbers;
use crate::stored;

/// Fragments further apart, or overlapping more, are of different runs.
const GAP: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_millis(50);

/// What a stream's next fragment follows.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    numbers: Numbers,
    previous: Option<Previous>,
}

/// The fragment that was stored last.
#[derive(Clone, Debug)]
struct Previous {
    source: ClockSource,
    origin: Timestamp,
    producer: Timestamp,
    end: Timestamp,
    tracks: Vec<Identity>,
}

/// What makes a track the same in two fragments: number, codec and timescale; and its parameters.
type Identity = ((u8, String, u32), u64);

impl Timeline {
    pub(super) fn new(numbers: Numbers) -> Self {
        Self { numbers, previous: None }
    }

    /// Gives a fragment its place behind the last one: its metadata, its file, and the timeline that is in
    /// force once it is stored.
    pub(super) fn place(
        &self,
        number: FragmentNumber,
        cluster: &Cluster,
        timecodes: Timecodes,
        server_clock_synced: Option<bool>,
    ) -> (FragmentMeta, Vec<Bytes>, Self) {
        let Begun { header, producer, tags, .. } = &cluster.begun;
        let source = match timecodes {
            Timecodes::Absolute => ClockSource::PutMediaAbsolute,
            Timecodes::Relative(_) => ClockSource::PutMediaRelative,
        };
        let tracks: Vec<_> = header.tracks.iter().map(|track| identity(track)).collect();
        let goes_on = self.previous.as_ref().filter(|last| last.goes_on(source, *producer, &tracks));
        let run_origin = goes_on.map_or(*producer, |last| last.origin);
        let parameters_changed = goes_on.is_some_and(|last| last.tracks != tracks);
        let mut numbers = self.numbers.clone();
        if goes_on.is_none() {
            numbers.forget_key();
        }
        let starts_with_key = starts_with_key(header, &cluster.frames);
        let place = numbers.place(number, goes_on.is_none(), parameters_changed, starts_with_key);
        let frames = since(run_origin, header, &cluster.frames);
        let file = cluster.received().file(&frames);
        let metas = metas(header, &frames);
        let mut all = tags.clone();
        all.extend(cluster.late.clone());
        let meta = FragmentMeta {
            number,
            producer_timestamp: *producer,
            server_timestamp: number.server_timestamp(),
            duration_ms: stored::duration_ms(&metas),
            size_bytes: file.iter().map(|piece| piece.len() as u64).sum(),
            run_id: place.run,
            run_origin,
            media_sequence: place.media_sequence,
            discontinuity_sequence: place.discontinuity_sequence,
            starts_with_key,
            decodes_from: place.decodes_from,
            clock_source: source,
            clock_offset_ms: None,
            clock_drift_ppm: None,
            server_clock_synced,
            tracks: metas,
            tags: all,
        };
        let end = meta.producer_end();
        let previous = Previous { source, origin: run_origin, producer: *producer, end, tracks };
        (meta, file, Self { numbers, previous: Some(previous) })
    }
}

impl Previous {
    /// Whether a fragment that begins at `producer` goes on where this one ends.
    fn goes_on(&self, source: ClockSource, producer: Timestamp, tracks: &[Identity]) -> bool {
        let in_time =
            producer > self.producer && producer + OVERLAP >= self.end && producer <= self.end + GAP;
        let kinds = |tracks: &[Identity]| tracks.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
        source == self.source && in_time && kinds(tracks) == kinds(&self.tracks)
    }
}

fn identity(track: &Track) -> Identity {
    ((track.number, track.codec.name().to_owned(), track.timescale), track.init_id())
}

/// Frames timed since the start of their run.
fn since(origin: Timestamp, header: &Header, frames: &[Frame]) -> Vec<Frame> {
    let zero = i128::from(origin.millis()) * i128::from(header.timescale()) / 1000;
    // Milliseconds of the range of time, in microseconds at the finest.
    let zero = i64::try_from(zero).unwrap_or_default();
    let shifted = |frame: &Frame| Frame {
        dts: frame.dts.saturating_sub(zero),
        pts: frame.pts.saturating_sub(zero),
        ..frame.clone()
    };
    frames.iter().map(shifted).collect()
}

/// What is known of the tracks that have frames.
fn metas(header: &Header, frames: &[Frame]) -> Vec<TrackMeta> {
    let first =
        |track: &Track| frames.iter().find(|frame| frame.track == track.number).map(|frame| frame.dts);
    header.tracks.iter().filter_map(|track| Some(track.meta(first(track)?, frames))).collect()
}

/// Whether decoding may start with the fragment: its first video frame is a key frame, or it has no video.
fn starts_with_key(header: &Header, frames: &[Frame]) -> bool {
    let video =
        |frame: &&Frame| header.tracks.iter().any(|track| track.number == frame.track && track.is_video());
    frames.iter().find(video).is_none_or(|frame| frame.key)
}
