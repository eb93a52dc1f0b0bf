//! Who watches what comes in, and how they hear of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{FragmentNumber, Tags};
use media::live::{LiveFragment, LiveState, LiveWindow};
use tokio::sync::watch;

/// Bytes of whole fragments that are kept for readers of a stream that keeps nothing on disk.
const UNKEPT_BYTES: usize = 8 * 1024 * 1024;

/// One stream's live window.
pub struct Live {
    window: Mutex<LiveWindow>,
    bell: watch::Sender<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self { window: Mutex::default(), bell: watch::Sender::new(()) }
    }
}

impl Live {
    /// The oldest fragment in the window after `number`; the very oldest for `None`.
    pub fn after(&self, number: Option<FragmentNumber>) -> Option<Arc<LiveFragment>> {
        self.window().after(number)
    }

    /// The newest fragment in the window.
    pub fn newest(&self) -> Option<Arc<LiveFragment>> {
        self.window().newest()
    }

    /// Rings whenever there is something new, in the window or on disk.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    pub(crate) fn begin(&self, fragment: Arc<LiveFragment>) {
        self.window().begin(fragment);
        self.ring();
    }

    /// A fragment is whole; `kept` where it is on disk.
    pub(crate) fn complete(&self, fragment: &LiveFragment, late: Tags, kept: bool) {
        fragment.end(LiveState::Complete(late));
        if kept {
            self.window().forget(fragment.number);
        } else {
            self.window().trim(UNKEPT_BYTES);
        }
        self.ring();
    }

    /// A fragment will not be whole, unless it is.
    pub(crate) fn abandon(&self, fragment: &LiveFragment) {
        fragment.end(LiveState::Abandoned);
        if fragment.read(usize::MAX).1 == LiveState::Abandoned {
            self.window().forget(fragment.number);
        }
        self.ring();
    }

    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    fn window(&self) -> MutexGuard<'_, LiveWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
