//! The catalog's face: delivery streams and their checkpoints.

use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use base::{Page, StreamId, StreamName, Timestamp};
use tokio::sync::watch;

use crate::{Catalog, CatalogError, Checkpoint, Deliveries, Delivery, DeliveryUpdate, NewDelivery};

impl Catalog {
    /// The delivery stream of this name.
    pub fn delivery(&self, name: &StreamName) -> Option<Arc<Delivery>> {
        self.state.read().deliveries().get(name).cloned()
    }

    /// The delivery stream with this id; `None` once it is deleted.
    pub fn delivery_by_id(&self, id: StreamId) -> Option<Arc<Delivery>> {
        self.state.read().delivery(id).cloned()
    }

    /// All delivery streams, and a notice of every change.
    pub fn deliveries(&self) -> watch::Receiver<Deliveries> {
        self.state.read().watch_deliveries()
    }

    /// At most `limit` delivery streams by name, after the one named `after`, of those that `wanted` takes.
    pub fn list_deliveries(
        &self,
        after: Option<&StreamName>,
        limit: usize,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Page<Arc<Delivery>> {
        let deliveries = Arc::clone(&self.state.read().deliveries());
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = deliveries.range::<StreamName, _>((from, Bound::Unbounded));
        let found = found.map(|(_, delivery)| Arc::clone(delivery)).filter(|delivery| wanted(delivery));
        Page::cut(found.take(limit.saturating_add(1)).collect(), limit, |delivery| {
            delivery.configuration.name.to_string()
        })
    }

    /// Makes a delivery stream and the key of the records that are put to it.
    ///
    /// # Errors
    /// [`CatalogError::DeliveryExists`], [`CatalogError::TooManyDeliveries`], [`CatalogError::TooManyTags`],
    /// [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn create_delivery(&self, new: NewDelivery) -> Result<Arc<Delivery>, CatalogError> {
        self.writer.run(move |writer| writer.create_delivery(new)).await
    }

    /// Changes a delivery stream. Where it goes on is the same: a backup that is new begins where the destination
    /// stands.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchDelivery`]; [`CatalogError::DeliveryChanged`] where the version is another one;
    /// [`CatalogError::TooManyTags`], [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn update_delivery(
        &self,
        id: StreamId,
        update: DeliveryUpdate,
    ) -> Result<Arc<Delivery>, CatalogError> {
        self.writer.run(move |writer| writer.update_delivery(id, update)).await
    }

    /// Deletes a delivery stream and its checkpoints, and destroys the key of the records that were put to it:
    /// those that are not delivered are lost.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchDelivery`], [`CatalogError::Log`].
    pub async fn delete_delivery(&self, id: StreamId) -> Result<(), CatalogError> {
        self.writer.run(move |writer| writer.delete_delivery(id)).await
    }

    /// How far an outlet has delivered a shard.
    pub fn checkpoint(&self, delivery: StreamId, outlet: u8, shard: u32) -> Option<Checkpoint> {
        self.state.read().checkpoint(delivery, outlet, shard)
    }

    /// Remembers how far an outlet has delivered a shard; resolves when that is durable. Those of many
    /// deliveries that come at the same time share one command and its sync. One of a delivery stream that was
    /// deleted is passed over.
    ///
    /// # Errors
    /// [`CatalogError::Log`]: the checkpoint may come to be in force later.
    pub async fn set_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), CatalogError> {
        let Checkpoint { delivery, outlet, shard, .. } = checkpoint;
        {
            let mut waiting = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert((delivery, outlet, shard), checkpoint);
        }
        let waiting = Arc::clone(&self.checkpoints);
        // Whoever comes first takes all that wait along; for the others nothing is left to do.
        self.writer.run(move |writer| writer.put_checkpoints(&waiting)).await
    }

    /// From when on the records of a stream are kept: those of a data stream for its retention, those that
    /// were put to a delivery stream until they are delivered everywhere, at most for a day. `None` for what is
    /// neither, or deleted.
    pub fn records_kept_since(&self, id: StreamId, now: Timestamp) -> Option<Timestamp> {
        let state = self.state.read();
        if let Some(stream) = state.data_stream(id) {
            return Some(now - stream.retention);
        }
        let delivery = state.delivery(id)?;
        let delivered = (0..delivery.outlets())
            .map(|outlet| state.checkpoint(id, outlet, 0).map(|checkpoint| checkpoint.arrived))
            .min()
            .flatten();
        let horizon = now - delivery.records().retention;
        Some(delivered.map_or(horizon, |delivered| delivered.max(horizon)))
    }
}
