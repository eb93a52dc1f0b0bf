//! The thread that keeps the SQLite view up with the state.
//!
//! It takes what changed from the state itself, a batch at a time: what waits is never more than one
//! row for every object, however far the disk falls behind, and the log's lane never waits for SQLite.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fragment_log::Log;

use crate::CatalogError;
use crate::state::SharedState;
use crate::view::{Row, View};

/// How long changes gather before they are written together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes the thread. Ringing never waits.
#[derive(Clone)]
pub(crate) struct Bell(SyncSender<()>);

impl Bell {
    pub fn ring(&self) {
        // A full channel means that the thread will look anyway, a closed one that it has ended.
        let _ = self.0.try_send(());
    }
}

/// The running thread; dropping it writes what is left and waits for it.
pub(crate) struct Mirror {
    bell: Bell,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    pub fn start(view: View, state: Arc<SharedState>, log: Arc<Log>) -> io::Result<Self> {
        let (sender, rings) = sync_channel(1);
        let bell = Bell(sender);
        let closing = Arc::new(AtomicBool::new(false));
        let worker = Worker { view, state, log, rings, closing: Arc::clone(&closing) };
        let thread = thread::Builder::new().name("catalog-view".into()).spawn(move || worker.run())?;
        // The state may have taken commands that the view had not.
        bell.ring();
        Ok(Self { bell, closing, thread: Some(thread) })
    }

    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        self.bell.ring();
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
    rings: Receiver<()>,
    closing: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self) {
        let mut behind = false;
        loop {
            if behind {
                if self.rings.recv_timeout(RETRY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            } else if self.rings.recv().is_err() {
                return;
            }
            if !self.closing.load(Ordering::SeqCst) {
                thread::sleep(GATHER);
            }
            let last = self.closing.load(Ordering::SeqCst);
            behind = match self.flush() {
                Ok(()) => false,
                Err(error) => {
                    tracing::warn!(%error, "catalog view not written; the log has everything");
                    true
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
        let keys = state.take_dirty();
        let Some(applied) = state.applied() else { return Ok(()) };
        let rows: Vec<_> = keys.iter().map(|key| Row { key: key.clone(), content: state.row(key) }).collect();
        let next_stream = state.next_stream();
        drop(state);
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.view.write(self.log.keys(), &rows, next_stream, applied);
        if written.is_err() {
            self.state.write().return_dirty(keys);
        }
        written
    }
}
