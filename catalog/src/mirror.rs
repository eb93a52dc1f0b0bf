//! The thread that keeps the SQLite view up with the state.
//!
//! It takes what changed from the state itself, a batch at a time: what waits is never more than one
//! row for every object, however far the disk falls behind, and the log's lane never waits for SQLite.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fragment_log::{Log, Lsn};

use crate::CatalogError;
use crate::state::{RowKey, SharedState};
use crate::view::{Progress, Row, View};

/// How long changes gather before they are written together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes the thread. Ringing never waits for it.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Signal>);

#[derive(Default)]
struct Signal {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    write: bool,
    close: bool,
}

impl Bell {
    /// There is something to write.
    pub fn ring(&self) {
        self.wanted().write = true;
        self.0.changed.notify_one();
    }

    fn close(&self) {
        self.wanted().close = true;
        self.0.changed.notify_one();
    }

    /// Waits until there is something to write, and `gather` longer for what comes with it. Returns at
    /// once when closing, and then `true`.
    fn wait(&self, gather: Duration) -> bool {
        let idle = |wanted: &mut Wanted| !wanted.write && !wanted.close;
        let rung = self.0.changed.wait_while(self.wanted(), idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(rung, gather, |wanted| !wanted.close);
        let (mut wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wanted.write = false;
        wanted.close
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running thread; dropping it writes what is left and waits for it.
pub(crate) struct Mirror {
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    pub fn start(view: View, state: Arc<SharedState>, log: Arc<Log>) -> io::Result<Self> {
        let bell = Bell::default();
        // The state may have taken commands that the view had not.
        bell.ring();
        let worker = Worker { view, state, log, bell: bell.clone(), written: None };
        let thread = thread::Builder::new().name("catalog-view".into()).spawn(move || worker.run())?;
        Ok(Self { bell, thread: Some(thread) })
    }

    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.bell.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the catalog's view thread panicked; the view is rebuilt at the next start");
        }
    }
}

struct Worker {
    view: View,
    state: Arc<SharedState>,
    log: Arc<Log>,
    bell: Bell,
    /// Up to where the view goes.
    written: Option<Lsn>,
}

impl Worker {
    fn run(mut self) {
        let mut gather = GATHER;
        loop {
            let last = self.bell.wait(gather);
            gather = match self.flush() {
                Ok(()) => GATHER,
                Err(error) => {
                    tracing::warn!(%error, "catalog view not written; the log has everything");
                    self.bell.ring();
                    RETRY
                }
            };
            if last {
                return;
            }
        }
    }

    /// Writes what changed since the last time, with the place in the lane that it goes up to.
    fn flush(&mut self) -> Result<(), CatalogError> {
        let mut state = self.state.write();
        let Some(applied) = state.applied() else { return Ok(()) };
        let keys = state.take_dirty();
        let row = |key: &RowKey| Row { key: key.clone(), content: state.row(key) };
        let rows: Vec<_> = keys.iter().map(row).collect();
        let progress = Progress { applied_lsn: applied.0, next_stream: state.next_stream() };
        drop(state);
        if rows.is_empty() && self.written == Some(applied) {
            return Ok(());
        }
        let written = self.view.write(self.log.keys(), &rows, &progress);
        match written {
            Ok(()) => self.written = Some(applied),
            Err(_) => self.state.write().return_dirty(keys),
        }
        written
    }
}
