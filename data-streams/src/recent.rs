//! The newest records of all shards, so that those who read at the tip are served from memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::StreamId;

use crate::record::RecordBatch;

/// What one frame costs beside its bytes, roughly: two map entries, allocations and their headers.
const FRAME_COST: usize = 256;
/// The same for one record.
const RECORD_COST: usize = 128;

/// A frame's place: stream, shard, index of its first record.
type Key = (StreamId, u32, u64);

/// Frames in the order in which they were handed to the log; the oldest go when there are too many.
/// One that is here need not be durable: who asks knows that from the index.
pub(crate) struct Recent {
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    frames: HashMap<Key, (Arc<RecordBatch>, usize)>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Recent {
    /// Keeps at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { budget, inner: Mutex::default() }
    }

    pub fn insert(&self, key: Key, batch: Arc<RecordBatch>) {
        let cost = FRAME_COST + batch.0.iter().map(|record| record.size() + RECORD_COST).sum::<usize>();
        let mut inner = self.lock();
        inner.bytes += cost;
        inner.frames.insert(key, (batch, cost));
        inner.order.push_back(key);
        while inner.bytes > self.budget {
            let Some(oldest) = inner.order.pop_front() else { break };
            inner.forget(&oldest);
        }
    }

    /// Forgets a frame that the log did not take.
    pub fn remove(&self, key: Key) {
        self.lock().forget(&key);
    }

    pub fn get(&self, key: Key) -> Option<Arc<RecordBatch>> {
        self.lock().frames.get(&key).map(|(batch, _)| Arc::clone(batch))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, key: &Key) {
        if let Some((_, cost)) = self.frames.remove(key) {
            self.bytes -= cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use bytes::Bytes;

    #[test]
    fn the_budget_holds_and_the_newest_stay() {
        let recent = Recent::new(10_000);
        let record = Record { partition_key: Bytes::from_static(b"k"), data: Bytes::from(vec![0; 1000]) };
        let batch = Arc::new(RecordBatch(vec![record]));
        for first in 0..100 {
            recent.insert((StreamId(1), 0, first), Arc::clone(&batch));
        }
        let kept: Vec<u64> =
            (0..100).filter(|first| recent.get((StreamId(1), 0, *first)).is_some()).collect();
        assert_eq!(kept, (93..100).collect::<Vec<_>>());
        recent.remove((StreamId(1), 0, 99));
        assert!(recent.get((StreamId(1), 0, 99)).is_none());
        assert!(recent.lock().bytes <= 10_000);
    }
}
