//! One track's media clock: RTP timestamps unwrapped, watched for jumps and lies, and what its
//! arrivals and sender reports say about wall time.

use std::time::Duration;

use media::rtp::SenderReport;
use media::{Jump, Unwrapped, Unwrapper};

use super::arrival_clock::{ArrivalClock, lying_rate};
use super::least_delay::LeastDelay;
use super::reports::{Reports, ntp_to_utc_us};
use super::{micros, ticks_to_us};

/// From this age on an anchor is a fair start for measuring drift.
const DRIFT_FROM_US: i64 = 60_000_000;
/// Half of what the least-delayed frame is sought in.
const HALF_SECS: usize = 30;
/// Drift over less than this is noise.
const DRIFT_OVER_US: i64 = 60_000_000;

/// Why the media timeline of a track breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The RTP timestamps jumped.
    Jump(Jump),
    /// The RTP timestamps lie about the rate: from here on times follow arrival.
    RateMismatch,
}

/// A frame's RTP timestamp, unwrapped, and whether it breaks the timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arriving {
    rtp: u32,
    ticks: i64,
    restart: Option<Restart>,
    /// Arrival per media time, where the timestamps turn out to lie about it.
    lying_rate: Option<f64>,
}

impl Arriving {
    /// Set where the times before and after do not belong together: the caller first names what it
    /// has by the old ones, then calls [`TrackClock::start_over`].
    pub(crate) fn restart(&self) -> Option<Restart> {
        self.restart
    }
}

/// The clock of one track of one connection.
#[derive(Clone, Debug)]
pub(crate) struct TrackClock {
    clock_rate: u32,
    unwrapper: Unwrapper,
    /// The newest frame: RTP timestamp and ticks.
    last: Option<(u32, i64)>,
    /// Delays against the RTP timestamps.
    delays: LeastDelay,
    /// Takes the times' place once the RTP timestamps are known to lie.
    arrival_clock: Option<ArrivalClock>,
    /// The second in which the rate was last judged.
    judged: i64,
    reports: Reports,
    /// A report that came before the first frame.
    early_report: Option<(SenderReport, Duration)>,
    /// Where drift is measured from: arrival and anchor.
    drift_from: Option<(i64, i64)>,
}

impl TrackClock {
    /// For a track whose RTP timestamps count `clock_rate` ticks per second; `reorders` where frames
    /// come in another order than they are shown (video).
    pub(crate) fn new(clock_rate: u32, reorders: bool) -> Self {
        Self {
            clock_rate,
            unwrapper: Unwrapper::new(clock_rate, reorders),
            last: None,
            delays: LeastDelay::new(),
            arrival_clock: None,
            judged: i64::MIN,
            reports: Reports::default(),
            early_report: None,
            drift_from: None,
        }
    }

    /// Ticks per second.
    pub(crate) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Looks at the RTP timestamp of a frame that arrived at `arrival`.
    pub(crate) fn arriving(&mut self, rtp: u32, arrival: Duration) -> Arriving {
        let Unwrapped { ticks, jump } = self.unwrapper.unwrap(rtp);
        let second = micros(arrival) / 1_000_000;
        let due = std::mem::replace(&mut self.judged, second) != second && jump.is_none();
        let lying_rate = if due { self.judge(micros(arrival)) } else { None };
        let restart = jump.map(Restart::Jump).or(lying_rate.map(|_| Restart::RateMismatch));
        Arriving { rtp, ticks, restart, lying_rate }
    }

    /// Forgets the times before this frame, which do not belong to those from it on.
    pub(crate) fn start_over(&mut self, arriving: &Arriving) {
        match arriving.lying_rate {
            Some(rate) => {
                self.arrival_clock = Some(ArrivalClock::new(self.clock_rate, rate, arriving.ticks));
            }
            None => self.forget(arriving.ticks),
        }
    }

