//! What is known of a delivery stream while it runs: for metrics and people.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base::Timestamp;

/// One outlet of a delivery stream, since the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutletStatus {
    /// Objects or requests that were taken.
    pub deliveries: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their data, before any packing.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Records that were stored as failed instead.
    pub failed_records: u64,
    /// Records that expired before they were delivered.
    pub expired_records: u64,
    /// When the oldest record arrived that waits, of the shards where one does.
    pub waiting_since: Option<Timestamp>,
    /// Why the last attempt failed; nothing once one succeeds.
    pub last_error: Option<LastError>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub text: String,
}

/// Shared by the lines of an outlet.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    told: OutletStatus,
    /// By shard: when its oldest record that waits arrived.
    waiting: std::collections::BTreeMap<u32, Timestamp>,
}

impl Board {
    /// As it is now.
    pub fn read(&self) -> OutletStatus {
        let inner = self.lock();
        OutletStatus { waiting_since: inner.waiting.values().min().copied(), ..inner.told.clone() }
    }

    /// Changes the counters.
    pub fn update(&self, change: impl FnOnce(&mut OutletStatus)) {
        change(&mut self.lock().told);
    }

    /// Tells since when a shard has records that wait.
    pub fn waits(&self, shard: u32, since: Option<Timestamp>) {
        let mut inner = self.lock();
        match since {
            Some(since) => inner.waiting.insert(shard, since),
            None => inner.waiting.remove(&shard),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
