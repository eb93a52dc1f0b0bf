//! The lane's thread: takes what waits, writes it as one batch, syncs once, tells everyone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};

use super::batching::gather;
use super::finish::{Finisher, Written, refuse, sync};
use super::{LaneId, LaneState, Submission, Task};
use crate::format::{BLOCK, FooterRow, Lsn, SegmentHeader, SegmentUuid};
use crate::io::Io;
use crate::layout::Layout;
use crate::reserve::Reserve;
use crate::segment::{SegmentWriter, unlink};
use crate::sync::mpsc::{Receiver, RecvTimeoutError};
use crate::sync::{RwLock, receive_within};
use crate::tail::TailRing;
use crate::{Follower, LogError, SegmentInfo};

/// Where lanes write, and whom they tell.
pub(crate) struct Place {
    pub(crate) io: Arc<dyn Io>,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) segment_age: Duration,
    pub(crate) mark_after: Duration,
    pub(crate) followers: RwLock<Vec<Arc<dyn Follower>>>,
    pub(crate) tail: TailRing,
    pub(crate) reserve: Reserve,
}

/// The writing side of a lane.
pub(crate) struct LaneWriter {
    pub(crate) state: Arc<LaneState>,
    pub(crate) place: Arc<Place>,
    pub(crate) segment_bytes: u64,
    /// The place that the next frame takes.
    pub(crate) next: Lsn,
    /// The number that the next segment takes.
    pub(crate) next_segment: u64,
    pub(crate) active: Option<Active>,
    pub(crate) finisher: Finisher,
}

/// The segment that is being written.
pub(crate) struct Active {
    writer: SegmentWriter,
    begun: Duration,
    /// Whether a durable mark vouches for all of its batches.
    marked: bool,
}

impl LaneWriter {
    /// Works until it is told to close or everyone has let go of the lane.
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        let mut held = None;
        loop {
            match held.take().map_or_else(|| self.wait(tasks), Ok) {
                Ok(Task::Append(first)) => {
                    let batch = gather(first, tasks, &mut held);
                    self.commit(batch);
                }
                Ok(Task::Remove { segment, reply }) => {
                    // Whoever asked may have gone; the segment has gone all the same.
                    let _ = reply.send(self.remove(segment));
                }
                Ok(Task::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.idle(),
            }
        }
        self.seal_unless_stopped();
    }

    fn wait(&self, tasks: &Receiver<Task>) -> Result<Task, RecvTimeoutError> {
        let running = self.state.check_running().is_ok();
        match self.active.as_ref().filter(|_| running) {
            None => tasks.recv().map_err(RecvTimeoutError::from),
            Some(active) => {
                let until_old = self.place.segment_age.saturating_sub(self.age(active));
                let timeout = if active.marked { until_old } else { until_old.min(self.place.mark_after) };
                receive_within(tasks, timeout)
            }
        }
    }

    fn age(&self, active: &Active) -> Duration {
        self.place.clock.monotonic().saturating_sub(active.begun)
    }

    fn commit(&mut self, batch: Vec<Submission>) {
        let result = match self.write(batch) {
            // A full disk can still be told what to give up.
            Err((batch, LogError::Full { .. }))
                if self.state.id == LaneId::Control && self.place.reserve.give_up() =>
            {
                self.write(batch)
            }
            result => result,
        };
        match result {
            Ok(written) => self.finisher.finish(written),
            Err((batch, error)) => {
                if matches!(error, LogError::Full { .. }) {
                    self.state.count(|counters| &counters.full, batch.len() as u64);
                }
                refuse(batch, &error);
            }
        }
    }

    /// Hands the batch to the disk. An error other than [`LogError::Full`] stops the lane.
    fn write(&mut self, batch: Vec<Submission>) -> Result<Written, (Vec<Submission>, LogError)> {
        let frames = || batch.iter().flat_map(|submission| &submission.frames);
        let slots: Vec<_> = frames().map(|frame| frame.slot).collect();
        let bytes: u64 = slots.iter().map(|slot| u64::from(slot.len)).sum();
        let (first, durable, state) = (self.next, self.state.durable(), Arc::clone(&self.state));
        let active = match self.room_for(bytes + BLOCK) {
            Ok(active) => active,
            Err(error) => return Err((batch, error)),
        };
        let head = active.writer.head(first, durable, slots);
        if let Err(error) = active.writer.write(&head, frames().map(|frame| frame.bytes.as_slice())) {
            if !matches!(error, LogError::Full { .. }) {
                state.stop(&error);
            }
            return Err((batch, error));
        }
        active.marked = false;
        let rows = head.places().zip(frames());
        let rows = rows.map(|((lsn, offset, _), frame)| FooterRow { lsn, offset, header: frame.header });
        active.writer.rows.extend(rows);
        let SegmentWriter { end, file, path, .. } = &active.writer;
        let (segment, end) = (active.writer.header.number, *end);
        let (file, path) = (Arc::clone(file), path.clone());
        self.next = head.next();
        Ok(Written { batch, head, segment, end, file, path })
    }

