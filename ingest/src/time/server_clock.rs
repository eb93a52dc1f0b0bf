//! UTC from a monotonic clock: steady between observations, slewed towards the system's wall clock. Leap seconds
//! are smeared.

use std::time::Duration;

use base::Timestamp;

use super::{STEP_US, micros, slew};

/// A wall clock that moves by a second, give or take this, around midnight UTC has made a leap second.
const LEAP_SLACK_US: i64 = 50_000;
/// So near to midnight: the clock is looked at about once a second.
const LEAP_NEAR_MS: i64 = 5_000;
const DAY_MS: i64 = 86_400_000;

/// A monotonic clock anchored to UTC.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock {
    /// UTC minus monotonic.
    offset_us: i64,
    /// When the wall clock was last looked at, monotonic.
    observed_us: i64,
    /// What of a leap second is still to be smeared: by so much the wall clock is ahead of what is followed.
    leap_us: i64,
    /// Whether something keeps the wall clock right, as last heard.
    synchronized: Option<bool>,
    /// The last step: what arrived before it keeps the offset it had.
    stepped: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    at_us: i64,
    offset_before_us: i64,
}

impl ServerClock {
    /// Anchors the clock: the wall clock said `now` at `monotonic`.
    pub(crate) fn new(now: Timestamp, monotonic: Duration) -> Self {
        let at = micros(monotonic);
        let offset_us = now.millis() * 1000 - at;
        Self { offset_us, observed_us: at, leap_us: 0, synchronized: None, stepped: None }
    }

    /// Whether something keeps the wall clock right (NTP), where the system tells.
    pub(crate) fn synchronized(&self) -> Option<bool> {
        self.synchronized
    }

    /// The system tells so.
    pub(crate) fn set_synchronized(&mut self, synchronized: Option<bool>) {
        self.synchronized = synchronized;
    }

    /// Follows the wall clock: slews by at most 500 ppm of the time since the last observation. A
    /// difference above 250 ms is a step of the system's clock: taken over at once and returned, in
    /// milliseconds. A leap second is none: it is smeared at 500 ppm, over 2,000 s.
    pub(crate) fn observe(&mut self, now: Timestamp, monotonic: Duration) -> Option<i64> {
        let at = micros(monotonic);
        let seen = now.millis() * 1000 - at;
        let elapsed = at - self.observed_us;
        self.observed_us = at;
        self.leap_us -= slew(self.leap_us, elapsed);
        let mut error = seen - self.leap_us - self.offset_us;
        if is_leap(error, now) {
            self.leap_us += error;
            error = 0;
        }
        if error.abs() > STEP_US {
            self.stepped = Some(Step { at_us: at, offset_before_us: self.offset_us });
            (self.offset_us, self.leap_us) = (seen, 0);
            return Some(error / 1000);
        }
        self.offset_us += slew(error, elapsed);
        None
    }

    /// UTC minus monotonic for what arrived at `monotonic`; also after a step since then.
    pub(crate) fn offset_us(&self, monotonic: Duration) -> i64 {
        match self.stepped {
            Some(step) if micros(monotonic) < step.at_us => step.offset_before_us,
            Some(_) | None => self.offset_us,
        }
    }

    /// The UTC time of what arrived at `monotonic`.
    pub(crate) fn at(&self, monotonic: Duration) -> Timestamp {
        Timestamp::from_millis((micros(monotonic) + self.offset_us(monotonic)).div_euclid(1000))
    }
}

/// Whether the wall clock, which says `now`, has moved by a leap second (ITU-R TF.460) since it was looked at.
fn is_leap(moved_us: i64, now: Timestamp) -> bool {
    let into_day = now.millis().rem_euclid(DAY_MS);
    let at_midnight = into_day.min(DAY_MS - into_day) <= LEAP_NEAR_MS;
    at_midnight && (moved_us.abs() - 1_000_000).abs() <= LEAP_SLACK_US
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_767_268_800_000;

    fn clock() -> ServerClock {
        ServerClock::new(Timestamp::from_millis(NOON_MS), Duration::from_secs(10))
    }

    #[test]
    fn a_wall_clock_that_runs_fast_is_followed_at_500_ppm() {
        let mut clock = clock();
        let wall = Timestamp::from_millis(NOON_MS + 10_200);
        assert_eq!(clock.observe(wall, Duration::from_secs(20)), None);
        assert_eq!(clock.at(Duration::from_secs(20)).millis(), NOON_MS + 10_005);
    }

    #[test]
    fn a_leap_second_is_smeared() {
        const MIDNIGHT_MS: i64 = NOON_MS + 43_200_000;
        for leap_ms in [-1000, 1000] {
            let (wall, at) = (Timestamp::from_millis(MIDNIGHT_MS - 500), Duration::from_secs(10));
            let mut clock = ServerClock::new(wall, at);
            for passed in 1..=2500_u32 {
                let at = at + Duration::from_secs(passed.into());
                let wall = wall.millis() + i64::from(passed) * 1000 + leap_ms;
                assert_eq!(clock.observe(Timestamp::from_millis(wall), at), None);
                let off_ms = clock.at(at).millis() - wall;
                let expected = -leap_ms * (2000 - i64::from(passed.min(2000))) / 2000;
                assert!((off_ms - expected).abs() <= 1, "{passed} s: {off_ms} ms");
            }
            let late = Timestamp::from_millis(MIDNIGHT_MS + 3_600_000 + leap_ms);
            let at = Duration::from_millis(10_000 + 3_600_500);
            assert_eq!(
                clock.observe(Timestamp::from_millis(late.millis() + 1000), at),
                Some(1000),
                "not at midnight"
            );
        }
    }

    #[test]
    fn a_step_is_taken_over_and_leaves_what_arrived_before_alone() {
        let mut clock = clock();
        let wall = Timestamp::from_millis(NOON_MS + 2_000 - 3_600_000);
        assert_eq!(clock.observe(wall, Duration::from_secs(12)), Some(-3_600_000));
        assert_eq!(clock.at(Duration::from_secs(11)).millis(), NOON_MS + 1_000);
        assert_eq!(clock.at(Duration::from_secs(12)), wall);
    }
}
