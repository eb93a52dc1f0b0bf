//! All sources: a task for each, as the catalog says.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{StreamId, StreamName, Timestamp, TimestampSource};
use catalog::{EdgeSchedule, NewSource, Source, SourceTransport, Sources};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::connect::resolve;
use super::health::Book;
use super::probe::{Probe, ProbeError, probe};
use super::puller::Puller;
use super::target::Target;
use super::{AddressError, PullHealth, PullOptions, Schedule, ScheduleError, SourceUrl};
use crate::rtsp::beat::Beat;
use crate::rtsp::stopped;

/// Between the first attempts at two sources, where there is time for that.
const STEP: Duration = Duration::from_millis(50);

/// Before another attempt at making the streams of configured sources.
const AGAIN: Duration = Duration::from_secs(10);
/// Before schedules are looked at again, at most: a clock that is set must not make them sleep on.
const LOOK: Duration = Duration::from_secs(60);
/// Cameras that are looked at at a time.
const MAX_PROBES: usize = 8;

/// All pullers of an installation. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Pullers(Arc<Shared>);

struct Shared {
    options: PullOptions,
    beat: Beat,
    books: Mutex<HashMap<StreamId, Book>>,
    probes: Semaphore,
    /// Sources that are not the catalog's: those of the configuration file. They count more.
    configured: watch::Sender<Configured>,
}

/// Sources by the names of their streams, which need not exist yet.
type Configured = Arc<BTreeMap<StreamName, NewSource>>;

/// A source that is pulled.
struct Running {
    target: Target,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Pullers {
    /// Pullers that do nothing until [`Self::run`]. To be called within a tokio runtime.
    pub fn new(options: PullOptions) -> Self {
        let probes = Semaphore::new(MAX_PROBES);
        let configured = watch::Sender::default();
        Self(Arc::new(Shared { options, beat: Beat::start(), books: Mutex::default(), probes, configured }))
    }

    /// Pulls from these besides what the catalog says, and in place of it where both name a stream, which is
    /// made where there is none.
    pub fn configure(&self, sources: BTreeMap<StreamName, NewSource>) {
        self.0.configured.send_replace(Arc::new(sources));
    }

    /// The stream's source, where it is one of [`Self::configure`].
    pub fn configured(&self, stream: &StreamName) -> Option<NewSource> {
        self.0.configured.borrow().get(stream).cloned()
    }

    /// The health of every source, by stream.
    pub fn all(&self) -> BTreeMap<StreamId, PullHealth> {
        let books = self.0.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.iter().map(|(stream, book)| (*stream, book.read())).collect()
    }

    /// How pulling for the stream is doing; `None` where nothing is pulled.
    pub fn health(&self, stream: StreamId) -> Option<PullHealth> {
        let books = self.0.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(&stream).map(Book::read)
    }

    /// Whether a source may be connected to, as far as its name tells now. A name that has no address at
    /// the moment is no reason to refuse it: cameras come and go.
    ///
    /// # Errors
    /// [`AddressError`] where none of its addresses may be pulled from.
    pub async fn check(&self, url: &SourceUrl) -> Result<(), AddressError> {
        let PullOptions { rules, timing, .. } = &self.0.options;
        let addresses = resolve(url, timing.answer).await.unwrap_or_default();
        let checked: Vec<_> = addresses.iter().map(|address| rules.check(*address)).collect();
        if checked.iter().any(Result::is_ok) { Ok(()) } else { checked.into_iter().collect() }
    }

    /// Looks at a camera for up to ten seconds, without recording it.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn probe(&self, url: SourceUrl, transport: SourceTransport) -> Result<Probe, ProbeError> {
        let _permit = self.0.probes.try_acquire().map_err(|_| ProbeError::Busy(MAX_PROBES))?;
        let target = Target { url, transport, timestamps: TimestampSource::default() };
        probe(&self.0.options, &target).await
    }

