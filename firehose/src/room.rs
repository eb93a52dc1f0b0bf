//! The memory that shipments on their way share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory that shipments share.
pub(crate) struct Room {
    free: Arc<Semaphore>,
    mib: u32,
}

impl Room {
    /// So many MiB, at least one.
    pub fn new(mib: u32) -> Self {
        let mib = mib.max(1);
        Self { free: Arc::new(Semaphore::new(mib as usize)), mib }
    }

    /// Waits for so many MiB; for all that there is, where that is less.
    pub async fn take(&self, mib: u32) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_many_owned(mib.clamp(1, self.mib)).await.ok()
    }
}