    /// The frame's presentation time in ticks; zero is anywhere.
    pub(crate) fn stamp(&mut self, arriving: &Arriving, arrival: Duration) -> i64 {
        let arrival_us = micros(arrival);
        self.last = Some((arriving.rtp, arriving.ticks));
        self.delays.observe(arrival_us, ticks_to_us(arriving.ticks, self.clock_rate));
        if let Some((report, at)) = self.early_report.take() {
            self.sender_report(&report, at);
        }
        match &mut self.arrival_clock {
            Some(clock) => clock.stamp(arriving.ticks, arrival_us),
            None => arriving.ticks,
        }
    }

    /// Takes a sender report of this track.
    pub(crate) fn sender_report(&mut self, report: &SenderReport, arrival: Duration) {
        let Some(utc_us) = ntp_to_utc_us(report.ntp) else { return };
        let Some((rtp, ticks)) = self.last else {
            self.early_report = Some((*report, arrival));
            return;
        };
        let ahead = i64::from(report.rtp_timestamp.wrapping_sub(rtp).cast_signed());
        let media_us = ticks_to_us(ticks.saturating_add(ahead), self.clock_rate);
        self.reports.observe(utc_us, media_us, micros(arrival));
    }

    /// Another source sends now (RFC 3550 §8): nothing known about the old one's times holds.
    pub(crate) fn source_changed(&mut self) {
        let ticks = self.last.map_or(0, |(_, ticks)| ticks);
        self.forget(ticks);
    }

    /// Monotonic arrival time at which tick zero was made, by the least-delayed frame.
    pub(super) fn zero_us(&self) -> Option<i64> {
        self.trusted_delays().zero_us()
    }

    /// By how much the least-delayed frames of the last half minute differ from those of the one before.
    pub(super) fn halves_us(&self) -> Option<i64> {
        let delays = self.trusted_delays();
        Some(delays.least(0, HALF_SECS)?.saturating_sub(delays.least(HALF_SECS, 2 * HALF_SECS)?))
    }

    /// The camera's UTC at which tick zero was made, by its reports.
    pub(super) fn reported_zero_us(&self) -> Option<i64> {
        self.reports.zero_us().filter(|_| self.arrival_clock.is_none())
    }

    /// Whether the reports may name fragments; `server_zero_us` is the server's UTC of tick zero.
    pub(super) fn reports_trusted(&mut self, server_zero_us: i64, arrival_us: i64) -> bool {
        let media_us = self.last.map_or(0, |(_, ticks)| ticks_to_us(ticks, self.clock_rate));
        self.arrival_clock.is_none() && self.reports.trusted(server_zero_us, media_us, arrival_us)
    }

    /// For how long the least-delayed frame has been sought.
    pub(crate) fn age_us(&self, arrival: Duration) -> i64 {
        self.trusted_delays().age_us(micros(arrival))
    }

    /// Whether times follow arrival because the RTP timestamps lie.
    pub(crate) fn rate_mismatch(&self) -> bool {
        self.arrival_clock.is_some()
    }

    /// How much faster than this server's the camera's media clock runs, in parts per million; known
    /// after two minutes.
    pub(crate) fn drift_ppm(&mut self, arrival: Duration) -> Option<f64> {
        let (now, zero) = (micros(arrival), self.delays.zero_us()?);
        if self.delays.age_us(now) < DRIFT_FROM_US {
            return None;
        }
        let (from, anchor) = *self.drift_from.get_or_insert((now, zero));
        let elapsed = now - from;
        (elapsed >= DRIFT_OVER_US).then(|| (anchor - zero) as f64 * 1e6 / elapsed as f64)
    }

    fn trusted_delays(&self) -> &LeastDelay {
        self.arrival_clock.as_ref().map_or(&self.delays, ArrivalClock::delays)
    }

    /// Looks for a lie about the rate, or keeps following the one that was found. Once a second.
    fn judge(&mut self, arrival_us: i64) -> Option<f64> {
        let Some(clock) = &mut self.arrival_clock else { return lying_rate(&self.delays) };
        if let Some((_, ticks)) = self.last {
            clock.adjust(&self.delays, ticks, arrival_us);
        }
        None
    }

    fn forget(&mut self, ticks: i64) {
        self.delays = LeastDelay::new();
        self.reports.forget();
        self.drift_from = None;
        if let Some(clock) = &mut self.arrival_clock {
            clock.restart(ticks);
        }
    }
}