    /// Pulls until `shutdown` is true or its sender is gone. Returns when every session has ended and
    /// what it recorded is stored.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut sources = self.0.options.catalog.sources();
        let mut configured = self.0.configured.subscribe();
        let mut running = BTreeMap::new();
        let mut stop = pin!(stopped(&mut shutdown));
        loop {
            let now = self.0.options.clock.now();
            let (mut targets, next) = targets(&sources.borrow_and_update(), now);
            let of_file = Arc::clone(&configured.borrow_and_update());
            let whole = self.0.add_configured(&of_file, &mut targets).await;
            self.follow(targets, &mut running);
            tokio::select! {
                () = &mut stop => break,
                // An error means that the catalog is gone, and with it all that could be recorded.
                changed = sources.changed() => if changed.is_err() { break },
                changed = configured.changed() => if changed.is_err() { break },
                () = sleep(AGAIN), if !whole => {}
                () = sleep(next.since(now).min(LOOK)), if next < Timestamp::MAX => {}
            }
        }
        for Running { stop, .. } in running.values() {
            stop.send_replace(true);
        }
        for Running { task, .. } in running.into_values() {
            note_panic(task.await);
        }
    }

    /// Starts and stops, so that what runs is what is wanted.
    fn follow(&self, targets: BTreeMap<StreamId, Target>, running: &mut BTreeMap<StreamId, Running>) {
        let changed = |stream: &StreamId, task: &mut Running| targets.get(stream) != Some(&task.target);
        let mut before: BTreeMap<_, _> = running.extract_if(.., changed).collect();
        for ending in before.values() {
            ending.stop.send_replace(true);
        }
        self.0.forget(|stream| targets.contains_key(stream));
        let fresh: Vec<_> = targets.into_iter().filter(|(stream, _)| !running.contains_key(stream)).collect();
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX).max(1);
        let step = STEP.min(self.0.options.timing.spread / count);
        for (at, (stream, target)) in (0_u32..).zip(fresh) {
            let before = before.remove(&stream).map(|before| before.task);
            if let Some(task) = self.start(stream, target, before, step * at) {
                running.insert(stream, task);
            }
        }
    }

    /// Starts a source after the one `before` it has ended.
    fn start(
        &self,
        stream: StreamId,
        target: Target,
        before: Option<JoinHandle<()>>,
        delay: Duration,
    ) -> Option<Running> {
        let shared = Arc::clone(&self.0);
        let name = shared.options.catalog.stream_by_id(stream)?.name.clone();
        let book = shared.open_book(stream);
        let (stop, mut told) = watch::channel(false);
        let pulled = target.clone();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                note_panic(before.await);
            }
            let mut stop = pin!(stopped(&mut told));
            tokio::select! {
                () = &mut stop => return,
                () = sleep(delay) => {}
            }
            pull(&shared, name, pulled, book, stop).await;
        });
        Some(Running { target, stop, task })
    }
}

async fn pull(
    shared: &Shared,
    stream: StreamName,
    target: Target,
    book: Book,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) {
    let Shared { options, beat, .. } = shared;
    Box::pin(Puller { options, beat: *beat, stream, target, book }.run(stop)).await;
}

/// What the catalog's sources mean now, and until when: sources of edge configurations may have a schedule.
fn targets(sources: &Sources, now: Timestamp) -> (BTreeMap<StreamId, Target>, Timestamp) {
    let (mut targets, mut next) = (BTreeMap::new(), Timestamp::MAX);
    for (stream, source) in sources.iter() {
        match (Target::of(source), schedule(source)) {
            (Ok(target), Ok(schedule)) => {
                let phase = schedule.map(|schedule| schedule.phase(now));
                next = phase.and_then(|phase| phase.until).unwrap_or(next).min(next);
                if phase.is_none_or(|phase| phase.on) {
                    targets.insert(*stream, target);
                }
            }
            (Err(error), _) => tracing::error!(%stream, %error, "a source that was stored cannot be read"),
            (_, Err(error)) => tracing::error!(%stream, %error, "a schedule that was stored cannot be read"),
        }
    }
    (targets, next)
}

/// When the source is pulled; `None` for always.
fn schedule(source: &Source) -> Result<Option<Schedule>, ScheduleError> {
    let written = source.edge.as_ref().and_then(|edge| edge.schedule.as_ref());
    let read = |written: &EdgeSchedule| {
        Schedule::parse(&written.expression, Duration::from_secs(written.duration_secs.into()))
    };
    written.map(read).transpose()
}

impl Shared {
    /// Adds the sources of the configuration file; answers whether all of their streams could be made.
    async fn add_configured(&self, sources: &Configured, targets: &mut BTreeMap<StreamId, Target>) -> bool {
        let mut whole = true;
        for (name, source) in sources.iter() {
            let NewSource { url, transport, timestamps } = source;
            match (self.options.catalog.stream_to_pull(name).await, SourceUrl::parse(url.expose())) {
                (Ok(stream), Ok(url)) => {
                    let target = Target { url, transport: *transport, timestamps: *timestamps };
                    targets.insert(stream.id, target);
                }
                (Err(error), _) => {
                    whole = false;
                    tracing::error!(stream = %name, %error, "the stream of a configured source cannot be made");
                }
                (_, Err(error)) => {
                    tracing::error!(stream = %name, %error, "a configured source cannot be read")
                }
            }
        }
        whole
    }

    /// A new page for a source: an earlier one of the same stream is of no interest any more.
    fn open_book(&self, stream: StreamId) -> Book {
        let book = Book::new(self.options.clock.now());
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.insert(stream, book.clone());
        book
    }

    fn forget(&self, keep: impl Fn(&StreamId) -> bool) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.retain(|stream, _| keep(stream));
    }
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a source failed");
    }
}
