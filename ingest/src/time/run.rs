//! Names fragments: gives each its producer time and its place on the run's media timeline.

use std::time::Duration;

use base::{ClockSource, Timestamp};

use super::{TimestampSource, TrackClock, micros, slew, ticks_to_us, us_to_ticks};

/// An anchor further off than this is lost: slewing it back would take more than half an hour. Less is
/// slewed, also from the server's clock to the camera's: encoders that look ahead make half a second
/// of difference, and a run in every session would be too dear for it.
const LOST_US: i64 = 1_000_000;
/// A lost anchor is given up at most this often, so that an odd camera does not make a run of
/// every fragment.
const LOST_EVERY_US: i64 = 60_000_000;
/// Tracks that have parted so far, because each has a quartz of its own, are placed anew: nobody is to notice, as
/// some do from 40 ms on. What jitter makes unsure comes on top.
const MOST_PARTED_US: i64 = 20_000;
/// How far apart they are is known well once the least-delayed frames of both have been sought for so long.
const APART_AFTER_US: i64 = 60_000_000;
/// Sender reports may move the tracks against each other by at most this.
const MOST_SKEW_US: i64 = 500_000;

/// A fragment's place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Whether a run begins with this fragment.
    pub(crate) starts_run: bool,
    /// UTC of the run's media time zero.
    pub(crate) run_origin: Timestamp,
    /// When the fragment's first frame was made.
    pub(crate) producer: Timestamp,
    /// What the producer time follows.
    pub(crate) source: ClockSource,
    /// Camera clock minus server clock, where the camera reports one.
    pub(crate) offset_ms: Option<i64>,
    /// The camera reports a clock that is not believed (or, by setting, believed nevertheless).
    pub(crate) reports_untrusted: bool,
    /// The tracks' reports disagree by more than may be.
    pub(crate) skew_clamped: bool,
}

/// The producer clock of one connection.
#[derive(Clone, Debug)]
pub(crate) struct RunClock {
    setting: TimestampSource,
    run: Option<Run>,
    /// When an anchor was last given up as lost, monotonic.
    lost_us: Option<i64>,
    /// Since when the tracks have been seen to have parted, monotonic.
    parted_us: Option<i64>,
}

#[derive(Clone, Debug)]
struct Run {
    origin: Timestamp,
    /// UTC of media time zero, as it is believed by now; starts as the origin and is only slewed.
    anchor_us: i64,
    /// Media time up to which the anchor was slewed.
    named_us: i64,
    source: ClockSource,
    /// By track: the tick at which the run's media time is zero, once the track has frames.
    zeros: Vec<Option<i64>>,
    /// By track: how far from the leading one it arrives, once that is known well.
    apart_us: Vec<Option<i64>>,
    skew_clamped: bool,
}

/// What is known of a track's tick zero.
struct Zero {
    utc_us: i64,
    source: ClockSource,
    offset_ms: Option<i64>,
    untrusted: bool,
}

impl RunClock {
    pub(crate) fn new(setting: TimestampSource) -> Self {
        Self { setting, run: None, lost_us: None, parted_us: None }
    }

    /// Names a fragment. `firsts` has each track's first tick in the fragment; the track `lead` has
    /// one. `offset_us` is UTC minus monotonic as it was when the fragment began. A run begins where `starts_run` says so, where there is none, and where the clock that is
    /// followed turns out to be another one than so far. `None` where the leading track has no frame.
    pub(crate) fn name(
        &mut self,
        starts_run: bool,
        tracks: &mut [TrackClock],
        firsts: &[Option<i64>],
        lead: usize,
        offset_us: i64,
        now: Duration,
    ) -> Option<Named> {
        let now_us = micros(now);
        let first = firsts.get(lead).copied().flatten()?;
        let track = tracks.get_mut(lead)?;
        let zero = self.zero(track, offset_us, now_us)?;
        let clock_rate = track.clock_rate();
        let run = self.run.take().filter(|_| !starts_run);
        let run = run.filter(|run| self.follows(run, &zero, lead, clock_rate, now_us));
        let run = run.and_then(|mut run| self.in_step(&mut run, tracks, lead, now).then_some(run));
        let starts_run = run.is_none();
        let mut run = run.unwrap_or_else(|| Run::begin(&zero, first, lead, clock_rate, firsts.len()));
        run.place_tracks(tracks, firsts, lead);
        let producer = run.advance(&zero, first, lead, clock_rate);
        let named = Named {
            starts_run,
            run_origin: run.origin,
            producer,
            source: zero.source,
            offset_ms: zero.offset_ms,
            reports_untrusted: zero.untrusted,
            skew_clamped: run.skew_clamped,
        };
        self.run = Some(run);
        Some(named)
    }

    /// Places tracks whose first frames come after the fragment was named; arguments as of [`Self::name`].
    pub(crate) fn place(&mut self, tracks: &[TrackClock], firsts: &[Option<i64>], lead: usize) {
        if let Some(run) = &mut self.run {
            run.place_tracks(tracks, firsts, lead);
        }
    }

    /// The tick at which the current run's media time is zero.
    pub(crate) fn zero_tick(&self, track: usize) -> i64 {
        self.run.as_ref().and_then(|run| run.zeros.get(track).copied().flatten()).unwrap_or(0)
    }

    /// Whether the run can go on: its anchor can be slewed to where the clock says it is.
    fn follows(&mut self, run: &Run, zero: &Zero, lead: usize, clock_rate: u32, now_us: i64) -> bool {
        let Some(place) = run.zeros.get(lead).copied().flatten() else { return true };
        let off_us = zero.utc_us.saturating_add(ticks_to_us(place, clock_rate)) - run.anchor_us;
        if off_us.abs() <= LOST_US {
            return true;
        }
        let lately = self.lost_us.is_some_and(|lost| now_us - lost < LOST_EVERY_US);
        if zero.source == run.source && lately {
            return true;
        }
        self.lost_us = Some(now_us);
        false
    }

