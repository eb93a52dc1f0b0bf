//! Where the log's lanes hand over what is durable, and where the index's thread picks it up.
//!
//! Lanes never wait: what does not fit is left out here and read from the log again later.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use catalog::Catalog;
use fragment_log::{Durable, Follower, LaneId, Lsn};
use tokio::sync::oneshot;

use crate::assemble::{Assembled, Assembler, Fresh, Unindexed, has_fragments};
use crate::overlay::Overlay;
use crate::{IndexError, Swept};

/// The index's thread lets fragments gather this long, so that one transaction takes many.
const GATHER: Duration = Duration::from_millis(75);
/// So many fragments are not kept waiting.
const PLENTY: usize = 5_000;

/// What somebody wants the index's thread to do.
pub(crate) enum Request {
    /// Sweep the retention.
    Sweep(oneshot::Sender<Result<Swept, IndexError>>),
    /// Give so many bytes of the disk back.
    MakeRoom(u64, oneshot::Sender<Result<Swept, IndexError>>),
    /// Bring what is durable into the sorted view.
    Sort(oneshot::Sender<()>),
    /// Bring everything into both views.
    Flush(oneshot::Sender<Result<(), IndexError>>),
}

/// What the index's thread picks up.
#[derive(Default)]
pub(crate) struct Delivery {
    pub fragments: Vec<Arc<Fresh>>,
    pub unindexed: Vec<Unindexed>,
    /// How far each lane is with this delivery.
    pub positions: Vec<(LaneId, Position)>,
    /// Lanes that were cut off and must be read again, from their position.
    pub behind: Vec<LaneId>,
    pub requests: Vec<Request>,
    pub stop: bool,
}

pub(crate) struct Intake {
    state: Mutex<State>,
    wake: Condvar,
    overlay: Arc<Overlay>,
    /// Fragments that may wait here. More are read from the log again once these are written.
    limit: usize,
    /// Weak: the catalog holds the log, and the log holds this.
    catalog: Weak<Catalog>,
}

#[derive(Default)]
struct State {
    queue: Vec<Arc<Fresh>>,
    unindexed: Vec<Unindexed>,
    lanes: BTreeMap<LaneId, Lane>,
    requests: Vec<Request>,
    stop: bool,
}

/// How far a lane was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// From here on the lane is read again, so that the fragments that are open can be put together.
    pub next: Lsn,
    /// Every commit before this was handed on.
    pub after: Lsn,
}

/// One lane, as it was followed so far.
#[derive(Default)]
pub(crate) struct Lane {
    assembler: Assembler,
    /// The place of the next frame.
    read: Lsn,
    /// Commits before this were handed on already.
    after: Lsn,
    /// The last frame the lane told of.
    seen: Lsn,
    /// Whether frames since `read` were left out.
    behind: bool,
}

impl Lane {
    /// A lane that is read from the log again. The sorted view has what was committed before `found`.
    pub(crate) fn read_again(from: Position, found: Lsn) -> Self {
        let assembler = Assembler::knowing(found.max(from.after));
        Self { assembler, read: from.next, after: from.after, ..Self::default() }
    }

    /// From where it is read on, at least as far as `durable`.
    pub(crate) fn read_to(&mut self, durable: Lsn) -> Lsn {
        self.seen = durable;
        self.read
    }

    /// How far it is.
    pub(crate) fn position(&self) -> Position {
        Position { next: self.assembler.oldest().unwrap_or(self.read), after: self.after }
    }

    /// Takes the next frame.
    pub(crate) fn push(&mut self, frame: &Durable, catalog: &Weak<Catalog>) -> Option<Assembled> {
        let exists = |stream| catalog.upgrade().is_none_or(|all| all.stream_by_id(stream).is_some());
        let assembled = self.assembler.push(frame, exists);
        self.seen = self.seen.max(frame.lsn);
        self.read = Lsn(frame.lsn.0.saturating_add(1));
        let assembled = assembled.filter(|_| frame.lsn >= self.after);
        self.after = self.after.max(self.read);
        assembled
    }
}

impl Intake {
    pub(crate) fn new(overlay: Arc<Overlay>, catalog: &Arc<Catalog>, limit: usize) -> Self {
        let catalog = Arc::downgrade(catalog);
        Self { state: Mutex::default(), wake: Condvar::new(), overlay, limit, catalog }
    }

    /// Asks the index's thread for something.
    pub(crate) fn request(&self, request: Request) -> Result<(), IndexError> {
        let mut state = self.state();
        if state.stop {
            return Err(IndexError::Stopped);
        }
        state.requests.push(request);
        self.wake.notify_all();
        Ok(())
    }

    /// How many lanes are so far ahead that they are read from the log again.
    pub(crate) fn lanes_behind(&self) -> usize {
        self.state().lanes.values().filter(|lane| lane.behind).count()
    }

    /// Tells the index's thread to finish.
    pub(crate) fn stop(&self) {
        self.state().stop = true;
        self.wake.notify_all();
    }

    /// Waits, at most so long, until there is something to do. Without `take` the fragments stay here.
    pub(crate) fn pick_up(&self, at_most: Duration, take: bool) -> Delivery {
        let idle = |state: &mut State| {
            let work = take && (!state.queue.is_empty() || state.lanes.values().any(|lane| lane.behind));
            !work && state.requests.is_empty() && !state.stop
        };
        let gathering =
            |state: &mut State| state.requests.is_empty() && !state.stop && state.queue.len() < PLENTY;
        let poisoned = PoisonError::into_inner;
        let mut state = self.wake.wait_timeout_while(self.state(), at_most, idle).unwrap_or_else(poisoned).0;
        if !state.queue.is_empty() {
            state =
                self.wake.wait_timeout_while(state, GATHER, gathering).unwrap_or_else(|e| e.into_inner()).0;
        }
        let requests = std::mem::take(&mut state.requests);
        let mut delivery = Delivery { requests, stop: state.stop, ..Delivery::default() };
        if take {
            delivery.fragments = std::mem::take(&mut state.queue);
            delivery.unindexed = std::mem::take(&mut state.unindexed);
            delivery.positions = state.lanes.iter().map(|(id, lane)| (*id, lane.position())).collect();
            let behind = state.lanes.iter().filter(|(_, lane)| lane.behind);
            delivery.behind = behind.map(|(id, _)| *id).collect();
        }
        delivery
    }

    /// Whether a lane that was behind may go on from where a reader of the log has come: it may when the
    /// lane has told of nothing since.
    pub(crate) fn resume(&self, id: LaneId, caught_up: Lane) -> Result<(), Lane> {
        let mut state = self.state();
        let lane = state.lanes.entry(id).or_default();
        if lane.seen > caught_up.seen {
            return Err(caught_up);
        }
        *lane = Lane { behind: false, ..caught_up };
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Intake {
    fn durable(&self, id: LaneId, frames: &[Durable]) {
        if !has_fragments(id) {
            return;
        }
        let mut guard = self.state();
        let State { queue, unindexed, lanes, .. } = &mut *guard;
        let lane = lanes.entry(id).or_default();
        if lane.behind {
            lane.seen = frames.last().map_or(lane.seen, |frame| frame.lsn);
            return;
        }
        for frame in frames {
            match lane.push(frame, &self.catalog) {
                Some(Assembled::Fragment(fresh)) => {
                    self.overlay.insert(&fresh);
                    queue.push(fresh);
                }
                Some(Assembled::Unindexed(one)) => unindexed.push(one),
                None => {}
            }
        }
        lane.behind = queue.len() >= self.limit;
        self.wake.notify_all();
    }
}
