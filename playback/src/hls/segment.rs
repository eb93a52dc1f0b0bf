//! What a media playlist says about one fragment: small, so that a day of them fits in a few megabytes.

use base::{FragmentMeta, FragmentNumber, RunId, Timestamp, TrackMeta};

use super::InitRef;
use crate::presented::{is_video, presented};
use indexer::ClockKind;

/// One line of a media playlist: a fragment as one of its tracks sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: FragmentNumber,
    /// Stored media sequence number.
    pub(crate) sequence: u64,
    /// Stored discontinuity sequence number.
    pub(crate) discontinuity: u64,
    pub(crate) run: RunId,
    /// Nothing when the fragment has no frame of the track: the segment is a gap.
    pub(crate) init_id: Option<u64>,
    /// Microseconds; successive segments of a run add up without drift.
    pub(crate) duration_us: u64,
    /// When its first frame was made or arrived.
    pub(crate) at: Timestamp,
    pub(crate) starts_with_key: bool,
}

impl Segment {
    pub(crate) fn of(meta: &FragmentMeta, track: u8, clock: ClockKind) -> Self {
        let stored = meta.tracks.iter().find(|one| one.number == track && one.frames > 0);
        let presented = stored.and_then(presented).filter(|one| one.frames > 0);
        let track = presented.as_deref();
        let began = match clock {
            ClockKind::Producer => meta.producer_timestamp,
            ClockKind::Server => meta.server_timestamp,
        };
        let lag = track.map_or(0, |one| track_lag_ms(meta, one));
        Self {
            number: meta.number,
            sequence: meta.media_sequence,
            discontinuity: meta.discontinuity_sequence,
            run: meta.run_id,
            init_id: track.map(|one| one.init_id),
            duration_us: track.map_or(u64::from(meta.duration_ms) * 1000, duration_us),
            at: Timestamp::from_millis(began.millis().saturating_add(lag)),
            starts_with_key: meta.starts_with_key,
        }
    }

    pub(crate) fn init(&self) -> Option<InitRef> {
        self.init_id.map(|init_id| InitRef { run: self.run, init_id })
    }

    /// Seconds, rounded as `EXT-X-TARGETDURATION` compares them (RFC 8216 §4.3.3.1).
    pub(crate) fn rounded_secs(&self) -> u64 {
        self.duration_us.saturating_add(500_000) / 1_000_000
    }
}

/// How long after the leading track's first frame, which the fragment's times name, the track's own comes.
fn track_lag_ms(meta: &FragmentMeta, track: &TrackMeta) -> i64 {
    let leading = meta.tracks.iter().find(|one| is_video(one) && one.frames > 0);
    leading.map_or(0, |leading| start_us(track).saturating_sub(start_us(leading)).div_euclid(1000))
}

fn start_us(track: &TrackMeta) -> i64 {
    micros(i128::from(track.start), track.timescale)
}

/// The difference of two rounded points of the run's timeline, so that rounding never adds up.
fn duration_us(track: &TrackMeta) -> u64 {
    let start = i128::from(track.start);
    let end = micros(start + i128::from(track.duration), track.timescale);
    u64::try_from(end.saturating_sub(start_us(track))).unwrap_or(0)
}

/// Ticks in microseconds, rounded to the nearest.
fn micros(ticks: i128, timescale: u32) -> i64 {
    let scale = i128::from(timescale.max(1));
    let rounded = (ticks * 1_000_000 + scale / 2).div_euclid(scale);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}
