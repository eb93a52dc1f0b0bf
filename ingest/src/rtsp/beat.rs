//! The beat in which connections that record read their sockets.
//!
//! A publisher sends a packet every few milliseconds. To wake for each costs more than all that is
//! done with it; so a connection that records reads what has gathered once a beat. All share one
//! beat, so that one wake-up serves all of them. It costs 10 ms of latency on average, and arrival
//! times, of which the time rule follows the earliest, are late by at most one beat.

use std::time::Duration;

use tokio::time::Instant;

const PERIOD: Duration = Duration::from_millis(20);

/// The beat of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    start: Instant,
}

impl Beat {
    /// Beats from now on.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The first beat after now.
    pub(crate) fn next(self) -> Instant {
        let now = Instant::now();
        let into = now.duration_since(self.start).as_nanos() % PERIOD.as_nanos();
        now + PERIOD.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_rest_until_the_same_moment() {
        let beat = Beat::start();
        let first = beat.next();
        assert!(first > Instant::now() && first <= Instant::now() + PERIOD);
        assert_eq!((first - beat.start).as_nanos() % PERIOD.as_nanos(), 0);
        tokio::time::sleep_until(first).await;
        assert!(beat.next() > first);
    }
}
