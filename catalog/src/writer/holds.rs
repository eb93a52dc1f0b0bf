//! Setting and clearing evidence holds.

use std::sync::Arc;

use base::StreamId;

use super::Writer;
use crate::command::Command;
use crate::hold::{MAX_HOLDS, MAX_STANDING};
use crate::{CatalogError, Cleared, Hold, NewHold};

impl Writer {
    pub fn set_hold(
        &mut self,
        stream: StreamId,
        new: NewHold,
        by: String,
    ) -> Result<Arc<Hold>, CatalogError> {
        new.check()?;
        self.live(stream)?;
        let holds = self.state.read().holds(stream);
        match holds.iter().find(|hold| hold.id == new.id) {
            // Asked again by someone who missed the answer.
            Some(same) if same.stands() && same.is(&new) => return Ok(Arc::clone(same)),
            Some(_) => return Err(CatalogError::HoldExists(new.id)),
            None => {}
        }
        for (count, most) in
            [(holds.len(), MAX_HOLDS), (holds.iter().filter(|hold| hold.stands()).count(), MAX_STANDING)]
        {
            if count >= most {
                return Err(CatalogError::TooManyHolds(most));
            }
        }
        self.put_hold(new.set(stream, by, self.clock.now()))
    }

    pub fn clear_hold(&mut self, stream: StreamId, id: &str, by: String) -> Result<Arc<Hold>, CatalogError> {
        let holds = self.state.read().holds(stream);
        let absent = || CatalogError::NoSuchHold(id.to_owned());
        let hold = holds.iter().find(|hold| hold.id == id).ok_or_else(absent)?;
        if !hold.stands() {
            return Ok(Arc::clone(hold));
        }
        let cleared = Some(Cleared { by, at: self.clock.now() });
        self.put_hold(Hold { cleared, ..hold.as_ref().clone() })
    }

    fn put_hold(&mut self, hold: Hold) -> Result<Arc<Hold>, CatalogError> {
        self.commit(&Command::PutHold(hold.clone()))?;
        tracing::info!(
            target: "audit",
            stream = %hold.stream, hold = hold.id, set_by = hold.set_by,
            cleared_by = hold.cleared.as_ref().map(|cleared| cleared.by.as_str()),
            "evidence hold"
        );
        Ok(Arc::new(hold))
    }

    /// Refuses while a hold stands on the stream.
    pub fn check_not_held(&self, stream: StreamId) -> Result<(), CatalogError> {
        let holds = self.state.read().holds(stream);
        let standing: Vec<_> =
            holds.iter().filter(|hold| hold.stands()).map(|hold| hold.id.as_str()).collect();
        if standing.is_empty() { Ok(()) } else { Err(CatalogError::Held(standing.join(", "))) }
    }
}
