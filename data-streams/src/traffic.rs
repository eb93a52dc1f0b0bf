//! How much goes through a shard: what was put and what was read, second by second, of the last minute.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Timestamp;
use catalog::DataStream;

use crate::streams::DataStreams;

/// Seconds that are told.
pub const SECONDS: usize = 60;

/// What went through in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Records.
    pub records: u64,
    /// Bytes of data and partition keys.
    pub bytes: u64,
}

impl Passed {
    /// Counts more.
    pub fn add(&mut self, more: Self) {
        self.records += more.records;
        self.bytes += more.bytes;
    }
}

/// The last whole seconds, the oldest first.
pub type Minute = [Passed; SECONDS];

/// A counter that forgets what is older than a minute. Takes memory only for seconds in which something went
/// through.
#[derive(Debug, Default)]
pub struct Flow(Mutex<VecDeque<(u64, Passed)>>);

impl Flow {
    /// Counts what goes through at this moment of the monotonic clock.
    pub fn add(&self, at: Duration, more: Passed) {
        if more == Passed::default() {
            return;
        }
        let second = at.as_secs();
        let mut seconds = self.lock();
        while seconds.front().is_some_and(|(kept, _)| kept + SECONDS as u64 <= second) {
            seconds.pop_front();
        }
        match seconds.back_mut() {
            // Threads may come in another order than they asked the clock.
            Some((last, passed)) if *last >= second => passed.add(more),
            Some(_) | None => seconds.push_back((second, more)),
        }
    }

    /// The seconds before the one that runs now.
    pub fn minute(&self, now: Duration) -> Minute {
        let mut minute = [Passed::default(); SECONDS];
        for (second, passed) in self.lock().iter() {
            let ago = now.as_secs().checked_sub(second + 1).and_then(|ago| usize::try_from(ago).ok());
            if let Some(place) = ago.and_then(|ago| (SECONDS - 1).checked_sub(ago)) {
                minute[place] = *passed;
            }
        }
        minute
    }

    /// Whether nothing went through in the last minute.
    pub fn is_still(&self, now: Duration) -> bool {
        self.lock().back().is_none_or(|(second, _)| second + (SECONDS as u64) < now.as_secs())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Passed)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a shard's readers and writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// What was put.
    pub written: Minute,
    /// What was read, by whomever.
    pub read: Minute,
    /// When the newest record arrived, if one is known.
    pub last: Option<Timestamp>,
}

impl DataStreams {
    /// What went through a shard in the last minute.
    pub fn traffic(&self, stream: &DataStream, shard: u32) -> Traffic {
        let now = self.clock.monotonic();
        let still = [Passed::default(); SECONDS];
        let Some(state) = self.shards.get((stream.id, shard)) else {
            return Traffic { written: still, read: still, last: None };
        };
        let last = state.index().last_time();
        Traffic { written: state.written.minute(now), read: state.read.minute(now), last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: u64) -> Passed {
        Passed { records: 1, bytes }
    }

    #[test]
    fn whole_seconds_are_told_and_a_minute_is_kept() {
        let (flow, at) = (Flow::default(), Duration::from_secs(100));
        flow.add(at, one(5));
        flow.add(at + Duration::from_millis(900), one(7));
        assert_eq!(flow.minute(at), [Passed::default(); SECONDS], "the second runs");
        let passed = Passed { records: 2, bytes: 12 };
        assert_eq!(flow.minute(at + Duration::from_secs(1))[SECONDS - 1], passed);
        assert_eq!(flow.minute(at + Duration::from_secs(60))[0], passed);
        assert_eq!(flow.minute(at + Duration::from_secs(61)), [Passed::default(); SECONDS]);
        assert!(!flow.is_still(at + Duration::from_secs(60)) && flow.is_still(at + Duration::from_secs(61)));
    }

    #[test]
    fn memory_is_bounded_and_a_late_thread_counts() {
        let flow = Flow::default();
        (0..1000).for_each(|second| flow.add(Duration::from_secs(second), one(1)));
        assert_eq!(flow.lock().len(), SECONDS);
        flow.add(Duration::from_secs(998), one(1));
        let minute = flow.minute(Duration::from_secs(1000));
        assert_eq!(minute.iter().map(|passed| passed.records).sum::<u64>(), SECONDS as u64 + 1);
    }
}
