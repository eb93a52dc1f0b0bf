//! The clock for tracks whose timestamps lie about the rate: frame times are their RTP timestamps
//! stretched so that they keep pace with arrival, by a loop that is locked to the least-delayed frames.

use super::least_delay::LeastDelay;
use super::ticks_to_us;

/// A media clock that runs this much faster or slower than arrival is a lie, not drift.
const LIE: f64 = 0.01;
/// The rate is judged over this many seconds, twice in a row.
const HALF_SECS: usize = 15;
/// The least-delayed frame of this many seconds stands for them: longer than a usual stall.
const GROUP_SECS: usize = 5;
/// The loop takes a phase error back within about this time.
const PULL_SECS: f64 = 10.0;
/// And changes the rate by at most this part for it, which nobody sees or hears.
const MOST_PULL: f64 = 0.02;

/// Arrival seconds per media second where the media clock lies: the same tendency, above 1 %, in
/// both halves of the last 30 s.
pub(super) fn lying_rate(delays: &LeastDelay) -> Option<f64> {
    let (older, newer) = (slope(delays, HALF_SECS)?, slope(delays, 0)?);
    let lies = older.abs().min(newer.abs()) > LIE && (older > 0.0) == (newer > 0.0);
    lies.then(|| rate_of((older + newer) / 2.0))
}

/// How fast `arrival - media` grows, in seconds per second, over the half minute's part that ends
/// `age` seconds ago.
fn slope(delays: &LeastDelay, age: usize) -> Option<f64> {
    let end = delays.least(age, age + GROUP_SECS)?;
    let start = delays.least(age + HALF_SECS, age + HALF_SECS + GROUP_SECS)?;
    Some((end - start) as f64 / (HALF_SECS as f64 * 1e6))
}

/// Arrival per media time, from the growth of their difference per arrival time.
fn rate_of(slope: f64) -> f64 {
    1.0 / (1.0 - slope).clamp(0.1, 10.0)
}

/// Media time that follows arrival. Strictly increasing with the RTP timestamps.
#[derive(Clone, Debug)]
pub(super) struct ArrivalClock {
    clock_rate: u32,
    /// Arrival per media time, as now used.
    rate: f64,
    /// Where the current rate began: RTP ticks, and the ticks made of them.
    base: (i64, i64),
    /// Delays against the times made here, and their least one once it is known: the loop's set point.
    delays: LeastDelay,
    set_point_us: Option<i64>,
}

impl ArrivalClock {
    /// Takes over from the RTP timestamps at `ticks`.
    pub(super) fn new(clock_rate: u32, rate: f64, ticks: i64) -> Self {
        let base = (ticks, ticks);
        Self { clock_rate, rate, base, delays: LeastDelay::new(), set_point_us: None }
    }

    /// The time of a frame.
    pub(super) fn stamp(&mut self, ticks: i64, arrival_us: i64) -> i64 {
        let stamped = self.at(ticks);
        self.delays.observe(arrival_us, ticks_to_us(stamped, self.clock_rate));
        stamped
    }

    /// Adjusts the rate to how the RTP timestamps (`raw`) behaved lately. To be called once a second.
    pub(super) fn adjust(&mut self, raw: &LeastDelay, ticks: i64, arrival_us: i64) {
        let Some(now_us) = self.delays.least(0, GROUP_SECS) else { return };
        if self.set_point_us.is_none() && self.delays.age_us(arrival_us) >= GROUP_SECS as i64 * 1_000_000 {
            self.set_point_us = Some(now_us);
        }
        let rate = slope(raw, 0).map_or(self.rate, rate_of);
        let behind_secs = self.set_point_us.map_or(0.0, |wanted| (now_us - wanted) as f64 / 1e6);
        let pull = (behind_secs / PULL_SECS).clamp(-MOST_PULL, MOST_PULL);
        self.base = (ticks, self.at(ticks));
        self.rate = rate * (1.0 + pull);
    }

    /// Starts over at `ticks` after a jump of the RTP timestamps, with the rate found so far.
    pub(super) fn restart(&mut self, ticks: i64) {
        *self = Self::new(self.clock_rate, self.rate, ticks);
    }

    pub(super) fn delays(&self) -> &LeastDelay {
        &self.delays
    }

    fn at(&self, ticks: i64) -> i64 {
        let (from, to) = self.base;
        to.saturating_add(((ticks.saturating_sub(from)) as f64 * self.rate).round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 90_000;
    const STAMPED: i64 = 3_600;

    #[test]
    fn a_camera_that_stamps_25_and_sends_21_is_found_and_followed() {
        let real_us = |frame: i64| frame * 1_000_000 / 21;
        let mut raw = LeastDelay::new();
        let mut clock: Option<ArrivalClock> = None;
        let mut last = i64::MIN;
        for frame in 0..21 * 600 {
            let (ticks, arrival) = (frame * STAMPED, real_us(frame) + frame % 5 * 2_000);
            raw.observe(arrival, ticks_to_us(ticks, RATE));
            let Some(clock) = &mut clock else {
                clock = lying_rate(&raw).map(|rate| ArrivalClock::new(RATE, rate, ticks));
                continue;
            };
            let stamped = clock.stamp(ticks, arrival);
            assert!(stamped > last);
            last = stamped;
            if frame % 21 == 0 {
                clock.adjust(&raw, ticks, arrival);
            }
        }
        let clock = clock.expect("the lie is found");
        let delays = (clock.delays.least(0, 5), clock.set_point_us);
        let (Some(end), Some(start)) = delays else { panic!("{delays:?}") };
        assert!((end - start).abs() < 20_000, "{start} {end}");
    }

    #[test]
    fn drift_of_a_quartz_is_no_lie() {
        let mut raw = LeastDelay::new();
        for frame in 0..25 * 300 {
            raw.observe(frame * 40_008 + frame % 40 * 1_000, frame * 40_000);
            assert_eq!(lying_rate(&raw), None);
        }
    }
}
