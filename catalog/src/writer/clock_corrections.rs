//! Noting corrections of clocks.

use std::sync::Arc;

use base::StreamId;

use super::Writer;
use crate::command::Command;
use crate::{CatalogError, ClockCorrection, NewClockCorrection};

impl Writer {
    pub fn correct_clock(
        &mut self,
        stream: StreamId,
        new: NewClockCorrection,
        set_by: String,
    ) -> Result<Arc<ClockCorrection>, CatalogError> {
        new.check()?;
        let name = self.live(stream)?.name.clone();
        let NewClockCorrection { run, delta_ms, reason } = new;
        let correction = ClockCorrection { stream, run, delta_ms, reason, set_by, set: self.clock.now() };
        self.commit(&Command::PutClockCorrection(correction.clone()))?;
        tracing::info!(
            target: "audit",
            stream = %name, run = %run.0, delta_ms, set_by = correction.set_by,
            "clock correction"
        );
        Ok(Arc::new(correction))
    }
}
