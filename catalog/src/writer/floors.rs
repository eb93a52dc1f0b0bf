//! What was given up of streams, so that it does not come back.

use base::{FragmentNumber, StreamId};

use super::Writer;
use crate::CatalogError;
use crate::command::Command;

impl Writer {
    pub fn raise_floors(&mut self, floors: Vec<(StreamId, FragmentNumber)>) -> Result<(), CatalogError> {
        let known: Vec<_> = {
            let state = self.state.read();
            floors.into_iter().filter(|(stream, _)| state.stream(*stream).is_some()).collect()
        };
        if known.is_empty() { Ok(()) } else { self.commit(&Command::RaiseFloors(known)) }
    }
}
