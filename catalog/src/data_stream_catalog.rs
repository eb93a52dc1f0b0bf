//! The catalog's face: data streams and their consumers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base::{Arn, Page, StreamId, StreamName, Tags};

use crate::{Catalog, CatalogError, Consumer, DataStream, DataStreamUpdate, NewDataStream};

impl Catalog {
    /// The data stream of this name.
    pub fn data_stream(&self, name: &StreamName) -> Option<Arc<DataStream>> {
        self.state.read().data_streams().get(name).cloned()
    }

    /// The data stream with this id; `None` once it is deleted.
    pub fn data_stream_by_id(&self, id: StreamId) -> Option<Arc<DataStream>> {
        self.state.read().data_stream(id).cloned()
    }

    /// The data stream with exactly this ARN.
    pub fn data_stream_by_arn(&self, arn: &Arn) -> Option<Arc<DataStream>> {
        let name = StreamName::new(arn.resource_name("stream")?).ok()?;
        self.data_stream(&name).filter(|stream| stream.arn == *arn)
    }

    /// All data streams by name, as they are now. Cheap, as [`Catalog::streams`] is.
    pub fn data_streams(&self) -> Arc<BTreeMap<StreamName, Arc<DataStream>>> {
        Arc::clone(self.state.read().data_streams())
    }

    /// At most `limit` data streams by name, after the one named `after`.
    pub fn list_data_streams(&self, after: Option<&StreamName>, limit: usize) -> Page<Arc<DataStream>> {
        let streams = self.data_streams();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = streams.range((from, Bound::Unbounded)).map(|(_, stream)| Arc::clone(stream));
        Page::cut(found.take(limit.saturating_add(1)).collect(), limit, |stream| stream.name.to_string())
    }

    /// Makes a data stream and its data key.
    ///
    /// # Errors
    /// [`CatalogError::StreamExists`], [`CatalogError::TooManyStreams`], [`CatalogError::TooManyShards`]
    /// (looked at before a shard is made), [`CatalogError::TooManyTags`], [`CatalogError::Invalid`],
    /// [`CatalogError::Log`].
    pub async fn create_data_stream(&self, new: NewDataStream) -> Result<Arc<DataStream>, CatalogError> {
        self.writer.run(move |writer| writer.create_data_stream(new)).await
    }

    /// Changes a data stream.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::TooManyTags`], [`CatalogError::Invalid`],
    /// [`CatalogError::Log`].
    pub async fn update_data_stream(
        &self,
        id: StreamId,
        update: DataStreamUpdate,
    ) -> Result<Arc<DataStream>, CatalogError> {
        self.writer.run(move |writer| writer.update_data_stream(id, update)).await
    }

    /// Deletes a data stream, its consumers where that is wanted, and destroys its data key.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::HasConsumers`], [`CatalogError::Log`].
    pub async fn delete_data_stream(&self, id: StreamId, with_consumers: bool) -> Result<(), CatalogError> {
        self.writer.run(move |writer| writer.delete_data_stream(id, with_consumers)).await
    }

    /// The consumers of a data stream, or of a video stream's fragments, by name.
    pub fn consumers(&self, stream: StreamId) -> Vec<Arc<Consumer>> {
        self.state.read().consumers(stream)
    }

    /// The consumer of this name.
    pub fn consumer(&self, stream: StreamId, name: &str) -> Option<Arc<Consumer>> {
        self.state.read().consumer(stream, name).cloned()
    }

    /// Registers a consumer.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::ConsumerExists`],
    /// [`CatalogError::TooManyConsumers`], [`CatalogError::TooManyTags`], [`CatalogError::Log`].
    pub async fn register_consumer(
        &self,
        stream: StreamId,
        name: String,
        tags: Tags,
    ) -> Result<Arc<Consumer>, CatalogError> {
        self.writer.run(move |writer| writer.register_consumer(stream, name, tags)).await
    }

    /// Adds tags to a consumer, then removes those of these names.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchConsumer`], [`CatalogError::TooManyTags`], [`CatalogError::Log`].
    pub async fn tag_consumer(
        &self,
        stream: StreamId,
        name: String,
        add: Tags,
        remove: Vec<String>,
    ) -> Result<Arc<Consumer>, CatalogError> {
        self.writer.run(move |writer| writer.tag_consumer(stream, &name, add, &remove)).await
    }

    /// Deregisters a consumer.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchConsumer`], [`CatalogError::Log`].
    pub async fn deregister_consumer(&self, stream: StreamId, name: String) -> Result<(), CatalogError> {
        self.writer.run(move |writer| writer.deregister_consumer(stream, &name)).await
    }
}
