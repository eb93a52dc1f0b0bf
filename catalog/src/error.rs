//! What can go wrong here.

use std::io;
use std::path::PathBuf;

use base::StreamName;
use fragment_log::LogError;

/// Why the catalog did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The name is taken.
    #[error("a stream named {0} exists")]
    StreamExists(StreamName),
    /// There is no such stream, or no longer.
    #[error("there is no stream {0}")]
    NoSuchStream(String),
    /// The account has as many streams as it may.
    #[error("the account has {0} streams, as many as it may: delete one or raise the limit")]
    TooManyStreams(usize),
    /// Access keys or device credentials that stand are as many as may.
    #[error("{0} credentials stand, as many as may: revoke some")]
    TooManyCredentials(usize),
    /// More labels or tags than a stream may have.
    #[error("a stream has at most {limit} {what}")]
    TooManyTags {
        /// `labels` or `tags`.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The stream was changed since the caller read it.
    #[error("the stream {0} has another version by now: read it again")]
    VersionMismatch(StreamName),
    /// A value that cannot be taken.
    #[error("{what}: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What it has to be.
        why: String,
    },
    /// The hold's id is taken, also by one that was cleared, and says something else.
    #[error("a hold {0} exists or existed on this stream: choose another id")]
    HoldExists(String),
    /// There never was such a hold.
    #[error("there is no hold {0} on this stream")]
    NoSuchHold(String),
    /// As many holds as a stream may have.
    #[error("the stream has {0} holds, as many as it may: clear some, or let one span more time")]
    TooManyHolds(usize),
    /// Evidence holds keep the stream from being deleted.
    #[error("the stream is held as evidence ({0}): clear its holds first")]
    Held(String),
    /// The stream has no source.
    #[error("the stream {0} has no source")]
    NoSuchSource(StreamName),
    /// The stream has no edge configuration.
    #[error("the stream {0} has no edge configuration")]
    NoSuchEdge(StreamName),
    /// There is no such secret, or no longer.
    #[error("there is no secret {0}")]
    NoSuchSecret(String),
    /// An edge configuration names the secret.
    #[error("the secret {name} is named by the edge configuration of the stream {stream}: delete that first")]
    SecretInUse {
        /// The secret's name.
        name: String,
        /// The stream, or one of them.
        stream: StreamName,
    },
    /// As many secrets as there may be.
    #[error("there are {0} secrets, as many as may be: delete some")]
    TooManySecrets(usize),
    /// The access key's id is taken, also by one that was revoked.
    #[error("an access key {0} exists or existed: choose another id")]
    AccessKeyExists(String),
    /// There is no such access key or device credential, or it is revoked already.
    #[error("there is no credential {0} that could be revoked")]
    NoSuchCredential(String),
    /// As many shards as the account may have.
    #[error("{asked} shards beside the {open} there are would be more than the account's {limit}")]
    TooManyShards {
        /// How many there are.
        open: usize,
        /// How many were asked for.
        asked: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The name is taken.
    #[error("a delivery stream named {0} exists")]
    DeliveryExists(StreamName),
    /// A delivery stream was changed since the caller looked.
    #[error("the delivery stream {name} has the version {version} now: describe it, and change that")]
    DeliveryChanged {
        /// Its name.
        name: StreamName,
        /// The version it has.
        version: u64,
    },
    /// There is no such delivery stream, or no longer.
    #[error("there is no delivery stream {0}")]
    NoSuchDelivery(String),
    /// As many delivery streams as the account may have.
    #[error("the account has {0} delivery streams, as many as it may: delete one or raise the limit")]
    TooManyDeliveries(usize),
    /// The stream has a consumer of this name.
    #[error("a consumer {0} is registered on this stream")]
    ConsumerExists(String),
    /// There is no such consumer.
    #[error("there is no consumer {0} on this stream")]
    NoSuchConsumer(String),
    /// As many consumers as a stream may have.
    #[error("the stream has {0} consumers, as many as it may: deregister one")]
    TooManyConsumers(usize),
    /// Consumers keep the stream from being deleted.
    #[error("the stream {0} has registered consumers: deregister them, or enforce their deletion")]
    HasConsumers(StreamName),
    /// The credential does not allow this.
    #[error("{who} may not {what} the stream {stream}")]
    NotAllowed {
        /// The credential: an access key's id or a device's username.
        who: String,
        /// `publish to` or `create`.
        what: &'static str,
        /// The stream.
        stream: StreamName,
    },
    /// A command in the log that this program does not know.
    #[error(
        "the control lane holds a command of version {version}: run the Millrace that wrote it, or newer"
    )]
    CommandVersion {
        /// The version it names.
        version: u32,
    },
    /// A command in the log that cannot be read.
    #[error("a command in the control lane cannot be read: {0}; run `millrace verify`")]
    Command(serde_json::Error),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// SQLite refused.
    #[error("the catalog's view {path}: {source}")]
    View {
        /// The database file.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// The view's file holds something else than was written.
    #[error("the catalog's view {0} is damaged")]
    DamagedView(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The catalog is closed.
    #[error("the catalog is closed")]
    Closed,
}
