//! UTC from a monotonic clock: steady between observations, slewed towards the system's wall clock.

use std::time::Duration;

use base::Timestamp;

use super::{STEP_US, micros, slew};

/// A monotonic clock anchored to UTC.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock {
    /// UTC minus monotonic.
    offset_us: i64,
    /// When the wall clock was last looked at, monotonic.
    observed_us: i64,
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
        Self { offset_us: now.millis() * 1000 - at, observed_us: at, stepped: None }
    }

    /// Follows the wall clock: slews by at most 500 ppm of the time since the last observation. A
    /// difference above 250 ms is a step of the system's clock: taken over at once and returned, in
    /// milliseconds.
    pub(crate) fn observe(&mut self, now: Timestamp, monotonic: Duration) -> Option<i64> {
        let at = micros(monotonic);
        let seen = now.millis() * 1000 - at;
        let error = seen - self.offset_us;
        let elapsed = at - self.observed_us;
        self.observed_us = at;
        if error.abs() > STEP_US {
            self.stepped = Some(Step { at_us: at, offset_before_us: self.offset_us });
            self.offset_us = seen;
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
    fn a_step_is_taken_over_and_leaves_what_arrived_before_alone() {
        let mut clock = clock();
        let wall = Timestamp::from_millis(NOON_MS + 2_000 - 3_600_000);
        assert_eq!(clock.observe(wall, Duration::from_secs(12)), Some(-3_600_000));
        assert_eq!(clock.at(Duration::from_secs(11)).millis(), NOON_MS + 1_000);
        assert_eq!(clock.at(Duration::from_secs(12)), wall);
    }
}
