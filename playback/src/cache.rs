//! Recently read fragments, so that many viewers of one live stream cost one read and one decryption.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{FragmentNumber, StreamId};
use media::mkv::StoredFragment;
use tokio::sync::OnceCell;

type Key = (StreamId, FragmentNumber);

/// Fragments within a budget of bytes; the one that was asked for longest ago goes first.
#[derive(Debug)]
pub(crate) struct FragmentCache {
    budget: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<Key, Slot>,
    bytes: u64,
    /// Counts requests: the slots' order of use.
    tick: u64,
}

#[derive(Debug)]
struct Slot {
    /// Filled by the first who asks; the others wait for it.
    fragment: Arc<OnceCell<Arc<StoredFragment>>>,
    bytes: u64,
    used: u64,
}

impl FragmentCache {
    /// A cache of at most `budget` bytes of fragments.
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// The fragment, from `read` (not polled otherwise) unless it is here or being read. `bytes` is its size.
    pub(crate) async fn get<E>(
        &self,
        key: Key,
        bytes: u64,
        read: impl Future<Output = Result<Arc<StoredFragment>, E>>,
    ) -> Result<Arc<StoredFragment>, E> {
        let cell = self.slot(key, bytes);
        let found = cell.get_or_try_init(|| read).await.cloned();
        if found.is_err() {
            self.forget(key, &cell);
        }
        found
    }

    fn slot(&self, key: Key, bytes: u64) -> Arc<OnceCell<Arc<StoredFragment>>> {
        let mut state = self.state();
        state.tick += 1;
        let used = state.tick;
        if let Some(slot) = state.slots.get_mut(&key) {
            slot.used = used;
            return Arc::clone(&slot.fragment);
        }
        let fragment = Arc::default();
        state.slots.insert(key, Slot { fragment: Arc::clone(&fragment), bytes, used });
        state.bytes = state.bytes.saturating_add(bytes);
        while state.bytes > self.budget && state.evict() {}
        fragment
    }

    /// Lets a failed read be tried again, unless another has replaced it by now.
    fn forget(&self, key: Key, cell: &Arc<OnceCell<Arc<StoredFragment>>>) {
        let mut state = self.state();
        if state.slots.get(&key).is_some_and(|slot| Arc::ptr_eq(&slot.fragment, cell) && !cell.initialized())
        {
            state.remove(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the slot that was used longest ago; a reader that holds it keeps it until done.
    fn evict(&mut self) -> bool {
        let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| *key);
        oldest.is_some_and(|key| {
            self.remove(key);
            true
        })
    }

    fn remove(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.bytes = self.bytes.saturating_sub(slot.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn key(number: u64) -> Key {
        (StreamId(1), FragmentNumber::from_u64(number))
    }

    fn empty() -> Arc<StoredFragment> {
        Arc::new(StoredFragment { tracks: Vec::new(), frames: Vec::new() })
    }

    #[tokio::test]
    async fn many_viewers_make_one_read() {
        let cache = FragmentCache::new(100);
        let reads = AtomicU32::new(0);
        let view = || {
            cache.get(key(1), 10, async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, ()>(empty())
            })
        };
        let (a, b, c) = tokio::join!(view(), view(), view());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_budget_holds_and_the_oldest_goes() {
        let cache = FragmentCache::new(100);
        for number in [1, 2, 1, 3] {
            cache.get(key(number), 50, async { Ok::<_, ()>(empty()) }).await.unwrap();
        }
        let state = cache.state();
        assert_eq!(state.bytes, 100);
        assert!(state.slots.contains_key(&key(1)) && state.slots.contains_key(&key(3)));
    }

    #[tokio::test]
    async fn a_failed_read_is_tried_again() {
        let cache = FragmentCache::new(100);
        assert!(cache.get(key(1), 10, async { Err(()) }).await.is_err());
        assert_eq!(cache.state().bytes, 0);
        assert!(cache.get(key(1), 10, async { Ok::<_, ()>(empty()) }).await.is_ok());
    }
}
