//! What exists and who may: video streams, their labels, tags, evidence holds and sources, secrets that hold
//! URLs of cameras, data streams and their consumers, delivery streams and their checkpoints, access keys, device
//! credentials.
//!
//! Everything is a command in the log's control lane. One writer validates a change, appends its
//! command, and answers when the command is durable and applied; followers of the lane keep the
//! state in memory, which every request reads, and a SQLite view of it, which makes a start quick and
//! may be deleted at any time. The lane stays short: once it has grown, a snapshot of the state takes the
//! place of all commands before it.
//!
//! Invariants: the same commands give the same catalog; a name belongs to at most one stream; a
//! stream's id is never used again; whoever reads after a write sees it; a deleted stream's key is
//! destroyed before anyone is told that it is deleted; no label, tag value, source URL, password, token
//! or key stands in a file in the clear, but the root key in `DATA/credentials`.
//!
//! Not promised: that a principal who was found good before a revocation is stopped in what it is
//! doing; sessions that last ask [`Catalog::stands`].

mod access_key;
mod catalog;
mod clock_correction;
mod command;
mod credentials_file;
mod data_stream;
mod data_stream_catalog;
mod delivery;
mod delivery_catalog;
mod device;
mod edge;
mod edge_catalog;
mod error;
mod glob;
mod hold;
mod lane;
mod media_secret;
mod mirror;
mod policy;
mod principal;
mod secret;
mod snapshot;
mod source;
mod state;
mod stream;
mod view;
mod writer;

pub use access_key::AccessKey;
pub use catalog::{Catalog, CatalogOptions};
pub use clock_correction::{ClockCorrection, NewClockCorrection};
pub use command::stream_name;
pub use data_stream::{
    Consumer, DataStream, DataStreamUpdate, FRAGMENTS_PREFIX, NewDataStream, Shard, StreamMode,
};
pub use delivery::{
    BufferHints, Checkpoint, Compression, ContentEncoding, Deliveries, Delivery, DeliveryLogging,
    DeliverySource, DeliveryUpdate, Destination, HttpTarget, NewDelivery, S3Target,
};
pub use device::{Allow, Device, DeviceCredential};
pub use edge::{Edge, EdgeSchedule, NewEdge};
pub use error::CatalogError;
pub use glob::StreamGlob;
pub use hold::{Cleared, Hold, NewHold};
pub use media_secret::MediaSecret;
pub use policy::{Policy, Verdict};
pub use principal::{Action, Principal};
pub use secret::Secret;
pub use source::{NewSource, Source, SourceTransport, Sources};
pub use stream::{MAX_RETENTION, NewStream, Stream, StreamUpdate};
