//! Lanes: one thread each that writes, syncs and acknowledges, with a second one where batches are large.

mod batching;
mod finish;
mod id;
mod state;
mod writer;

pub(crate) use finish::Finisher;
pub use id::{LaneId, RetentionClass};
pub use state::LaneMetrics;
pub(crate) use state::{BUDGET_BYTES, LaneState, SequenceMap, note_sequence};
pub(crate) use writer::{LaneWriter, Place};

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::keys::Sealed;
use crate::sync::Mutex;
use crate::sync::mpsc::{self, Sender, SyncSender};
use crate::sync::thread::{self, JoinHandle};
use crate::{Appended, LogError};

/// What a lane's thread is asked to do.
pub(crate) enum Task {
    Append(Submission),
    Remove { segment: u64, reply: SyncSender<Result<(), LogError>> },
    Close,
}

/// The frames of one append.
pub(crate) struct Submission {
    pub(crate) frames: Vec<Sealed>,
    /// The append's share of the lane's budget, given back with the reply.
    pub(crate) _permit: OwnedSemaphorePermit,
    pub(crate) reply: oneshot::Sender<Result<Appended, LogError>>,
}

/// Entries that a lane has taken.
pub struct Submitted {
    lane: LaneId,
    answer: oneshot::Receiver<Result<Appended, LogError>>,
}

impl Submitted {
    /// Resolves when the entries are on disk and all followers have seen them.
    ///
    /// # Errors
    /// As [`crate::Log::append`].
    pub async fn wait(self) -> Result<Appended, LogError> {
        self.answer.await.unwrap_or_else(|_| Err(closed(self.lane)))
    }
}

/// The handle to a lane. Its thread is started by the first task.
pub(crate) struct Lane {
    pub(crate) state: Arc<LaneState>,
    tasks: OnceLock<Sender<Task>>,
    thread: Mutex<Thread>,
}

enum Thread {
    NotStarted(Box<LaneWriter>),
    Running(JoinHandle<()>),
    Closed,
}

const NOT_POISONED: &str = "nothing panics while it starts or closes a lane";

impl Lane {
    pub(crate) fn new(writer: LaneWriter) -> Self {
        Self {
            state: Arc::clone(&writer.state),
            tasks: OnceLock::new(),
            thread: Mutex::new(Thread::NotStarted(Box::new(writer))),
        }
    }

    /// Hands over the frames.
    pub(crate) fn append(
        &self,
        frames: Vec<Sealed>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Submitted, LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Append(Submission { frames, _permit: permit, reply }))?;
        Ok(Submitted { lane: self.state.id, answer })
    }

    /// [`Self::append`] for a thread that may block.
    pub(crate) fn append_blocking(
        &self,
        frames: Vec<Sealed>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Appended, LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Append(Submission { frames, _permit: permit, reply }))?;
        answer.blocking_recv().unwrap_or_else(|_| Err(self.closed()))
    }

    /// Unlinks a complete segment.
    pub(crate) fn remove(&self, segment: u64) -> Result<(), LogError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(Task::Remove { segment, reply })?;
        answer.recv().unwrap_or_else(|_| Err(self.closed()))
    }

    /// Finishes what was handed over, seals the segment, and ends the thread.
    pub(crate) fn close(&self) {
        let mut thread = self.thread.lock().expect(NOT_POISONED);
        if let Thread::Running(handle) = std::mem::replace(&mut *thread, Thread::Closed) {
            // The thread may have ended already; then there is nobody to tell.
            let _ = self.send(Task::Close);
            if handle.join().is_err() {
                tracing::error!(lane = %self.state.id, "the lane's thread had panicked");
            }
        }
    }

    fn send(&self, task: Task) -> Result<(), LogError> {
        let tasks = match self.tasks.get() {
            Some(tasks) => tasks,
            None => self.start()?,
        };
        tasks.send(task).map_err(|_| self.closed())
    }

    fn start(&self) -> Result<&Sender<Task>, LogError> {
        let mut thread = self.thread.lock().expect(NOT_POISONED);
        if let Some(tasks) = self.tasks.get() {
            return Ok(tasks);
        }
        let Thread::NotStarted(writer) = std::mem::replace(&mut *thread, Thread::Closed) else {
            return Err(self.closed());
        };
        let (sender, receiver) = mpsc::channel();
        let handle = thread::Builder::new()
            .name(self.state.id.to_string())
            .spawn(move || {
                writer.run(&receiver);
                // Whoever waits behind the close is told by the loss of the reply's sender.
                receiver.try_iter().for_each(drop);
            })
            .map_err(LogError::io("start the thread of", std::path::Path::new("a lane")))?;
        *thread = Thread::Running(handle);
        Ok(self.tasks.get_or_init(|| sender))
    }

    fn closed(&self) -> LogError {
        closed(self.state.id)
    }
}

fn closed(lane: LaneId) -> LogError {
    LogError::Stopped { lane, why: "the log is closed".to_owned() }
}
