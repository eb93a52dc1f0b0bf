//! Setting and removing the sources of streams.

use std::sync::Arc;

use base::StreamId;

use super::Writer;
use crate::command::Command;
use crate::{CatalogError, NewSource, Source};

impl Writer {
    /// The same source again changes nothing, so that whoever pulls from it goes on.
    pub fn set_source(&mut self, stream: StreamId, new: NewSource) -> Result<Arc<Source>, CatalogError> {
        new.check()?;
        self.live(stream)?;
        let known = self.state.read().source(stream);
        if let Some(same) = known.filter(|known| known.is(&new)) {
            return Ok(same);
        }
        let source = new.set(stream, self.clock.now());
        self.commit(&Command::PutSource(source.clone()))?;
        Ok(Arc::new(source))
    }

    pub fn remove_source(&mut self, stream: StreamId) -> Result<(), CatalogError> {
        let name = self.live(stream)?.name.clone();
        if self.state.read().source(stream).is_none() {
            return Err(CatalogError::NoSuchSource(name));
        }
        self.commit(&Command::DeleteSource(stream))
    }
}
