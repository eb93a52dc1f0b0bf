//! S3 stores: an object for each shipment, named after the position of its first record.
//!
//! <https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html>

use std::sync::Arc;

use catalog::{BufferHints, Delivery, DeliveryLogging, S3Target};
use futures::future::BoxFuture;

use super::{Destination, Failure, GivingUp, Services, Shipment};
use crate::identity::Identity;
use crate::pack::{Joined, Output, Packer};
use crate::prefix::{Prefix, PrefixError};
use crate::store::{Object, is_gzip, object_name};

/// A bucket of a store.
pub(super) struct S3 {
    delivery: Arc<Delivery>,
    target: S3Target,
    prefix: Prefix,
    services: Arc<Services>,
}

impl S3 {
    pub fn new(
        delivery: &Arc<Delivery>,
        target: S3Target,
        services: Arc<Services>,
    ) -> Result<Self, PrefixError> {
        let prefix = Prefix::of_records(target.prefix.as_deref(), target.error_prefix.as_deref())?;
        Ok(Self { delivery: Arc::clone(delivery), target, prefix, services })
    }
}

impl Destination for S3 {
    fn buffer(&self) -> BufferHints {
        self.target.buffer
    }

    fn logging(&self) -> Option<&DeliveryLogging> {
        self.target.logging.as_ref()
    }

    fn packer(&self, _: &Identity) -> Box<dyn Packer> {
        Box::new(Joined(Output::new(is_gzip(&self.target))))
    }

    fn send<'a>(&'a self, line: &'a Identity, shipment: &'a Shipment) -> BoxFuture<'a, Result<(), Failure>> {
        // Not of the last record: a crash may change how many there are, and the object must replace itself.
        let identity = line.with(&shipment.first.to_be_bytes());
        let prefix = self.prefix.evaluate(shipment.oldest, &identity, "");
        let object = Object {
            key: object_name(prefix, &self.delivery, shipment.oldest, &identity, &self.target),
            body: shipment.body.clone(),
            kms_key_arn: self.target.kms_key_arn.clone(),
        };
        self.services.store.put(self.target.bucket(), object)
    }

    fn giving_up(&self) -> Option<GivingUp<'_>> {
        None
    }
}
