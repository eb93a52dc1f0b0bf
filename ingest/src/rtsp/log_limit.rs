//! At most one log line a second for each stream, so that a noisy client cannot fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Streams told apart; beyond these all share one allowance. Clients choose the names.
const MAX_KEYS: usize = 1024;
const PERIOD: Duration = Duration::from_secs(1);

/// Says which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    streams: Mutex<HashMap<String, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Duration,
    held_back: u64,
}

impl LogLimit {
    /// Whether a line about `stream` may be written at `now` (monotonic), and if so how many were held
    /// back since the last one.
    pub(crate) fn admit(&self, stream: &str, now: Duration) -> Option<u64> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= MAX_KEYS && !streams.contains_key(stream) {
            streams.retain(|_, told| told.held_back > 0 || now.saturating_sub(told.at) < PERIOD);
        }
        let key = if streams.len() >= MAX_KEYS && !streams.contains_key(stream) { "" } else { stream };
        match streams.get_mut(key) {
            Some(told) if now.saturating_sub(told.at) < PERIOD => {
                told.held_back += 1;
                None
            }
            Some(told) => {
                told.at = now;
                Some(std::mem::take(&mut told.held_back))
            }
            None => {
                streams.insert(key.to_owned(), Told { at: now, held_back: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_for_each_stream() {
        let limit = LogLimit::default();
        let at = Duration::from_millis;
        assert_eq!(limit.admit("a", at(0)), Some(0));
        assert_eq!(limit.admit("b", at(1)), Some(0));
        assert_eq!(limit.admit("a", at(500)), None);
        assert_eq!(limit.admit("a", at(999)), None);
        assert_eq!(limit.admit("a", at(1000)), Some(2));
        assert_eq!(limit.admit("a", at(2000)), Some(0));
    }

    #[test]
    fn endless_names_take_bounded_memory_and_share_one_line() {
        let limit = LogLimit::default();
        let admitted = (0..5000).filter(|n| limit.admit(&n.to_string(), Duration::ZERO).is_some()).count();
        assert_eq!(admitted, MAX_KEYS + 1);
        assert!(limit.streams.lock().unwrap().len() <= MAX_KEYS + 1);
        assert_eq!(limit.admit("fresh", Duration::from_secs(9)), Some(0));
    }
}
