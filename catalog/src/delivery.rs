//! Delivery streams: where records come from, where they go, and how far that has come.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Arn, StreamId, StreamName, Tags, Timestamp};
use serde::{Deserialize, Serialize};

use crate::stream::check_tags;
use crate::{CatalogError, DataStream, Secret, Shard, StreamMode};

/// Characters of a delivery stream's name (CreateDeliveryStream).
const NAME_LEN: usize = 64;
/// Records that were put and could not be delivered are kept so long.
const KEPT: Duration = Duration::from_hours(24);
/// The largest record of a stream in KiB: all that PutRecord takes is below.
const RECORD_KIB: u32 = 1024;
/// The version of a delivery stream that was not changed.
pub(crate) const FIRST_VERSION: u64 = 1;

/// Every delivery stream, by its name.
pub type Deliveries = Arc<BTreeMap<StreamName, Arc<Delivery>>>;

/// A delivery stream, as it stood when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number in the log and the key table; all kinds of streams are numbered in one row.
    pub id: StreamId,
    /// `arn:aws:firehose:REGION:ACCOUNT:deliverystream/NAME`.
    pub arn: Arn,
    /// When it was made.
    pub created: Timestamp,
    /// Rises with every change of the destination, from 1 on (`DeliveryStreamVersionId`).
    pub version: u64,
    /// When the destination was changed last.
    pub updated: Option<Timestamp>,
    /// What was asked for.
    pub configuration: NewDelivery,
}

/// A change of a delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryUpdate {
    /// UpdateDestination.
    Destination {
        /// The version that is changed.
        version: u64,
        /// Where records go from then on.
        destination: Box<Destination>,
    },
    /// StartDeliveryStreamEncryption, StopDeliveryStreamEncryption.
    Encrypted(bool),
    /// Adds tags and replaces values of those that are there.
    AddTags(Tags),
    /// Removes the tags of these names, if they are there.
    RemoveTags(Vec<String>),
}

/// A delivery stream to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDelivery {
    /// Unique among the delivery streams that exist.
    pub name: StreamName,
    /// Where records come from.
    pub source: DeliverySource,
    /// Where they go.
    pub destination: Destination,
    /// Whether the owner asked for encryption; records are sealed either way.
    pub encrypted: bool,
    /// Resource tags.
    pub tags: Tags,
}

/// Where the records of a delivery stream come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeliverySource {
    /// PutRecord and PutRecordBatch.
    DirectPut {
        /// MB/s that the owner expects; here it limits nothing.
        throughput_hint: Option<u32>,
    },
    /// A data stream, or a video stream's fragments.
    Stream {
        /// The stream's ARN.
        arn: String,
        /// Checked for its form only.
        role_arn: String,
        /// The number of the stream that had this ARN when the delivery stream was made.
        stream: StreamId,
        /// Of its shards at that time, by number: the index of the first record to deliver.
        start: BTreeMap<u32, u64>,
    },
}

/// Where a delivery stream's records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Destination {
    /// Objects in an S3 store.
    S3 {
        /// Of the records.
        target: S3Target,
        /// Of a second copy (S3BackupMode `Enabled`).
        backup: Option<S3Target>,
    },
    /// Requests to an HTTP endpoint.
    Http(HttpTarget),
}

/// `S3DestinationConfiguration`, `ExtendedS3DestinationConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Target {
    /// Checked for its form only.
    pub role_arn: String,
    /// `arn:aws:s3:::BUCKET`.
    pub bucket_arn: String,
    /// What object names begin with, expressions included.
    pub prefix: Option<String>,
    /// What the names of objects with failed records begin with.
    pub error_prefix: Option<String>,
    /// How much is gathered for one object.
    pub buffer: BufferHints,
    /// What objects are compressed with.
    pub compression: Compression,
    /// The key that the store is told to encrypt with.
    pub kms_key_arn: Option<String>,
    /// Where failures are to be told.
    pub logging: Option<DeliveryLogging>,
    /// What object names end with, instead of what the compression says.
    pub file_extension: Option<String>,
    /// The time zone of dates in names, which is UTC under any of its names.
    pub time_zone: Option<String>,
}

impl S3Target {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        self.bucket_arn.rsplit(':').next().unwrap_or_default()
    }
}

/// `HttpEndpointDestinationConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Where requests go: it may hold a token.
    pub url: Secret,
    /// What people call it.
    pub name: Option<String>,
    /// Sent with every request.
    pub access_key: Option<Secret>,
    /// How much is gathered for one request.
    pub buffer: BufferHints,
    /// Where failures are to be told.
    pub logging: Option<DeliveryLogging>,
    /// The encoding of requests, where one was asked for.
    pub encoding: Option<ContentEncoding>,
    /// Names and values that are sent with every request.
    pub attributes: Vec<(String, Secret)>,
    /// Checked for its form only.
    pub role_arn: Option<String>,
    /// How long a request is tried again, in seconds.
    pub retry_secs: u32,
    /// Whether all records go to `backup`, and not only those that the endpoint did not take.
    pub all_data: bool,
    /// Where those go.
    pub backup: S3Target,
}

/// Whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferHints {
    /// MiB of records before compression.
    pub size_mib: u32,
    /// Seconds since the first record arrived; 0 for as soon as possible.
    pub interval_secs: u32,
}

/// `CompressionFormat`, as far as it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Records as they are.
    Uncompressed,
    /// gzip (RFC 1952).
    Gzip,
}

/// `ContentEncoding` of requests to an HTTP endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentEncoding {
    /// As it is.
    None,
    /// gzip (RFC 1952).
    Gzip,
}

/// `CloudWatchLoggingOptions`: names the lines that failures get in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryLogging {
    /// Whether failures are told under these names.
    pub enabled: bool,
    /// A name.
    pub group: Option<String>,
    /// A name within the group.
    pub stream: Option<String>,
}

/// How far one outlet of a delivery stream has delivered one shard of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The delivery stream.
    pub delivery: StreamId,
    /// 0 for the destination, 1 for the backup.
    pub outlet: u8,
    /// The stream that the shard is of.
    pub source: StreamId,
    /// The shard's number.
    pub shard: u32,
    /// The index of the next record to deliver.
    pub next: u64,
    /// When the last delivered record arrived.
    pub arrived: Timestamp,
}

impl Delivery {
    /// The stream that records are put to where there is no other source: one shard, kept for a day. It is no
    /// data stream of the account.
    pub fn records(&self) -> DataStream {
        DataStream {
            id: self.id,
            name: self.configuration.name.clone(),
            arn: self.arn.clone(),
            public_id: String::new(),
            created: self.created,
            retention: KEPT,
            mode: StreamMode::Provisioned,
            shards: vec![Shard { id: 0, created: self.created, start: 0, end: u128::MAX }],
            tags: Tags::new(),
            max_record_kib: RECORD_KIB,
        }
    }

    /// How many outlets it has: the destination, and a backup of all records where one is configured.
    pub fn outlets(&self) -> u8 {
        self.configuration.destination.outlets()
    }
}

impl Destination {
    /// How many outlets it makes: itself, and a backup of all records where one is configured.
    pub(crate) fn outlets(&self) -> u8 {
        match self {
            Self::S3 { backup: Some(_), .. } => 2,
            Self::Http(target) if target.all_data => 2,
            Self::S3 { .. } | Self::Http(_) => 1,
        }
    }
}

/// What the log and the view keep of a delivery stream: everything but its ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryRecord {
    pub id: StreamId,
    pub created: Timestamp,
    #[serde(default = "first_version")]
    pub version: u64,
    #[serde(default)]
    pub updated: Option<Timestamp>,
    pub configuration: NewDelivery,
}

/// Of delivery streams that were written before there were others.
fn first_version() -> u64 {
    FIRST_VERSION
}

impl DeliveryRecord {
    pub fn of(delivery: &Delivery) -> Self {
        let Delivery { id, created, version, updated, configuration, .. } = delivery;
        let (id, created, version, updated) = (*id, *created, *version, *updated);
        Self { id, created, version, updated, configuration: configuration.clone() }
    }

    /// Changes it; the version was compared.
    pub fn update(&mut self, update: DeliveryUpdate, now: Timestamp) {
        let configuration = &mut self.configuration;
        match update {
            DeliveryUpdate::Destination { destination, .. } => {
                configuration.destination = *destination;
                (self.version, self.updated) = (self.version.saturating_add(1), Some(now));
            }
            DeliveryUpdate::Encrypted(encrypted) => configuration.encrypted = encrypted,
            DeliveryUpdate::AddTags(tags) => configuration.tags.extend(tags),
            DeliveryUpdate::RemoveTags(names) => {
                configuration.tags.retain(|name, _| !names.contains(name));
            }
        }
    }

    pub fn into_delivery(self, account: &str, region: &str) -> Delivery {
        let Self { id, created, version, updated, configuration } = self;
        let resource = format!("deliverystream/{}", configuration.name);
        let arn = Arn::new("firehose", region, account, resource);
        Delivery { id, arn, created, version, updated, configuration }
    }

    /// Whether everything is within its limits.
    pub fn check(&self, max_tags: usize) -> Result<(), CatalogError> {
        if self.configuration.name.as_str().len() > NAME_LEN {
            return Err(CatalogError::Invalid {
                what: "delivery stream name",
                why: format!("at most {NAME_LEN} characters"),
            });
        }
        check_tags("tags", &self.configuration.tags, max_tags)
    }
}
