//! The time rule (`docs/time.md`): from RTP timestamps, arrival times and sender reports to exact
//! media durations and trustworthy wall time.
//!
//! Everything here is sans-I/O: times come in as arguments, no clock is owned. Instants are
//! microseconds in an `i64`, named `_us`; which clock they are on stands in the name or the comment.

mod arrival_clock;
mod least_delay;
mod reports;
mod run;
mod server_clock;
mod track_clock;

use std::time::Duration;

pub use base::TimestampSource;
pub(crate) use run::{Named, RunClock};
pub(crate) use server_clock::ServerClock;
pub(crate) use track_clock::{Restart, TrackClock};

/// A wall clock that moves further than this at once has stepped: a new run begins.
const STEP_US: i64 = 250_000;

/// The part of the elapsed time by which a clock may be slewed: 1/2000 = 500 ppm.
const SLEW_DIVISOR: i64 = 2000;

/// `error` held within what `elapsed_us` allows at 500 ppm.
fn slew(error_us: i64, elapsed_us: i64) -> i64 {
    let most = elapsed_us.max(0) / SLEW_DIVISOR;
    error_us.clamp(-most, most)
}

/// A monotonic time in microseconds.
pub(crate) fn micros(at: Duration) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// Ticks of a clock in microseconds; saturates where no real time is.
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i64 before the cast")]
pub(crate) fn ticks_to_us(ticks: i64, clock_rate: u32) -> i64 {
    let wide = i128::from(ticks) * 1_000_000 / i128::from(clock_rate.max(1));
    wide.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Microseconds in ticks of a clock; saturates where no real time is.
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i64 before the cast")]
pub(crate) fn us_to_ticks(us: i64, clock_rate: u32) -> i64 {
    let wide = i128::from(us) * i128::from(clock_rate.max(1)) / 1_000_000;
    wide.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
