//! The least-delayed frame: networks only ever delay, so the smallest `arrival - media` of the last
//! minute is nearest to the truth, whatever bursts and stalls came between.

/// How far back the filter looks, in seconds, one bucket each.
const WINDOW: usize = 60;
/// No frame arrived in that second.
const EMPTY: i64 = i64::MAX;

/// A minimum over the last 60 s of arrival time.
#[derive(Clone, Debug)]
pub(super) struct LeastDelay {
    /// The least `arrival - media` of each second, in microseconds, by second modulo the window.
    buckets: [i64; WINDOW],
    /// The second being filled, and the arrival of the very first frame.
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    second: i64,
    since_us: i64,
}

impl LeastDelay {
    pub(super) fn new() -> Self {
        Self { buckets: [EMPTY; WINDOW], current: None }
    }

    /// Takes a frame: when it arrived and its media time, in microseconds, each on its own clock.
    pub(super) fn observe(&mut self, arrival_us: i64, media_us: i64) {
        let second = arrival_us.div_euclid(1_000_000);
        let current = self.current.get_or_insert(Current { second, since_us: arrival_us });
        let passed = usize::try_from(second - current.second).unwrap_or(0).min(WINDOW);
        for gone in 0..passed {
            let stale = second - i64::try_from(gone).unwrap_or(0);
            self.buckets[slot(stale)] = EMPTY;
        }
        current.second = current.second.max(second);
        let bucket = &mut self.buckets[slot(current.second)];
        *bucket = (*bucket).min(arrival_us - media_us);
    }

    /// Arrival time at which media time was zero, by the least-delayed frame; microseconds.
    pub(super) fn zero_us(&self) -> Option<i64> {
        self.least(0, WINDOW)
    }

    /// The same over the seconds `from..to` before the newest one.
    pub(super) fn least(&self, from: usize, to: usize) -> Option<i64> {
        let current = self.current?;
        let ages = from..to.min(WINDOW);
        let seconds = ages.map(|age| current.second - i64::try_from(age).unwrap_or(0));
        seconds.map(|second| self.buckets[slot(second)]).min().filter(|least| *least != EMPTY)
    }

    /// For how long frames have been coming, at `arrival_us`.
    pub(super) fn age_us(&self, arrival_us: i64) -> i64 {
        self.current.map_or(0, |current| arrival_us - current.since_us)
    }
}

/// Where a second's bucket is.
fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(i64::try_from(WINDOW).unwrap_or(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: i64 = 40_000;

    #[test]
    fn a_burst_at_the_start_and_a_stall_do_not_move_the_anchor() {
        let mut filter = LeastDelay::new();
        for frame in 0..500 {
            let made = frame * FRAME_US;
            let late = match frame {
                0..50 => 2_000_000 - made,
                200..275 => 3_000_000 - (made - 8_000_000),
                _ => frame % 7 * 1_000,
            };
            filter.observe(made + late.max(0), made);
        }
        assert_eq!(filter.zero_us(), Some(0));
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut filter = LeastDelay::new();
        filter.observe(0, 0);
        filter.observe(59_000_000, 58_000_000);
        assert_eq!(filter.zero_us(), Some(0));
        filter.observe(60_000_000, 59_000_000);
        assert_eq!(filter.zero_us(), Some(1_000_000));
        filter.observe(500_000_000, 490_000_000);
        assert_eq!(filter.zero_us(), Some(10_000_000));
        assert_eq!(filter.age_us(500_000_000), 500_000_000);
    }
}
