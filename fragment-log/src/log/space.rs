//! What the log does about the space of its disk, and the memory that waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::Log;
use crate::LogError;
use crate::freed::{self, DiskSpace};
use crate::lane::{Lane, LaneId};

impl Log {
    /// Looks at the space of the disk. While less than `reserve` bytes of it are left, appends to all
    /// lanes but the control lane fail with [`LogError::Full`], so that commands, and the footers of
    /// segments, still find room. Should others take that too, a file of space set aside (`log/reserve`) is
    /// given up for these; it is made again here, when there is space beyond `reserve`. Call it every
    /// second or so.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn keep_reserve(&self, reserve: u64) -> Result<DiskSpace, LogError> {
        let space = self.disk_space()?;
        let short = space.available < reserve;
        self.place.reserve.refill(space.available.saturating_sub(reserve))?;
        if self.short.swap(short, Ordering::Relaxed) != short {
            let DiskSpace { available, total } = space;
            if short {
                tracing::error!(available, total, reserve, "the disk is full: no new data is taken");
            } else {
                tracing::info!(available, total, reserve, "the disk has space again: data is taken");
            }
        }
        Ok(space)
    }

    /// The space of the disk under the data folder.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn disk_space(&self) -> Result<DiskSpace, LogError> {
        freed::space(&*self.reader.io, &self.reader.layout.log())
    }

    /// A lane that takes so many bytes now; `None` where that would have to wait.
    pub(crate) fn room_now(
        &self,
        lane: LaneId,
        bytes: usize,
    ) -> Result<Option<(&Lane, OwnedSemaphorePermit)>, LogError> {
        self.check_room(lane)?;
        let lane = &self.lanes[lane.index()];
        lane.state.check_running()?;
        let bytes = u32::try_from(bytes).expect("the limit of one append is below 4 GiB");
        Ok(Arc::clone(&lane.state.budget).try_acquire_many_owned(bytes).ok().map(|permit| (lane, permit)))
    }

    pub(super) fn check_room(&self, lane: LaneId) -> Result<(), LogError> {
        if lane == LaneId::Control || !self.short.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.state(lane).refused();
        Err(LogError::Full { file: self.reader.layout.lane(lane) })
    }
}
