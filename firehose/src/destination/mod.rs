//! Where records go: one file for each kind of destination, and its line in [`of_outlet`].

pub(crate) mod http_endpoint;
mod s3;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use bytes::Bytes;
use catalog::{BufferHints, Delivery, DeliveryLogging, Destination as Configured, S3Target};
use futures::future::BoxFuture;
use outbound::Client;

use crate::identity::Identity;
use crate::pack::Packer;
use crate::store::ObjectStore;

/// The number of the destination among the outlets; the other one is the backup.
const DESTINATION: u8 = 0;

/// Records of one shard that are delivered at once.
pub struct Shipment {
    /// The index of the first.
    pub first: u64,
    /// The index of the last.
    pub last: u64,
    /// When the first arrived.
    pub oldest: Timestamp,
    /// When the last arrived.
    pub newest: Timestamp,
    /// How many.
    pub records: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// What the destination's packer made of them.
    pub body: Bytes,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As AWS names it in failed records and logs: `HttpEndpoint.DestinationException`.
    pub code: &'static str,
    /// For people: what happened and what to do; never holds a secret.
    pub text: String,
    /// Whether another attempt would fail, too.
    pub is_final: bool,
}

/// Where one outlet delivers to.
pub trait Destination: Send + Sync {
    /// How much is gathered for one shipment.
    fn buffer(&self) -> BufferHints;

    /// Where failures are to be told, beside the server's log.
    fn logging(&self) -> Option<&DeliveryLogging>;

    /// What packs the next shipment of the line that has this identity.
    fn packer(&self, line: &Identity) -> Box<dyn Packer>;

    /// One attempt. The same shipment again must do no harm.
    fn send<'a>(&'a self, line: &'a Identity, shipment: &'a Shipment) -> BoxFuture<'a, Result<(), Failure>>;

    /// What becomes of records that are not taken; nothing where they are tried for as long as they are kept.
    fn giving_up(&self) -> Option<GivingUp<'_>>;
}

/// After so long, records that are not taken go to the error prefix of an S3 store.
pub struct GivingUp<'a> {
    /// Since the first attempt.
    pub after: Duration,
    /// `http-endpoint-failed`
    pub error_type: &'static str,
    /// Where they go.
    pub target: &'a S3Target,
}

/// What destinations need of the server.
pub(crate) struct Services {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn ObjectStore>,
    pub client: Client,
}

/// Where an outlet of a delivery stream delivers to.
///
/// # Errors
/// Why it cannot be: what was configured is not understood any more.
pub(crate) fn of_outlet(
    delivery: &Arc<Delivery>,
    outlet: u8,
    services: &Arc<Services>,
) -> Result<Arc<dyn Destination>, String> {
    let s3 = |target: &S3Target| -> Result<Arc<dyn Destination>, String> {
        let opened = s3::S3::new(delivery, target.clone(), Arc::clone(services));
        opened.map(|s3| Arc::new(s3) as _).map_err(|error| error.to_string())
    };
    match &delivery.configuration.destination {
        Configured::S3 { target, backup } => {
            s3(if outlet == DESTINATION { target } else { backup.as_ref().unwrap_or(target) })
        }
        Configured::Http(target) if outlet == DESTINATION => {
            let opened = http_endpoint::HttpEndpoint::new(delivery, target, Arc::clone(services));
            opened.map(|http| Arc::new(http) as _)
        }
        Configured::Http(target) => s3(&target.backup),
    }
}
