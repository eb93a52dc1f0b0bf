//! Which consumer is subscribed to which shard: one at a time, the newest, after a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::StreamId;

/// So long a subscription is not taken over.
const PROTECTED: Duration = Duration::from_secs(5);

/// Stream, consumer, shard.
type Key = (StreamId, String, u32);

/// The subscriptions that are open.
#[derive(Default)]
pub struct Subscriptions {
    open: Mutex<HashMap<Key, Open>>,
    next: AtomicU64,
}

struct Open {
    number: u64,
    /// By the monotonic clock.
    since: Duration,
    replaced: Arc<AtomicBool>,
}

/// A subscription's place; dropping it frees it.
pub struct Place {
    all: Arc<Subscriptions>,
    key: Key,
    number: u64,
    replaced: Arc<AtomicBool>,
}

impl Subscriptions {
    /// Takes the place, from a subscription that has it long enough, too. `None` where one has just taken it.
    pub fn take(self: &Arc<Self>, key: Key, now: Duration) -> Option<Place> {
        let mut open = self.open();
        if let Some(holder) = open.get(&key) {
            if now.saturating_sub(holder.since) < PROTECTED {
                return None;
            }
            holder.replaced.store(true, Ordering::Release);
        }
        let (number, replaced) =
            (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(AtomicBool::new(false)));
        open.insert(key.clone(), Open { number, since: now, replaced: Arc::clone(&replaced) });
        Some(Place { all: Arc::clone(self), key, number, replaced })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether another subscription has it now.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.all.open();
        if open.get(&self.key).is_some_and(|holder| holder.number == self.number) {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_over_after_five_seconds_and_free_when_left() {
        let all = Arc::new(Subscriptions::default());
        let take = |secs| all.take((StreamId(1), "app".into(), 0), Duration::from_secs(secs));
        let first = take(10).unwrap();
        assert!(take(14).is_none() && !first.is_replaced());
        let second = take(15).unwrap();
        assert!(first.is_replaced());
        drop(first);
        assert!(take(16).is_none(), "what was replaced frees nothing");
        drop(second);
        assert!(take(16).is_some());
    }
}
