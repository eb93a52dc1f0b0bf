//! Making, changing and deleting streams.

use std::sync::Arc;

use base::StreamId;

use super::Writer;
use crate::command::Command;
use crate::secret::alphanumeric;
use crate::stream::StreamRecord;
use crate::{CatalogError, NewStream, Stream, StreamUpdate};

/// Characters of a stream's version, as AWS makes them.
const VERSION_LEN: usize = 20;

impl Writer {
    pub fn create_stream(&mut self, new: NewStream) -> Result<Arc<Stream>, CatalogError> {
        let id = self.unused_id();
        let name = new.name.clone();
        let record = StreamRecord::new(id, self.new_version(), self.clock.now(), new);
        record.check(self.limits.tags_per_resource)?;
        {
            let state = self.state.read();
            if state.streams().contains_key(&name) {
                return Err(CatalogError::StreamExists(name));
            }
            if state.streams().len() >= self.limits.streams {
                return Err(CatalogError::TooManyStreams(self.limits.streams));
            }
        }
        // Key first: a stream that is listed can be written to.
        self.log.keys().create_stream_key(id)?;
        self.unused_key = Some(id);
        self.commit(&Command::PutStream(record))?;
        self.unused_key = None;
        self.live(id)
    }

    pub fn update_stream(
        &mut self,
        id: StreamId,
        expected_version: Option<&str>,
        update: StreamUpdate,
    ) -> Result<Arc<Stream>, CatalogError> {
        let stream = self.expect(id, expected_version)?;
        let mut record = StreamRecord::of(&stream);
        record.update(update, self.new_version());
        record.check(self.limits.tags_per_resource)?;
        self.commit(&Command::PutStream(record))?;
        self.live(id)
    }

    pub fn delete_stream(
        &mut self,
        id: StreamId,
        expected_version: Option<&str>,
    ) -> Result<(), CatalogError> {
        self.expect(id, expected_version)?;
        self.check_not_held(id)?;
        self.commit(&Command::DeleteStream(id))?;
        self.destroy_keys()
    }

    /// Destroys the keys of all deleted streams that may still have one: after a deletion, and at
    /// start, for a deletion that a crash or a failing disk cut short.
    pub fn destroy_keys(&mut self) -> Result<(), CatalogError> {
        let deleted: Vec<_> = self.state.read().deleted().collect();
        for id in deleted {
            if !self.destroyed.contains(&id) {
                self.log.keys().destroy_stream_key(id)?;
                self.destroyed.push(id);
            }
        }
        Ok(())
    }

    /// The id for a new stream: never one that has a key, unless it was made here for a stream that
    /// then could not be committed. A key tells of an earlier use also where damage has taken the
    /// commands that would.
    pub(super) fn unused_id(&self) -> StreamId {
        let mut id = self.state.read().next_stream();
        while self.unused_key != Some(id) && self.log.keys().has_stream_key(id) {
            id = StreamId(id.0 + 1);
        }
        id
    }

    fn new_version(&self) -> String {
        alphanumeric(self.entropy.as_ref(), VERSION_LEN)
    }

    pub(super) fn live(&self, id: StreamId) -> Result<Arc<Stream>, CatalogError> {
        let stream = self.state.read().stream(id).cloned();
        stream.ok_or_else(|| CatalogError::NoSuchStream(format!("with the id {id}")))
    }

    fn expect(&self, id: StreamId, version: Option<&str>) -> Result<Arc<Stream>, CatalogError> {
        let stream = self.live(id)?;
        match version {
            Some(version) if version != stream.version => {
                Err(CatalogError::VersionMismatch(stream.name.clone()))
            }
            Some(_) | None => Ok(stream),
        }
    }
}
