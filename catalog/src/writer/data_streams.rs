//! Making, changing and deleting data streams; registering consumers.

use std::sync::Arc;

use base::{StreamId, Tags};

use super::Writer;
use crate::command::Command;
use crate::data_stream::{DataStreamRecord, FRAGMENTS_PREFIX};
use crate::secret::lower_alphanumeric;
use crate::stream::check_tags;
use crate::{CatalogError, Consumer, DataStream, DataStreamUpdate, NewDataStream};

impl Writer {
    pub fn create_data_stream(&mut self, new: NewDataStream) -> Result<Arc<DataStream>, CatalogError> {
        let name = new.name.clone();
        {
            let state = self.state.read();
            if state.data_streams().contains_key(&name) {
                return Err(CatalogError::StreamExists(name));
            }
            if state.data_streams().len() >= self.limits.streams {
                return Err(CatalogError::TooManyStreams(self.limits.streams));
            }
            let open: usize = state.data_streams().values().map(|stream| stream.shards.len()).sum();
            let asked = usize::try_from(new.shards).unwrap_or(usize::MAX);
            if asked == 0 || open.saturating_add(asked) > self.limits.shards {
                return Err(CatalogError::TooManyShards { open, asked, limit: self.limits.shards });
            }
        }
        let id = self.unused_id();
        let entropy = self.entropy.as_ref();
        let public_id = format!("{}-{}", lower_alphanumeric(entropy, 20), lower_alphanumeric(entropy, 3));
        let record = DataStreamRecord::new(id, public_id, self.clock.now(), new);
        record.check(self.limits.tags_per_resource)?;
        // Key first: a stream that is listed can be written to.
        self.log.keys().create_stream_key(id)?;
        self.unused_key = Some(id);
        self.commit(&Command::PutDataStream(record))?;
        self.unused_key = None;
        self.live_data_stream(id)
    }

    pub fn update_data_stream(
        &mut self,
        id: StreamId,
        update: DataStreamUpdate,
    ) -> Result<Arc<DataStream>, CatalogError> {
        let mut record = DataStreamRecord::of(&*self.live_data_stream(id)?);
        record.update(update);
        record.check(self.limits.tags_per_resource)?;
        self.commit(&Command::PutDataStream(record))?;
        self.live_data_stream(id)
    }

    pub fn delete_data_stream(&mut self, id: StreamId, with_consumers: bool) -> Result<(), CatalogError> {
        let stream = self.live_data_stream(id)?;
        if !with_consumers && !self.state.read().consumers(id).is_empty() {
            return Err(CatalogError::HasConsumers(stream.name.clone()));
        }
        self.commit(&Command::DeleteStream(id))?;
        self.destroy_keys()
    }

    pub fn register_consumer(
        &mut self,
        stream: StreamId,
        name: String,
        tags: Tags,
    ) -> Result<Arc<Consumer>, CatalogError> {
        self.check_consumed(stream)?;
        check_tags("tags", &tags, self.limits.tags_per_resource)?;
        let known = self.state.read().consumers(stream);
        if known.iter().any(|consumer| consumer.name == name) {
            return Err(CatalogError::ConsumerExists(name));
        }
        if known.len() >= self.limits.consumers {
            return Err(CatalogError::TooManyConsumers(self.limits.consumers));
        }
        let consumer = Consumer { stream, name: name.clone(), created: self.clock.now(), tags };
        self.commit(&Command::PutConsumer(consumer))?;
        self.live_consumer(stream, &name)
    }

    pub fn tag_consumer(
        &mut self,
        stream: StreamId,
        name: &str,
        add: Tags,
        remove: &[String],
    ) -> Result<Arc<Consumer>, CatalogError> {
        let mut consumer = self.live_consumer(stream, name)?.as_ref().clone();
        consumer.tags.extend(add);
        consumer.tags.retain(|tag, _| !remove.contains(tag));
        check_tags("tags", &consumer.tags, self.limits.tags_per_resource)?;
        self.commit(&Command::PutConsumer(consumer))?;
        self.live_consumer(stream, name)
    }

    pub fn deregister_consumer(&mut self, stream: StreamId, name: &str) -> Result<(), CatalogError> {
        self.live_consumer(stream, name)?;
        self.commit(&Command::DeleteConsumer { stream, name: name.to_owned() })
    }

    fn live_consumer(&self, stream: StreamId, name: &str) -> Result<Arc<Consumer>, CatalogError> {
        let found = self.state.read().consumer(stream, name).cloned();
        found.ok_or_else(|| CatalogError::NoSuchConsumer(name.to_owned()))
    }

    fn live_data_stream(&self, id: StreamId) -> Result<Arc<DataStream>, CatalogError> {
        let stream = self.state.read().data_stream(id).cloned();
        stream.ok_or_else(|| CatalogError::NoSuchStream(format!("with the id {id}")))
    }

    /// A data stream, or a video stream, whose fragments are consumed.
    fn check_consumed(&self, id: StreamId) -> Result<(), CatalogError> {
        let state = self.state.read();
        if state.data_stream(id).is_some() || state.stream(id).is_some() {
            return Ok(());
        }
        Err(CatalogError::NoSuchStream(format!(
            "with the id {id}, nor a video stream for {FRAGMENTS_PREFIX}"
        )))
    }
}
