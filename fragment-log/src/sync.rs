//! By what threads meet: the primitives of std or, with the feature `shuttle`, those whose every step a
//! test decides (`tests/shuttle.rs`). Those of tokio need no stand-in: they block no thread.

use std::time::Duration;

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, atomic, mpsc},
    thread,
};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, atomic, mpsc},
    thread,
};

/// What comes within `timeout`.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn receive_within<T>(
    queue: &mpsc::Receiver<T>,
    timeout: Duration,
) -> Result<T, mpsc::RecvTimeoutError> {
    queue.recv_timeout(timeout)
}

/// What comes at all or, where nothing waits, no more than half of the time.
#[cfg(feature = "shuttle")]
pub(crate) fn receive_within<T>(queue: &mpsc::Receiver<T>, _: Duration) -> Result<T, mpsc::RecvTimeoutError> {
    use shuttle::rand::{Rng, thread_rng};

    match queue.try_recv() {
        Err(mpsc::TryRecvError::Empty) if thread_rng().r#gen() => Err(mpsc::RecvTimeoutError::Timeout),
        Err(mpsc::TryRecvError::Empty) => Ok(queue.recv()?),
        Err(mpsc::TryRecvError::Disconnected) => Err(mpsc::RecvTimeoutError::Disconnected),
        Ok(next) => Ok(next),
    }
}
