//! Delivery streams: records out of the log, to S3 stores and HTTP endpoints.
//!
//! The log is the buffer. A delivery stream's *outlets* (its destination, and a backup of all records where one
//! is configured) each follow each shard of its source by themselves: a *line*. A line waits until enough has
//! gathered or has waited long enough, reads it, packs it, sends it, and makes a checkpoint durable. Nothing is
//! held in memory while it waits.
//!
//! Invariants: a checkpoint never passes a record that was neither delivered nor stored as failed, but for those
//! that expired, which is told; an object's name follows from the delivery stream and the position of its first
//! record, so that what a crash repeats replaces itself and S3 has every record once; memory for what is being
//! sent is bounded for all delivery streams together.
//!
//! Not promised: that an HTTP endpoint gets a record only once; order between shards.

mod deliveries;
pub mod destination;
mod identity;
mod line;
mod pack;
mod pattern;
mod prefix;
mod room;
mod source;
mod status;
mod store;

pub use deliveries::{Deliveries, Options};
pub use destination::Failure;
pub use destination::http_endpoint::{ANSWER, check_answer};
pub use prefix::{Prefix, PrefixError};
pub use source::{SourceError, SourceStream, Streams};
pub use status::{LastError, OutletStatus};
#[cfg(feature = "s3")]
pub use store::s3::S3Store;
pub use store::{Object, ObjectStore, StoreCredentials, StoreSettings};