    /// The active segment, with room for a batch of about `bytes`; a new one where it is needed.
    fn room_for(&mut self, bytes: u64) -> Result<&mut Active, LogError> {
        self.state.check_running()?;
        let done = self.active.as_ref().is_some_and(|active| {
            let full = active.writer.end > BLOCK && active.writer.end + bytes > self.segment_bytes;
            full || self.age(active) >= self.place.segment_age
        });
        if done {
            self.seal_unless_stopped();
            self.state.check_running()?;
        }
        if self.active.is_none() {
            self.active = Some(self.begin_segment()?);
        }
        Ok(self.active.as_mut().expect("it was just made where there was none"))
    }

    fn begin_segment(&mut self) -> Result<Active, LogError> {
        let Place { io, layout, clock, entropy, .. } = &*self.place;
        let lane = self.state.id;
        let dir = layout.lane(lane);
        let header = SegmentHeader {
            lane,
            uuid: SegmentUuid(entropy.bytes()),
            number: self.next_segment,
            first: self.next,
            durable: self.state.durable(),
            created: clock.now(),
        };
        let path = layout.segment(lane, header.number);
        make_dir(&**io, layout, &dir)?;
        let file = io.create(&path).map_err(LogError::io("create", &path))?;
        let writer =
            SegmentWriter::begin(&**io, &path, file, header, self.segment_bytes).inspect_err(|error| {
                match error {
                    // Nothing is in it yet. What cannot be unlinked now is set aside at the next start.
                    LogError::Full { .. } => drop(unlink(&**io, &path)),
                    error => self.state.stop(error),
                }
            })?;
        self.next_segment += 1;
        let info = SegmentInfo {
            lane,
            segment: header.number,
            first: header.first,
            last: Lsn(header.first.0 - 1),
            bytes: writer.end,
            created: header.created,
            sealed: false,
        };
        self.state.segments().insert(header.number, info);
        Ok(Active { writer, begun: clock.monotonic(), marked: false })
    }

    /// Nothing came for a while: vouch for the last batch, or complete a segment that has become old.
    fn idle(&mut self) {
        self.finisher.wait();
        let Some(active) = &mut self.active else { return };
        let (number, end) = (active.writer.header.number, active.writer.end + BLOCK);
        let old = self.place.clock.monotonic().saturating_sub(active.begun) >= self.place.segment_age;
        if old || end > self.segment_bytes {
            return self.seal_unless_stopped();
        }
        active.marked = true;
        let durable = self.state.durable();
        let mark = active.writer.head(self.next, durable, Vec::new());
        match active.writer.write(&mark, std::iter::empty()) {
            Ok(()) => {
                let SegmentWriter { file, path, .. } = &active.writer;
                // A failed sync has stopped the lane.
                if sync(&**file, path, &self.state, &self.place).is_ok() {
                    self.state.wrote(number, end, durable, std::iter::empty());
                }
            }
            // A full disk can do without the mark.
            Err(LogError::Full { .. }) => {}
            Err(error) => self.state.stop(&error),
        }
    }

    /// Completes the active segment. Without space for its footer it stays without.
    fn seal_unless_stopped(&mut self) {
        self.finisher.wait();
        if self.state.check_running().is_err() {
            return;
        }
        let Some(active) = self.active.take() else { return };
        let number = active.writer.header.number;
        match active.writer.seal(self.next, &self.place.reserve) {
            Ok(()) => {}
            Err(error @ LogError::Full { .. }) => {
                tracing::warn!(lane = %self.state.id, segment = number, %error, "segment left without a footer");
            }
            Err(error) => self.state.stop(&error),
        }
        if let Some(info) = self.state.segments().get_mut(&number) {
            info.sealed = true;
        }
    }

    fn remove(&mut self, segment: u64) -> Result<(), LogError> {
        let lane = self.state.id;
        let newest = match self.state.segments().get(&segment) {
            None => return Ok(()),
            Some(info) if !info.sealed => return Err(LogError::InUse { lane, segment }),
            Some(_) => segment + 1 == self.next_segment,
        };
        if newest {
            // The newest segment remembers how far the lane's order has come.
            self.room_for(0)?;
        }
        unlink(&*self.place.io, &self.place.layout.segment(lane, segment))?;
        self.state.segments().remove(&segment);
        Ok(())
    }
}

fn make_dir(io: &dyn Io, layout: &Layout, dir: &Path) -> Result<(), LogError> {
    io.create_dir_all(dir).map_err(LogError::io("create", dir))?;
    let log = layout.log();
    io.sync_dir(&log).map_err(LogError::io("sync", &log))
}