    /// Whether the tracks arrive as far apart as they did once that was known well.
    fn in_step(&mut self, run: &mut Run, tracks: &[TrackClock], lead: usize, now: Duration) -> bool {
        let settled = |index: usize| tracks[index].age_us(now) >= APART_AFTER_US;
        let mut parted = false;
        for index in (0..tracks.len()).filter(|index| *index != lead && settled(*index) && settled(lead)) {
            if let Some(apart_us) = run.apart(tracks, index, lead) {
                let usual_us = *run.apart_us[index].get_or_insert(apart_us);
                let halves = tracks[lead].halves_us().zip(tracks[index].halves_us());
                let unsure_us = halves.map_or(0, |(lead, track)| lead.saturating_sub(track).abs());
                parted |= (apart_us - usual_us).abs() > MOST_PARTED_US.saturating_add(unsure_us);
            }
        }
        if !parted {
            self.parted_us = None;
            return true;
        }
        // By other frames than those of the first time.
        let since_us = *self.parted_us.get_or_insert(micros(now));
        let in_step = micros(now) - since_us < APART_AFTER_US;
        self.parted_us = self.parted_us.filter(|_| in_step);
        in_step
    }

    /// UTC of a track's tick zero, by the clock that the setting and the reports' conduct choose.
    fn zero(&self, track: &mut TrackClock, offset_us: i64, now_us: i64) -> Option<Zero> {
        let server_us = track.zero_us()? + offset_us;
        let trusted = track.reports_trusted(server_us, now_us);
        let reported = track.reported_zero_us();
        let believed = match self.setting {
            TimestampSource::Auto => reported.filter(|_| trusted),
            TimestampSource::Camera => reported,
            TimestampSource::Server => None,
        };
        let source = if believed.is_some() { ClockSource::SenderReport } else { ClockSource::Server };
        let offset_ms = reported.map(|reported| reported.saturating_sub(server_us) / 1000);
        let untrusted = reported.is_some() && !trusted;
        Some(Zero { utc_us: believed.unwrap_or(server_us), source, offset_ms, untrusted })
    }
}

impl Run {
    /// Begins a run at tick `first` of the leading track.
    fn begin(zero: &Zero, first: i64, lead: usize, clock_rate: u32, tracks: usize) -> Self {
        let at_us = zero.utc_us.saturating_add(ticks_to_us(first, clock_rate));
        let origin = Timestamp::from_millis(at_us.div_euclid(1000));
        let mut zeros = vec![None; tracks];
        zeros[lead] = Some(first);
        let anchor_us = origin.millis() * 1000;
        Self {
            origin,
            anchor_us,
            named_us: 0,
            source: zero.source,
            zeros,
            apart_us: vec![None; tracks],
            skew_clamped: false,
        }
    }

    /// Slews the anchor up to a fragment whose leading track starts at tick `first`; returns when that
    /// frame was made.
    fn advance(&mut self, zero: &Zero, first: i64, lead: usize, clock_rate: u32) -> Timestamp {
        let place = self.zeros[lead].unwrap_or(first);
        let start_us = ticks_to_us(first.saturating_sub(place), clock_rate);
        let wanted_us = zero.utc_us.saturating_add(ticks_to_us(place, clock_rate));
        self.anchor_us += slew(wanted_us - self.anchor_us, start_us - self.named_us);
        self.named_us = self.named_us.max(start_us);
        self.source = zero.source;
        Timestamp::from_millis(self.anchor_us.saturating_add(start_us).div_euclid(1000))
    }

    /// Gives tracks that have their first frames in the run their place beside the leading one: by
    /// arrival of the least-delayed frames, and by the tracks' own reports where both have them.
    fn place_tracks(&mut self, tracks: &[TrackClock], firsts: &[Option<i64>], lead: usize) {
        let Some(leader) = tracks.get(lead) else { return };
        for (index, track) in tracks.iter().enumerate() {
            let fresh = self.zeros[index].is_none() && firsts.get(index).copied().flatten().is_some();
            let Some(apart_us) = self.apart(tracks, index, lead).filter(|_| fresh) else {
                continue;
            };
            let skew_us = self.skew(leader, track);
            self.zeros[index] = Some(us_to_ticks(apart_us - skew_us, track.clock_rate()));
        }
    }

    /// By how much a track's tick zero arrived before the run's start of the leading track did, each by its
    /// least-delayed frame.
    fn apart(&self, tracks: &[TrackClock], index: usize, lead: usize) -> Option<i64> {
        let leader = tracks.get(lead)?;
        let origin_us = leader.zero_us()? + ticks_to_us(self.zeros[lead]?, leader.clock_rate());
        Some(origin_us - tracks.get(index)?.zero_us()?)
    }

    /// By how much the reports place the track later than arrival does, within what may be.
    fn skew(&mut self, leader: &TrackClock, track: &TrackClock) -> i64 {
        let by_reports = track.reported_zero_us().zip(leader.reported_zero_us());
        let by_arrival = track.zero_us().zip(leader.zero_us());
        let (Some((track_utc, leader_utc)), Some((track_us, leader_us))) = (by_reports, by_arrival) else {
            return 0;
        };
        let skew_us = track_utc.saturating_sub(leader_utc).saturating_sub(track_us - leader_us);
        self.skew_clamped |= skew_us.abs() > MOST_SKEW_US;
        skew_us.clamp(-MOST_SKEW_US, MOST_SKEW_US)
    }
}
