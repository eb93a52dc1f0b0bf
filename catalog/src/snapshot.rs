//! The control lane from its middle: a snapshot says what all commands before it amount to, so that their
//! segments may go.
//!
//! ```text
//! … commands …  snapshot_begin  put_stream put_hold … one command for every object  snapshot_end  … commands …
//! ```
//!
//! Its frames carry a flag, and count for nothing until their end has come: a snapshot that a crash has cut
//! short is passed over, and the commands before it, which are still there, are what counts. Nothing is
//! removed before the end is durable. In a running program a snapshot changes nothing.

use fragment_log::Lsn;

use crate::command::Command;
use crate::state::State;

/// The flag of frames that belong to a snapshot.
pub(crate) const SNAPSHOT: u8 = 1;

/// The snapshot that is being read, as far as it has come.
#[derive(Default)]
pub(crate) struct Reading(Option<Vec<Command>>);

impl Reading {
    /// Takes the next command of the lane into the state.
    pub fn take(&mut self, state: &mut State, (lsn, flags): (Lsn, u8), command: Command) {
        if flags & SNAPSHOT == 0 {
            return state.apply(lsn, command);
        }
        match command {
            Command::SnapshotBegin => self.0 = Some(Vec::new()),
            Command::SnapshotEnd { objects, next_stream } => {
                if let Some(found) = self.0.take() {
                    if found.len() as u64 == objects {
                        state.become_as(found, next_stream);
                    } else {
                        let lost = objects.saturating_sub(found.len() as u64);
                        tracing::error!(lsn = lsn.0, lost, "objects of a snapshot are damaged");
                        found.into_iter().for_each(|object| state.apply(lsn, object));
                    }
                }
            }
            object => {
                if let Some(found) = &mut self.0 {
                    found.push(object);
                }
            }
        }
        state.pass(lsn);
    }
}
