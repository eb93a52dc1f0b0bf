//! The clock, as a thing that is handed in.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Where the project reads the time. Code asks the clock it was given, never the machine.
pub trait Clock: Send + Sync {
    /// The system's wall time. It may step in either direction.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process; never steps back.
    fn monotonic(&self) -> Duration;

    /// Whether something keeps the system's wall time right, as the kernel sees it (adjtimex(2): not `STA_UNSYNC`).
    /// `None` where nobody tells.
    fn synchronized(&self) -> Option<bool> {
        None
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is given")]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |m| -m),
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic(&self) -> Duration {
        STARTED.elapsed()
    }
}
