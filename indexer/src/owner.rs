//! The index's own thread: the only one that writes the views.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, FragmentNumber, StreamId};
use catalog::Catalog;
use fragment_log::{LaneId, Log, LogError, Lsn};

use crate::assemble::{Assembled, Fresh, Unindexed};
use crate::forward::Forward;
use crate::intake::{Delivery, Intake, Lane, Position, Request};
use crate::kept::{Floors, Kept};
use crate::overlay::Overlay;
use crate::search::{GoneSegment, Search};
use crate::space::HeldSpace;
use crate::view::{Applied, Writer};
use crate::{IndexError, LaneSpace, Rebuilt, damage};

/// The search view is committed after so long at the latest, while there is something to commit …
const COMMIT_AFTER: Duration = Duration::from_secs(10);
/// … or when so many fragments wait for it.
const COMMIT_AT: usize = 5_000;
/// While a log is read again, commits are larger.
const COMMIT_AT_REPLAY: usize = 20_000;
/// Before anybody can ask they are larger still: each makes a segment of its own, which costs merges later.
const COMMIT_AT_OPEN: usize = 500_000;
/// Fragments of one transaction while a log is read again …
const REPLAY_BATCH: usize = 5_000;
/// … and before anybody can ask, when they need not be kept in memory: some 200 bytes each.
const OPEN_BATCH: usize = 50_000;
/// So many wait at most for a search view that cannot be written; then no more are taken in.
const WAITING: usize = 50_000;
/// How long to wait before a view that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Everything that the thread works with.
pub(crate) struct Owner {
    pub dir: PathBuf,
    pub log: Arc<Log>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub overlay: Arc<Overlay>,
    pub intake: Arc<Intake>,
    pub writer: Writer,
    pub search: Search,
    pub waiting: Waiting,
    /// The oldest number of each stream that is not held, as far as a sweep has looked, and what was kept then.
    pub oldest: HashMap<StreamId, (Kept, FragmentNumber)>,
    pub floors: Arc<Floors>,
    /// What a sweep tells of space.
    pub space: Arc<Mutex<Vec<LaneSpace>>>,
    pub held: HeldSpace,
    /// Whether the file system has holes, as far as is known.
    pub holes: bool,
    pub forward: Forward,
    /// Whether anybody can ask. Before, what is read from the log need not be found in memory, too.
    pub serving: bool,
    /// What a rebuild tells.
    pub rebuilt: Rebuilt,
}

/// What the views do not have yet.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Not in the sorted view: it could not be written.
    delivery: Option<Delivery>,
    /// Not in the search view.
    unsearched: Vec<Arc<Fresh>>,
    /// How many the search view was given since its last commit, and before anybody could ask.
    added: usize,
    /// Log segments whose fragments must leave the search view.
    pub gone: Vec<GoneSegment>,
    /// Up to where the sorted view has each lane.
    positions: BTreeMap<LaneId, Position>,
    /// Up to where it had the commits of each lane when it was opened, while the search view may have had less.
    found: BTreeMap<LaneId, Lsn>,
    /// When the search view was committed last.
    committed: Duration,
}

impl Waiting {
    /// Nothing waits, and the sorted view was found so.
    pub(crate) fn after(applied: &BTreeMap<LaneId, Applied>) -> Self {
        let found = applied.iter().map(|(lane, applied)| (*lane, applied.commits)).collect();
        Self { found, ..Self::default() }
    }
}

/// What was read from the log again and is not written yet.
#[derive(Default)]
struct ReadAgain {
    count: usize,
    /// Empty where nobody can ask yet.
    fragments: Vec<Arc<Fresh>>,
    unindexed: Vec<Unindexed>,
}

impl Owner {
    /// Works until the intake is stopped.
    pub(crate) fn run(mut self) {
        loop {
            let take = self.waiting.delivery.is_none() && self.waiting.unsearched.len() < WAITING;
            let at_most = if take { COMMIT_AFTER } else { RETRY };
            let mut delivery = self.intake.pick_up(at_most, take);
            let requests = std::mem::take(&mut delivery.requests);
            let stop = delivery.stop;
            if take {
                self.waiting.delivery = Some(delivery);
            }
            let flush = requests.iter().any(|request| matches!(request, Request::Flush(_)));
            let mut result = self.advance(stop || flush);
            self.told(&result);
            for request in requests {
                match request {
                    // Nobody waits for the answer any more? That is fine.
                    Request::Flush(answer) => drop(answer.send(std::mem::replace(&mut result, Ok(())))),
                    Request::Sort(answer) => drop(answer.send(())),
                    // Also where the views cannot be written: it may be what makes room for them.
                    Request::Sweep(answer) => drop(answer.send(self.sweep())),
                    Request::MakeRoom(bytes, answer) => drop(answer.send(self.make_room(bytes))),
                }
            }
            if stop {
                let closed = self.search.close().map_err(IndexError::from);
                return closed.unwrap_or_else(|error| tracing::warn!(%error, "closing the search view"));
            }
        }
    }

    /// Brings what was delivered into the views.
    fn advance(&mut self, now: bool) -> Result<(), IndexError> {
        if let Some(delivery) = self.waiting.delivery.take() {
            if let Err(error) = self.sort(&delivery.fragments, &delivery.unindexed, &delivery.positions) {
                self.waiting.delivery = Some(delivery);
                return Err(error);
            }
            for lane in delivery.behind {
                let from = self.waiting.positions.get(&lane).copied().unwrap_or_default();
                self.catch_up(lane, from, &mut |_| {})?;
            }
        }
        let unsearched = self.waiting.unsearched.len();
        let late = self.clock.monotonic().saturating_sub(self.waiting.committed) >= COMMIT_AFTER;
        let some = unsearched > 0 || !self.waiting.gone.is_empty();
        if some && (now || late || unsearched >= COMMIT_AT) { self.commit_search() } else { Ok(()) }
    }

