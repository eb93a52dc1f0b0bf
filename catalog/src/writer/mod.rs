//! The one writer: everything that changes the catalog happens on its thread, one thing at a time, as
//! validate → append → apply. Two who want the same name at once are told apart here.

mod clock_corrections;
mod credentials;
mod data_streams;
mod deliveries;
mod edge;
mod floors;
mod holds;
mod snapshot;
mod sources;
mod streams;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use base::{Clock, Entropy, Limits, StreamId};
use bytes::Bytes;
use fragment_log::{Entry, FrameKind, INSTALLATION, LaneId, Log};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::CatalogError;
use crate::command::Command;
use crate::state::SharedState;
use snapshot::Growth;

/// Changes that may wait for the writer; more hold their callers back.
const QUEUE: usize = 256;

type Task = Box<dyn FnOnce(&mut Writer) + Send>;

/// The writer's thread; dropping it finishes what waits.
pub(crate) struct WriterThread {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    pub fn start(mut writer: Writer) -> io::Result<Self> {
        let (tasks, mut waiting) = mpsc::channel::<Task>(QUEUE);
        let run = move || {
            while let Some(task) = waiting.blocking_recv() {
                task(&mut writer);
                writer.snapshot_when_due();
            }
        };
        let thread = thread::Builder::new().name("catalog-writer".into()).spawn(run)?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread) })
    }

    /// Does `work` on the writer's thread. It is done also when the caller stops waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (task, answer) = task(work);
        let tasks = self.tasks.as_ref().ok_or(CatalogError::Closed)?;
        tasks.send(task).await.map_err(|_| CatalogError::Closed)?;
        answer.await.map_err(|_| CatalogError::Closed)?
    }

    /// [`Self::run`] for a thread that may block.
    pub fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let (task, answer) = task(work);
        let tasks = self.tasks.as_ref().ok_or(CatalogError::Closed)?;
        tasks.blocking_send(task).map_err(|_| CatalogError::Closed)?;
        answer.blocking_recv().map_err(|_| CatalogError::Closed)?
    }
}

/// Work, and where its result comes.
fn task<T: Send + 'static>(
    work: impl FnOnce(&mut Writer) -> Result<T, CatalogError> + Send + 'static,
) -> (Task, oneshot::Receiver<Result<T, CatalogError>>) {
    let (reply, answer) = oneshot::channel();
    let task = move |writer: &mut Writer| {
        // A caller who has gone needs no answer.
        let _ = reply.send(work(writer));
    };
    (Box::new(task), answer)
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the catalog's writer thread panicked");
        }
    }
}

/// What the thread works with.
pub(crate) struct Writer {
    log: Arc<Log>,
    state: Arc<SharedState>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    runtime: runtime::Runtime,
    /// Deleted streams whose key is destroyed, which the log is not told yet.
    destroyed: Vec<StreamId>,
    /// A stream whose key was made, but whose command the log did not take.
    unused_key: Option<StreamId>,
    growth: Growth,
}

impl Writer {
    pub fn new(
        log: Arc<Log>,
        state: Arc<SharedState>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Limits,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().build()?;
        let control = log.segments().into_iter().filter(|info| info.lane == LaneId::Control);
        let growth = Growth::of(control.map(|info| info.bytes).sum());
        let (destroyed, unused_key) = (Vec::new(), None);
        Ok(Self { log, state, clock, entropy, limits, runtime, destroyed, unused_key, growth })
    }

    /// Returns when the command is durable and applied.
    fn commit(&mut self, command: &Command) -> Result<(), CatalogError> {
        let reports = self.destroyed.iter().map(|&id| self.entry(&Command::KeyDestroyed(id)));
        let entries = reports.chain([self.entry(command)]).collect();
        let appended = self.runtime.block_on(self.log.append(LaneId::Control, entries))?;
        self.growth.add(appended.bytes);
        self.destroyed.clear();
        Ok(())
    }

    fn entry(&self, command: &Command) -> Entry {
        let now = self.clock.now();
        Entry {
            kind: FrameKind::Command,
            // Not the stream's own key: a deletion must stay readable.
            stream: INSTALLATION,
            shard: 0,
            first_sequence: 0,
            count: 1,
            server_time: now,
            producer_time: now,
            flags: 0,
            payload: vec![Bytes::from(command.encode())],
        }
    }
}
