//! One log line a second, however often there is cause.

use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

/// For one kind of line about one stream.
#[derive(Debug, Default)]
pub(super) struct Throttle(Option<Duration>);

impl Throttle {
    /// Whether the line may be written at `now` (monotonic).
    pub(super) fn admits(&mut self, now: Duration) -> bool {
        let due = self.0.is_none_or(|told| now.saturating_sub(told) >= EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
