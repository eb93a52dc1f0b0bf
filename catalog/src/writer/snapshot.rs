//! Keeping the control lane short.

use fragment_log::{Entry, LaneId, Lsn};

use super::Writer;
use crate::CatalogError;
use crate::command::Command;
use crate::snapshot::SNAPSHOT;

/// The lane may grow by so much …
const GROWN_BYTES: u64 = 16 * 1024 * 1024;
/// … or by so many times what the last snapshot took, before the next one is written.
const TIMES_ITS_SIZE: u64 = 4;
/// What the lane takes for one append besides its frames, at most.
const APPEND_BYTES: u64 = 4096;
/// Objects of one append: a few megabytes, with as many labels as there may be.
const OBJECTS: usize = 256;

/// How much there is to be gained.
#[derive(Default)]
pub(super) struct Growth {
    /// Bytes of the lane since the last snapshot.
    grown: u64,
    /// Bytes of the last one.
    last: u64,
}

impl Growth {
    /// Of a lane that may hold a snapshot or not.
    pub fn of(lane_bytes: u64) -> Self {
        Self { grown: lane_bytes, last: 0 }
    }

    pub fn add(&mut self, frame_bytes: u64) {
        self.grown += frame_bytes + APPEND_BYTES;
    }

    fn is_due(&self) -> bool {
        self.grown >= GROWN_BYTES.max(self.last * TIMES_ITS_SIZE)
    }
}

impl Writer {
    /// Writes a snapshot where it is worth it.
    pub fn snapshot_when_due(&mut self) {
        if !self.growth.is_due() {
            return;
        }
        if let Err(error) = self.snapshot() {
            tracing::warn!(%error, "the control lane is not shortened; tried again when it has grown");
            self.growth.grown /= 2;
        }
    }

    /// Writes all there is to the control lane, durably, and removes the segments before it.
    pub fn snapshot(&mut self) -> Result<(), CatalogError> {
        let (objects, next_stream) = {
            let state = self.state.read();
            (state.objects().collect::<Vec<_>>(), state.next_stream())
        };
        let mut taken = Growth::default();
        let begin = self.append_snapshot(&[Command::SnapshotBegin], &mut taken)?;
        for some in objects.chunks(OBJECTS) {
            self.append_snapshot(some, &mut taken)?;
        }
        let end = Command::SnapshotEnd { objects: objects.len() as u64, next_stream };
        self.append_snapshot(&[end], &mut taken)?;
        self.growth = Growth { grown: 0, last: taken.grown };
        let segments = self.log.segments();
        let before = segments.iter().filter(|info| info.lane == LaneId::Control && info.sealed);
        for info in before.filter(|info| info.last < begin) {
            self.log.remove_segment(info.lane, info.segment)?;
        }
        tracing::info!(objects = objects.len(), bytes = taken.grown, "snapshot of the control lane");
        Ok(())
    }

    fn append_snapshot(&mut self, commands: &[Command], taken: &mut Growth) -> Result<Lsn, CatalogError> {
        let entry = |command| Entry { flags: SNAPSHOT, ..self.entry(command) };
        let entries = commands.iter().map(entry).collect();
        let appended = self.runtime.block_on(self.log.append(LaneId::Control, entries))?;
        taken.add(appended.bytes);
        Ok(appended.first)
    }
}
