//! Space set aside for what must find room on a disk that others have filled: commands, footers, notes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::LogError;
use crate::io::Io;

/// A file that holds nothing but space. It need not survive a crash: every start makes it anew.
pub(crate) struct Reserve {
    io: Arc<dyn Io>,
    path: PathBuf,
    bytes: u64,
    there: Mutex<bool>,
}

impl Reserve {
    /// Sets the space aside, where there is as much; else [`Self::refill`] does it later.
    pub(crate) fn open(io: Arc<dyn Io>, path: PathBuf, bytes: u64) -> Result<Self, LogError> {
        let size = io.open_read(&path).and_then(|file| file.size()).ok();
        let reserve = Self { io, path, bytes, there: Mutex::new(size == Some(bytes)) };
        if size != Some(bytes) {
            reserve.refill(bytes)?;
        }
        Ok(reserve)
    }

    /// Sets the space aside again, if it was given up and this much is there.
    pub(crate) fn refill(&self, available: u64) -> Result<(), LogError> {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if *there || available < self.bytes {
            return Ok(());
        }
        let allocated = self.io.create(&self.path).and_then(|file| file.allocate(0, self.bytes));
        match allocated.map_err(LogError::io("reserve space in", &self.path)) {
            Ok(()) => *there = true,
            // Part of it helps nobody, and there is none where not even the name found room.
            Err(LogError::Full { .. }) => drop(self.io.unlink(&self.path)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the space back to the disk; `false` where it was given back before.
    pub(crate) fn give_up(&self) -> bool {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut *there) {
            return false;
        }
        let given = self.io.unlink(&self.path).map_err(LogError::io("remove", &self.path));
        match &given {
            Ok(()) => tracing::warn!(bytes = self.bytes, "the disk is full: the space set aside is given up"),
            Err(error) => tracing::error!(%error, "the space set aside is not given up"),
        }
        given.is_ok()
    }

    /// Does `write`, and once more with the space that was set aside where there is no other.
    pub(crate) fn rescue<T>(&self, mut write: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
        match write() {
            Err(LogError::Full { .. }) if self.give_up() => write(),
            done => done,
        }
    }
}
