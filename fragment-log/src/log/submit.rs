//! Appending in two steps, for producers that number their entries in the lane's order.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Log;
use crate::entry::sealed_bytes;
use crate::lane::Submitted;
use crate::{Entry, LaneId, LogError};

/// A lane's promise to take so many bytes. Dropping it gives them back.
pub struct Room {
    lane: LaneId,
    bytes: u32,
    permit: OwnedSemaphorePermit,
}

impl Log {
    /// Waits until the entries may be handed to the lane with [`Self::submit`]. For producers that number their
    /// entries in the lane's order: they wait here, and number and submit at one stroke.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn reserve(&self, lane: LaneId, entries: &[Entry]) -> Result<Room, LogError> {
        self.check_room(lane)?;
        let state = self.state(lane);
        state.check_running()?;
        let bytes = sealed_bytes(entries)?;
        let budget = Arc::clone(&state.budget);
        let permit = budget.acquire_many_owned(bytes).await.expect("nobody closes the budget");
        Ok(Room { lane, bytes, permit })
    }

    /// Seals the entries and hands them to the lane before it returns: two calls, one after the other, are in
    /// this order in the log. Does not wait. The entries may differ from those that the room was reserved for
    /// in all but their size.
    ///
    /// # Errors
    /// As [`Self::append`]; [`LogError::TooLarge`] also where the entries are larger than the room.
    pub fn submit(&self, room: Room, entries: Vec<Entry>) -> Result<Submitted, LogError> {
        let (size, limit) = (sealed_bytes(&entries)?, room.bytes);
        if size > limit {
            let (size, limit) = (size as usize, limit as usize);
            return Err(LogError::TooLarge { size, unit: "bytes beyond what was reserved", limit });
        }
        let frames = entries.into_iter().map(|entry| self.seal.seal(entry)).collect::<Result<_, _>>()?;
        self.lanes[room.lane.index()].append(frames, room.permit)
    }
}
