//! The second half of a commit: sync once, tell followers, acknowledge.
//!
//! Small batches are finished on the lane's own thread: another one would cost a wake-up, which is as
//! long as a good disk's sync. A batch that is large enough to keep the disk busy is handed to a second
//! thread, so that the next one is gathered and written meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use super::batching::{appended, durable_frames};
use super::state::Counters;
use super::writer::Place;
use super::{LaneState, Submission};
use crate::LogError;
use crate::format::{BatchHead, Lsn};
use crate::io::File;
use crate::sync::mpsc::{self, Receiver, SendError, SyncSender};
use crate::sync::{Condvar, Mutex, thread};

/// A batch of this many bytes is worth the wake-up of a second thread. Tests of all orders make do with
/// smaller ones.
const OVERLAP_BYTES: u64 = if cfg!(feature = "shuttle") { 8 * 1024 } else { 1024 * 1024 };
/// Batches that may wait for the second thread: it syncs once for all of them.
const WAITING: usize = 2;

/// A batch that was written and is not yet synced.
pub(super) struct Written {
    pub(super) batch: Vec<Submission>,
    pub(super) head: BatchHead,
    /// Number of its segment, which ends at `end` with it.
    pub(super) segment: u64,
    pub(super) end: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) path: PathBuf,
}

/// Syncs and acknowledges, in the order of writing.
pub(crate) struct Finisher {
    inner: Arc<Inner>,
    second: Option<SyncSender<Written>>,
}

struct Inner {
    state: Arc<LaneState>,
    place: Arc<Place>,
    /// Batches that the second thread has not finished.
    pending: Mutex<usize>,
    done: Condvar,
}

/// Takes batches off the count when it is dropped, also by a panic: nobody waits for ever.
struct Finished<'a> {
    inner: &'a Inner,
    count: usize,
}

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        *self.inner.pending.lock().expect(NOT_POISONED) -= self.count;
        self.inner.done.notify_all();
    }
}

const NOT_POISONED: &str = "nothing panics while it counts batches";

impl Finisher {
    pub(crate) fn new(state: Arc<LaneState>, place: Arc<Place>) -> Self {
        let inner = Inner { state, place, pending: Mutex::new(0), done: Condvar::new() };
        Self { inner: Arc::new(inner), second: None }
    }

    /// Finishes the batch now, or has it finished behind those that wait.
    pub(super) fn finish(&mut self, written: Written) {
        let waiting = *self.inner.pending.lock().expect(NOT_POISONED) > 0;
        if !waiting && written.head.bytes() < OVERLAP_BYTES {
            return self.inner.finish(vec![written]);
        }
        let inner = Arc::clone(&self.inner);
        let Some(second) = self.second() else { return inner.finish(vec![written]) };
        *inner.pending.lock().expect(NOT_POISONED) += 1;
        if let Err(SendError(written)) = second.send(written) {
            // Only a follower's panic ends the second thread early.
            drop(Finished { inner: &inner, count: 1 });
            refuse(written.batch, &LogError::Stopped { lane: inner.state.id, why: "it panicked".to_owned() });
        }
    }

    /// Returns when nothing that was written waits for its sync.
    pub(super) fn wait(&self) {
        let pending = self.inner.pending.lock().expect(NOT_POISONED);
        drop(self.inner.done.wait_while(pending, |pending| *pending > 0).expect(NOT_POISONED));
    }

    /// The second thread, started when it is first needed. Without it the lane is slower, not wrong.
    fn second(&mut self) -> Option<&SyncSender<Written>> {
        if self.second.is_none() {
            let (sender, queue) = mpsc::sync_channel(WAITING);
            let inner = Arc::clone(&self.inner);
            let name = format!("{} sync", self.inner.state.id);
            match thread::Builder::new().name(name).spawn(move || inner.run(&queue)) {
                Ok(_) => self.second = Some(sender),
                Err(error) => tracing::warn!(lane = %self.inner.state.id, %error, "no thread to sync on"),
            }
        }
        self.second.as_ref()
    }
}

impl Inner {
    fn run(&self, queue: &Receiver<Written>) {
        while let Ok(first) = queue.recv() {
            let group: Vec<Written> = std::iter::once(first).chain(queue.try_iter()).collect();
            let _finished = Finished { inner: self, count: group.len() };
            self.finish(group);
        }
    }

    /// One sync for the batches of `group`, which are of one segment: it is only completed, and the
    /// next one begun, when nothing waits.
    fn finish(&self, group: Vec<Written>) {
        let Some(last) = group.last() else { return };
        match self.sync(&*last.file, &last.path) {
            Ok(()) => group.into_iter().for_each(|written| self.tell(written)),
            Err(error) => group.into_iter().for_each(|written| refuse(written.batch, &error)),
        }
    }

    fn sync(&self, file: &dyn File, path: &std::path::Path) -> Result<(), LogError> {
        self.state.check_running()?;
        sync(file, path, &self.state, &self.place)
    }

    /// Tells followers, then producers, of a batch that is on disk.
    fn tell(&self, written: Written) {
        let Written { batch, head, segment, end, .. } = written;
        let frames = Arc::new(durable_frames(&batch, &head, segment));
        let last = Lsn(head.next().0 - 1);
        self.state.wrote(segment, end, last, frames.iter().map(|frame| frame.header));
        self.state.count(|counters| &counters.batches, 1);
        self.state.count(|counters| &counters.frames, frames.len() as u64);
        self.state.count(|counters| &counters.bytes, head.bytes());
        let evicted = self.place.tail.push(self.state.id, &frames);
        for follower in self.place.followers.read().expect("a follower does not panic").iter() {
            follower.durable(self.state.id, &frames);
        }
        let mut rest = frames.as_slice();
        for submission in batch {
            let (mine, after) = rest.split_at(submission.frames.len());
            rest = after;
            // The producer may have given up waiting; its frames are in the log all the same.
            let _ = submission.reply.send(Ok(appended(mine)));
        }
        self.state.announce(last);
        // Freeing much memory takes a while: nobody waits for it here.
        drop(evicted);
    }
}

/// Makes a segment durable. An error stops the lane, because the system forgets which pages it could
/// not write.
pub(super) fn sync(
    file: &dyn File,
    path: &std::path::Path,
    state: &LaneState,
    place: &Place,
) -> Result<(), LogError> {
    let before = place.clock.monotonic();
    let synced = file.sync().map_err(LogError::io("sync", path)).inspect_err(|error| state.stop(error));
    let took = place.clock.monotonic().saturating_sub(before);
    state.count(|counters: &Counters| &counters.syncs, 1);
    state.count(|counters| &counters.sync_micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    match synced {
        // A later sync may succeed without these pages, so running out of space here is no
        // different from any other failure.
        Err(LogError::Full { .. }) => Err(state.check_running().expect_err("the lane was just stopped")),
        synced => synced,
    }
}

/// Tells everyone in the batch that it is not in the log, or may not be.
pub(super) fn refuse(batch: Vec<Submission>, error: &LogError) {
    for submission in batch {
        let _ = submission.reply.send(Err(error.clone()));
    }
}
