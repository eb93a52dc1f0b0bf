//! From a fragment, or a part of one, with times of its tracks' clocks to one with times of the world.

use std::sync::Arc;
use std::time::Duration;

use base::{Timestamp, TrackMeta};
use media::{Frame, Track};

use crate::fragmenter::Cut;
use crate::health::ClockHealth;
use crate::time::{Named, RunClock, ServerClock, TrackClock};

/// A lone frame is shown for this part of a second: nothing says for how long.
const LONE_FRAMES_PER_SEC: u32 = 25;

/// A named fragment, or a part of one, on its way to the writer, which numbers it.
#[derive(Debug)]
pub(super) struct Job {
    /// Whether the fragment begins with it.
    pub(super) begins: bool,
    /// Whether the fragment is closed with it.
    pub(super) ends: bool,
    /// All that have frames in the fragment so far.
    pub(super) tracks: Vec<Arc<Track>>,
    /// Of the frames here.
    pub(super) metas: Vec<TrackMeta>,
    /// Times are ticks since the start of the run.
    pub(super) frames: Vec<Frame>,
    pub(super) named: Named,
    /// When its first frame arrived.
    pub(super) server: Timestamp,
    pub(super) parameters_changed: bool,
    pub(super) starts_with_key: bool,
    pub(super) clock: ClockHealth,
    /// By so much the server's clock was wrong in the run before this one, milliseconds: it was not kept right, and
    /// was set.
    pub(super) corrects_ms: Option<i64>,
}

/// Names a fragment; `now` is the arrival of the newest frame. `open` keeps what a fragment that goes on
/// was named, and its server time. `None` for a fragment without frames of its leading track.
pub(super) fn name(
    cut: Cut,
    open: &mut Option<(Named, Timestamp)>,
    run: &mut RunClock,
    clocks: &mut [TrackClock],
    server_clock: &ServerClock,
    now: Duration,
) -> Option<Job> {
    let Cut { begins, ends, mut frames, tracks, numbers, lead, arrival, .. } = cut;
    let first = |number: &u8| frames.iter().find(|frame| frame.track == *number).map(|frame| frame.dts);
    let firsts: Vec<_> = numbers.iter().map(first).collect();
    let (named, server) = match open.take() {
        Some(named) if !begins => {
            run.place(clocks, &firsts, lead);
            named
        }
        _ => {
            let offset_us = server_clock.offset_us(arrival);
            (run.name(cut.starts_run, clocks, &firsts, lead, offset_us, now)?, server_clock.at(arrival))
        }
    };
    *open = (!ends).then_some((named, server));
    for frame in &mut frames {
        let index = numbers.iter().position(|number| *number == frame.track)?;
        let zero = run.zero_tick(index);
        frame.dts = frame.dts.saturating_sub(zero);
        frame.pts = frame.pts.saturating_sub(zero);
        if frame.duration == 0 {
            frame.duration = clocks[index].clock_rate() / LONE_FRAMES_PER_SEC;
        }
    }
    let start = |track: &Arc<Track>| frames.iter().find(|frame| frame.track == track.number).map(|f| f.dts);
    let metas = tracks.iter().filter_map(|track| Some(track.meta(start(track)?, &frames))).collect();
    let clock = ClockHealth {
        source: named.source,
        offset_ms: named.offset_ms,
        drift_ppm: clocks[lead].drift_ppm(now),
        reports_untrusted: named.reports_untrusted,
        rate_mismatch: clocks.iter().any(TrackClock::rate_mismatch),
        skew_clamped: named.skew_clamped,
        server_synced: server_clock.synchronized(),
    };
    let Cut { parameters_changed, starts_with_key, .. } = cut;
    Some(Job {
        begins,
        ends,
        tracks,
        metas,
        frames,
        named,
        server,
        parameters_changed,
        starts_with_key,
        clock,
        corrects_ms: None,
    })
}
