//! Making and deleting delivery streams; writing their checkpoints.

use std::sync::{Arc, PoisonError};

use base::StreamId;

use super::Writer;
use crate::catalog::Checkpoints;
use crate::command::Command;
use crate::delivery::{DeliveryRecord, FIRST_VERSION};
use crate::{CatalogError, Checkpoint, Delivery, DeliveryUpdate, NewDelivery};

/// The destination and the backup among a delivery stream's outlets.
const DESTINATION: u8 = 0;
const BACKUP: u8 = 1;

impl Writer {
    pub fn create_delivery(&mut self, configuration: NewDelivery) -> Result<Arc<Delivery>, CatalogError> {
        let name = configuration.name.clone();
        {
            let state = self.state.read();
            if state.deliveries().contains_key(&name) {
                return Err(CatalogError::DeliveryExists(name));
            }
            if state.deliveries().len() >= self.limits.deliveries {
                return Err(CatalogError::TooManyDeliveries(self.limits.deliveries));
            }
        }
        let id = self.unused_id();
        let (created, version, updated) = (self.clock.now(), FIRST_VERSION, None);
        let record = DeliveryRecord { id, created, version, updated, configuration };
        record.check(self.limits.tags_per_resource)?;
        // Key first: a stream that is listed can be written to.
        self.log.keys().create_stream_key(id)?;
        self.unused_key = Some(id);
        self.commit(&Command::PutDelivery(Box::new(record)))?;
        self.unused_key = None;
        self.live_delivery(id)
    }

    pub fn update_delivery(
        &mut self,
        id: StreamId,
        update: DeliveryUpdate,
    ) -> Result<Arc<Delivery>, CatalogError> {
        let delivery = self.live_delivery(id)?;
        if let DeliveryUpdate::Destination { version, destination } = &update {
            if *version != delivery.version {
                let name = delivery.configuration.name.clone();
                return Err(CatalogError::DeliveryChanged { name, version: delivery.version });
            }
            if destination.outlets() > delivery.outlets() {
                self.begin_backup(&delivery)?;
            }
        }
        let mut record = DeliveryRecord::of(&delivery);
        record.update(update, self.clock.now());
        record.check(self.limits.tags_per_resource)?;
        self.commit(&Command::PutDelivery(Box::new(record)))?;
        self.live_delivery(id)
    }

    /// A backup that comes later begins where the destination stands, not where an earlier one ended.
    fn begin_backup(&mut self, delivery: &Delivery) -> Result<(), CatalogError> {
        let known = self.state.read().checkpoints_of(delivery.id);
        let standing = known.into_iter().filter(|checkpoint| checkpoint.outlet == DESTINATION);
        let begun: Vec<_> = standing.map(|checkpoint| Checkpoint { outlet: BACKUP, ..checkpoint }).collect();
        if begun.is_empty() { Ok(()) } else { self.commit(&Command::PutCheckpoints(begun)) }
    }

    pub fn delete_delivery(&mut self, id: StreamId) -> Result<(), CatalogError> {
        self.live_delivery(id)?;
        self.commit(&Command::DeleteStream(id))?;
        self.destroy_keys()
    }

    /// Commits all that wait, in one command.
    pub fn put_checkpoints(&mut self, waiting: &Checkpoints) -> Result<(), CatalogError> {
        let mut taken = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
        taken.retain(|(delivery, ..), _| self.state.read().delivery(*delivery).is_some());
        if taken.is_empty() {
            return Ok(());
        }
        let committed = self.commit(&Command::PutCheckpoints(taken.values().copied().collect()));
        if committed.is_err() {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // What came since is newer.
            for (key, old) in taken {
                waiting.entry(key).or_insert(old);
            }
        }
        committed
    }

    fn live_delivery(&self, id: StreamId) -> Result<Arc<Delivery>, CatalogError> {
        let delivery = self.state.read().delivery(id).cloned();
        delivery.ok_or_else(|| CatalogError::NoSuchDelivery(format!("with the id {id}")))
    }
}
