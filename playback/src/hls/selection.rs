//! Which fragments a playlist lists.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{FragmentNumber, RunId, StreamId, Timestamp};
use bytes::Bytes;
use futures::stream;
use indexer::{ClockKind, FragmentEntry, Window};

use super::holes::fill_holes;
use super::multivariant::multivariant;
use super::{Extent, MOST_CHANGING, MOST_COMPLETE, MediaPlaylist, Mode, Segment, Uris, View};
use crate::{ByteStream, Playback, PlaybackError};

/// Fragments that the multivariant playlist's bit rates and tracks are taken from.
const SAMPLE: usize = 60;

/// Index entries read at a time: a window by producer time is sorted anew for every page.
const PAGE: usize = 10_000;

/// Streams whose target durations are remembered; beyond that they are learnt anew.
const MOST_TARGETS: usize = 65_536;

impl Playback {
    /// The multivariant playlist (RFC 8216 §4.3.4): one video variant with its audio renditions, or audio alone.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`] when there is nothing to list, [`PlaybackError::Unplayable`] when players
    /// take nothing of it.
    pub async fn multivariant(
        &self,
        stream: StreamId,
        view: &View,
        uris: &dyn Uris,
    ) -> Result<String, PlaybackError> {
        let entries = match view.mode {
            Mode::Live(window) => self.newest(stream, window, view.max_fragments.min(SAMPLE)).await?,
            Mode::Replay { window, .. } | Mode::OnDemand(window) => {
                self.indexer.range(stream, window, None, SAMPLE).await?
            }
        };
        multivariant(entries.iter().map(|entry| &entry.meta), uris)
    }

    /// The media playlist (RFC 8216 §4.3.3) of one track, in pieces.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`], [`PlaybackError::NoTrack`].
    pub async fn media_playlist(
        &self,
        stream: StreamId,
        track: u8,
        view: &View,
        uris: Box<dyn Uris>,
    ) -> Result<ByteStream, PlaybackError> {
        let (segments, extent) = self.select(stream, track, view).await?;
        let last = segments.last().ok_or(PlaybackError::NoFragments)?;
        if segments.iter().all(|segment| segment.init_id.is_none()) {
            return Err(PlaybackError::NoTrack(track));
        }
        let longest = segments.iter().map(Segment::rounded_secs).max().unwrap_or(0).max(1);
        let target_secs = match extent {
            Extent::Sliding | Extent::Growing => self.targets.hold(stream, track, last.run, longest),
            Extent::Ended | Extent::Complete => longest,
        };
        let View { discontinuities, program_date_time, .. } = *view;
        let playlist =
            MediaPlaylist { track, segments, extent, target_secs, discontinuities, program_date_time };
        let pieces = playlist.pieces(uris).map(|text| Ok(Bytes::from(text)));
        Ok(Box::pin(stream::iter(pieces)))
    }

    async fn select(
        &self,
        stream: StreamId,
        track: u8,
        view: &View,
    ) -> Result<(Vec<Segment>, Extent), PlaybackError> {
        let changing = view.max_fragments.clamp(1, MOST_CHANGING);
        match view.mode {
            Mode::Live(window) => {
                let entries = self.newest(stream, window, changing).await?;
                let segments: Vec<Segment> =
                    entries.iter().map(|entry| Segment::of(&entry.meta, track, window.clock)).collect();
                let extent = if window.start.is_some() { Extent::Growing } else { Extent::Sliding };
                Ok((fill_holes(&segments), extent))
            }
            Mode::Replay { window, began } => {
                let elapsed = self.clock.now().since(began);
                let (segments, all) = self.replayed(stream, track, window, elapsed).await?;
                let over = all && window.end.is_some_and(|end| end < self.clock.now());
                let first = segments.len().saturating_sub(changing);
                let segments = fill_holes(&segments[first..]);
                Ok((segments, if over { Extent::Ended } else { Extent::Sliding }))
            }
            Mode::OnDemand(window) => {
                let most = view.max_fragments.clamp(1, MOST_COMPLETE);
                let listed = self.collect(stream, track, window, |listed| listed.len() < most).await?.0;
                let mut segments = in_order(listed, window.clock);
                segments.truncate(most);
                Ok((segments, Extent::Complete))
            }
        }
    }