    /// Reads a lane of the log from `from` on, until nothing is left, and lets the intake follow it from there.
    pub(crate) fn catch_up(
        &mut self,
        id: LaneId,
        from: Position,
        progress: &mut dyn FnMut(Rebuilt),
    ) -> Result<(), IndexError> {
        let found = self.waiting.found.get(&id).copied().unwrap_or_default();
        let mut lane = Lane::read_again(from, found);
        loop {
            lane = self.replay(id, lane, progress)?;
            match self.intake.resume(id, lane) {
                Ok(()) => return Ok(()),
                Err(behind) => lane = behind,
            }
        }
    }

    fn replay(
        &mut self,
        id: LaneId,
        mut lane: Lane,
        progress: &mut dyn FnMut(Rebuilt),
    ) -> Result<Lane, IndexError> {
        let log = Arc::clone(&self.log);
        let catalog = Arc::downgrade(&self.catalog);
        let from = lane.read_to(log.durable(id));
        let mut read = ReadAgain::default();
        let mut failed = None;
        let result = log.replay(id, from, &mut |frame| {
            let sorted = self.waiting.found.get(&id).is_some_and(|found| frame.lsn < *found);
            let taken = match lane.push(&frame, &catalog) {
                Some(Assembled::Fragment(fresh)) => self.read_again(fresh, sorted, &mut read),
                Some(Assembled::Unindexed(one)) => {
                    // Its space is counted once.
                    read.unindexed.extend((!sorted).then_some(one));
                    Ok(())
                }
                None => Ok(()),
            };
            let batch = if self.serving { REPLAY_BATCH } else { OPEN_BATCH };
            let taken = match taken {
                Ok(()) if read.count >= batch => self.write_again(&mut read, (id, lane.position()), progress),
                taken => taken,
            };
            taken.map_err(|error| {
                failed = Some(error);
                LogError::Stopped { lane: id, why: "the index cannot be written".into() }
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        result?;
        self.write_again(&mut read, (id, lane.position()), progress)?;
        Ok(lane)
    }

    /// Takes a fragment that was read from the log. Where nobody can ask yet, it goes where both views gather
    /// what they write, and is not kept. `sorted` tells that the sorted view has it.
    fn read_again(
        &mut self,
        fresh: Arc<Fresh>,
        sorted: bool,
        read: &mut ReadAgain,
    ) -> Result<(), IndexError> {
        read.count += 1;
        if self.serving {
            read.fragments.push(fresh);
            return Ok(());
        }
        if !sorted {
            self.writer.push(&fresh.entry)?;
        }
        self.waiting.added += 1;
        Ok(self.search.add(std::slice::from_ref(&fresh))?)
    }

    /// Writes what was read from the log.
    fn write_again(
        &mut self,
        read: &mut ReadAgain,
        position: (LaneId, Position),
        progress: &mut dyn FnMut(Rebuilt),
    ) -> Result<(), IndexError> {
        let ReadAgain { count, fragments, unindexed } = std::mem::take(read);
        for fresh in &fragments {
            self.overlay.insert(fresh);
        }
        if self.serving {
            self.sort(&fragments, &unindexed, &[position])?;
        } else {
            self.writer.write(&unindexed, &[position])?;
            self.waiting.positions.extend([position]);
        }
        self.rebuilt.fragments += count as u64;
        progress(self.rebuilt);
        let commit =
            self.waiting.unsearched.len() >= COMMIT_AT_REPLAY || self.waiting.added >= COMMIT_AT_OPEN;
        if commit { self.commit_search() } else { Ok(()) }
    }

    /// Both views have what the log has: from now on anybody may ask.
    pub(crate) fn serve(&mut self) -> Result<(), IndexError> {
        self.serving = true;
        self.writer.finish()
    }

    /// Writes the sorted view.
    fn sort(
        &mut self,
        fragments: &[Arc<Fresh>],
        unindexed: &[Unindexed],
        positions: &[(LaneId, Position)],
    ) -> Result<(), IndexError> {
        let known = |(lane, at): &(LaneId, Position)| self.waiting.positions.get(lane) == Some(at);
        if fragments.is_empty() && unindexed.is_empty() && positions.iter().all(known) {
            return Ok(());
        }
        self.writer.apply(fragments.iter().map(|fresh| fresh.entry.as_ref()), unindexed, positions)?;
        self.waiting.positions.extend(positions.iter().copied());
        self.waiting.unsearched.extend(fragments.iter().cloned());
        Ok(())
    }

    /// Writes the search view. What is in both views leaves the overlay.
    pub(crate) fn commit_search(&mut self) -> Result<(), IndexError> {
        self.waiting.committed = self.clock.monotonic();
        let positions = &self.waiting.positions;
        let next: Vec<_> = positions.iter().map(|(lane, at)| (*lane, at.next)).collect();
        // What is read again for the sake of open fragments is not searched twice.
        let after: Vec<_> = positions.iter().map(|(lane, at)| (*lane, at.after)).collect();
        let Waiting { unsearched, gone, .. } = &mut self.waiting;
        self.search.commit(unsearched, gone, &after)?;
        self.writer.searched(&next)?;
        gone.clear();
        self.overlay.settle(&std::mem::take(unsearched));
        self.waiting.added = 0;
        Ok(())
    }

    fn told(&self, result: &Result<(), IndexError>) {
        if let Err(error) = result {
            tracing::error!(%error, "the index cannot be written: fragments stay in memory until it can");
            damage::note(&self.dir, error);
        }
    }
}
