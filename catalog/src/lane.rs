//! From the control lane to the state: what the view has, then what the log has beyond it, then
//! whatever becomes durable.

use std::path::Path;
use std::sync::Arc;

use fragment_log::{Durable, Follower, FrameKind, LaneId, Log, Lsn};

use crate::CatalogError;
use crate::command::Command;
use crate::mirror::Bell;
use crate::snapshot::{Reading, SNAPSHOT};
use crate::state::{SharedState, State};
use crate::view::View;

/// The view, and the state as it knows it: as it was, or empty where it cannot be used.
pub(crate) fn load(log: &Log, dir: &Path, mut state: State) -> Result<(View, State), CatalogError> {
    let view = View::open(dir)?;
    match view.load(log.keys()) {
        // A view ahead of the log is of another one: of a log that was put back from a backup.
        Some(contents) if Lsn(contents.progress.applied_lsn) <= log.durable(LaneId::Control) => {
            state.restore(contents);
            Ok((view, state))
        }
        Some(_) | None => {
            drop(view);
            Ok((View::create(dir)?, state))
        }
    }
}

/// Applies the commands that the state lacks.
pub(crate) fn replay(log: &Log, state: &mut State) -> Result<(), CatalogError> {
    let from = state.applied().map_or(Lsn(0), |Lsn(applied)| Lsn(applied.saturating_add(1)));
    let (mut reading, mut failed) = (Reading::default(), None);
    log.replay(LaneId::Control, from, &mut |frame| {
        if failed.is_none() {
            match decode(&frame) {
                Some(Ok(command)) => reading.take(state, (frame.lsn, frame.header.flags), command),
                Some(Err(error)) => failed = Some(error),
                None => {}
            }
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), Err)
}

/// The command in a frame; nothing in one of another kind.
fn decode(frame: &Durable) -> Option<Result<Command, CatalogError>> {
    match (frame.header.kind, &frame.payload) {
        (FrameKind::Command, Some(payload)) => Some(Command::decode(payload)),
        (FrameKind::Command, None) => None,
        (
            FrameKind::Media
            | FrameKind::FragmentMeta
            | FrameKind::Records
            | FrameKind::FragmentPart
            | FrameKind::Event,
            _,
        ) => None,
    }
}

/// Applies what becomes durable. Holds no log, so that the log can hold it.
pub(crate) struct Applier {
    state: Arc<SharedState>,
    bell: Bell,
}

impl Applier {
    pub fn new(state: Arc<SharedState>, bell: Bell) -> Self {
        Self { state, bell }
    }
}

impl Follower for Applier {
    fn durable(&self, lane: LaneId, frames: &[Durable]) {
        if lane != LaneId::Control {
            return;
        }
        let mut state = self.state.write();
        for frame in frames {
            match decode(frame) {
                _ if frame.header.flags & SNAPSHOT != 0 => state.pass(frame.lsn),
                Some(Ok(command)) => state.apply(frame.lsn, command),
                Some(Err(error)) => tracing::error!(lsn = frame.lsn.0, %error, "command not applied"),
                None => {}
            }
        }
        drop(state);
        self.bell.ring();
    }
}