    /// The newest fragments that start no earlier than the window, oldest first.
    async fn newest(
        &self,
        stream: StreamId,
        window: Window,
        most: usize,
    ) -> Result<Vec<FragmentEntry>, PlaybackError> {
        let mut entries = self.indexer.latest(stream, most).await?;
        if let Some(start) = window.start {
            entries.retain(|entry| start_of(entry, window.clock) >= start);
        }
        Ok(entries)
    }

    /// What of the window has been revealed after `elapsed`, and whether that is all there is.
    async fn replayed(
        &self,
        stream: StreamId,
        track: u8,
        window: Window,
        elapsed: Duration,
    ) -> Result<(Vec<Segment>, bool), PlaybackError> {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut passed_us = 0_u64;
        let mut counted = 0;
        let (listed, all) = self
            .collect(stream, track, window, |listed| {
                let fresh = listed[counted..].iter().map(|one| one.segment.duration_us).sum();
                counted = listed.len();
                passed_us = passed_us.saturating_add(fresh);
                passed_us <= elapsed_us
            })
            .await?;
        let segments = in_order(listed, window.clock);
        let mut passed_us = 0_u64;
        let shown = |one: &&Segment| {
            let due = passed_us <= elapsed_us;
            passed_us = passed_us.saturating_add(one.duration_us);
            due
        };
        let revealed: Vec<Segment> = segments.iter().take_while(shown).copied().collect();
        let all = all && revealed.len() == segments.len();
        Ok((revealed, all))
    }

    /// The window's fragments in the order of their numbers, page by page for as long as `more` says so, and
    /// whether the window's end was reached.
    async fn collect(
        &self,
        stream: StreamId,
        track: u8,
        window: Window,
        mut more: impl FnMut(&[Listed]) -> bool,
    ) -> Result<(Vec<Listed>, bool), PlaybackError> {
        let mut listed: Vec<Listed> = Vec::new();
        let mut after: Option<FragmentNumber> = None;
        while listed.len() < MOST_COMPLETE {
            let page = self.indexer.range(stream, window, after, PAGE).await?;
            after = page.last().map(|last| last.meta.number);
            listed.extend(page.iter().map(|entry| Listed {
                produced: entry.meta.producer_timestamp,
                segment: Segment::of(&entry.meta, track, window.clock),
            }));
            if page.len() < PAGE {
                return Ok((listed, true));
            }
            if !more(&listed) {
                return Ok((listed, false));
            }
        }
        Ok((listed, false))
    }
}

/// A segment and what a window on the producer's clock sorts by.
#[derive(Clone, Copy)]
struct Listed {
    produced: Timestamp,
    segment: Segment,
}

/// The order of play. By the producer's clock that is its time, and of two fragments made at the same time
/// the one that arrived last counts (HLSFragmentSelector); by the server's it is the order of arrival.
fn in_order(mut listed: Vec<Listed>, clock: ClockKind) -> Vec<Segment> {
    match clock {
        ClockKind::Server => {}
        ClockKind::Producer => {
            listed.sort_by_key(|one| (one.produced, std::cmp::Reverse(one.segment.number)));
            listed.dedup_by_key(|one| one.produced);
        }
    }
    listed.into_iter().map(|one| one.segment).collect()
}

fn start_of(entry: &FragmentEntry, clock: ClockKind) -> Timestamp {
    match clock {
        ClockKind::Producer => entry.meta.producer_timestamp,
        ClockKind::Server => entry.meta.server_timestamp,
    }
}

/// Target durations of playlists that slide. A client may rely on them (RFC 8216 §6.2.1), so that within a
/// run they grow when they must and never shrink.
#[derive(Debug, Default)]
pub(crate) struct TargetDurations(Mutex<HashMap<(StreamId, u8), (RunId, u64)>>);

impl TargetDurations {
    fn hold(&self, stream: StreamId, track: u8, run: RunId, longest: u64) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_TARGETS {
            known.clear();
        }
        let held = known.entry((stream, track)).or_insert((run, longest));
        *held = if held.0 == run { (run, held.1.max(longest)) } else { (run, longest) };
        held.1
    }
}
