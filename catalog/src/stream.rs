//! Video streams: what is kept about each, and what may be written.

use std::time::Duration;

use base::{Arn, StreamId, StreamName, Tags, Timestamp, TimestampSource};
use serde::{Deserialize, Serialize};

use crate::CatalogError;

/// The longest retention: 87,600 hours (UpdateDataRetention).
pub const MAX_RETENTION: Duration = Duration::from_hours(87_600);
/// Bytes of a label's or tag's name.
const NAME_BYTES: usize = 128;
/// Bytes of a label's or tag's value.
const VALUE_BYTES: usize = 256;
/// Bytes of a device name or media type (CreateStream).
const FIELD_BYTES: usize = 128;
/// Bytes of a KMS key's id (CreateStream).
const KMS_KEY_BYTES: usize = 2048;

/// A video stream, as it stood when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its number in the log, the key table and the indexes. Never reused.
    pub id: StreamId,
    /// Unique among the streams that exist.
    pub name: StreamName,
    /// `arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATION_EPOCH_MS`, of the account and region
    /// that this process was started with.
    pub arn: Arn,
    /// 20 letters and digits that change with every change to the stream.
    pub version: String,
    /// When it was made.
    pub created: Timestamp,
    /// How long fragments are kept, in whole milliseconds; zero keeps nothing.
    pub retention: Duration,
    /// How many stored bytes are kept at most, evidence holds aside; the oldest go first.
    pub retention_bytes: Option<u64>,
    /// Which clock names the times of who pushes to it; `None` leaves that to the installation's setting. A source
    /// has its own.
    pub timestamps: Option<TimestampSource>,
    /// Name and value pairs that every fragment of the stream is found by.
    pub labels: Tags,
    /// Resource tags (TagStream).
    pub tags: Tags,
    /// DeviceName of CreateStream.
    pub device_name: Option<String>,
    /// MediaType of CreateStream: `video/h264,audio/aac`.
    pub media_type: Option<String>,
    /// KmsKeyId of CreateStream: told back, without effect on how the stream is sealed.
    pub kms_key_id: Option<String>,
}

/// A stream to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// See [`Stream::name`].
    pub name: StreamName,
    /// See [`Stream::retention`].
    pub retention: Duration,
    /// See [`Stream::retention_bytes`].
    pub retention_bytes: Option<u64>,
    /// See [`Stream::labels`].
    pub labels: Tags,
    /// See [`Stream::tags`].
    pub tags: Tags,
    /// See [`Stream::device_name`].
    pub device_name: Option<String>,
    /// See [`Stream::media_type`].
    pub media_type: Option<String>,
    /// See [`Stream::kms_key_id`].
    pub kms_key_id: Option<String>,
}

impl NewStream {
    /// A stream with nothing but a name and a retention.
    pub fn new(name: StreamName, retention: Duration) -> Self {
        Self {
            name,
            retention,
            retention_bytes: None,
            labels: Tags::new(),
            tags: Tags::new(),
            device_name: None,
            media_type: None,
            kms_key_id: None,
        }
    }
}

/// A change to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamUpdate {
    /// UpdateDataRetention: the retention from now on.
    Retention(Duration),
    /// How long, and how much, is kept from now on.
    Keep {
        /// See [`Stream::retention`].
        retention: Duration,
        /// See [`Stream::retention_bytes`].
        bytes: Option<u64>,
    },
    /// See [`Stream::timestamps`]; in force from the next connection on.
    Timestamps(Option<TimestampSource>),
    /// Replaces the set of labels.
    Labels(Tags),
    /// TagStream: adds tags and replaces values of those that are there.
    AddTags(Tags),
    /// UntagStream: removes the tags of these names, if they are there.
    RemoveTags(Vec<String>),
    /// UpdateStream: `None` leaves a field as it is.
    Fields {
        /// See [`Stream::device_name`].
        device_name: Option<String>,
        /// See [`Stream::media_type`].
        media_type: Option<String>,
    },
}

/// What the log and the view keep of a stream: everything but its ARN, which follows from the
/// installation's account and region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamRecord {
    pub id: StreamId,
    pub name: StreamName,
    pub version: String,
    pub created: Timestamp,
    pub retention_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<TimestampSource>,
    pub labels: Tags,
    pub tags: Tags,
    pub device_name: Option<String>,
    pub media_type: Option<String>,
    pub kms_key_id: Option<String>,
}

impl StreamRecord {
    pub fn new(id: StreamId, version: String, created: Timestamp, new: NewStream) -> Self {
        Self {
            id,
            name: new.name,
            version,
            created,
            retention_ms: whole_millis(new.retention),
            retention_bytes: new.retention_bytes,
            timestamps: None,
            labels: new.labels,
            tags: new.tags,
            device_name: new.device_name,
            media_type: new.media_type,
            kms_key_id: new.kms_key_id,
        }
    }

    pub fn of(stream: &Stream) -> Self {
        Self {
            id: stream.id,
            name: stream.name.clone(),
            version: stream.version.clone(),
            created: stream.created,
            retention_ms: whole_millis(stream.retention),
            retention_bytes: stream.retention_bytes,
            timestamps: stream.timestamps,
            labels: stream.labels.clone(),
            tags: stream.tags.clone(),
            device_name: stream.device_name.clone(),
            media_type: stream.media_type.clone(),
            kms_key_id: stream.kms_key_id.clone(),
        }
    }

    pub fn into_stream(self, account: &str, region: &str) -> Stream {
        let resource = format!("stream/{}/{}", self.name, self.created.millis());
        Stream {
            arn: Arn::new("kinesisvideo", region, account, resource),
            id: self.id,
            name: self.name,
            version: self.version,
            created: self.created,
            retention: Duration::from_millis(self.retention_ms),
            retention_bytes: self.retention_bytes,
            timestamps: self.timestamps,
            labels: self.labels,
            tags: self.tags,
            device_name: self.device_name,
            media_type: self.media_type,
            kms_key_id: self.kms_key_id,
        }
    }

    /// Makes the change and gives the stream its next version.
    pub fn update(&mut self, update: StreamUpdate, version: String) {
        match update {
            StreamUpdate::Retention(retention) => self.retention_ms = whole_millis(retention),
            StreamUpdate::Keep { retention, bytes } => {
                (self.retention_ms, self.retention_bytes) = (whole_millis(retention), bytes);
            }
            StreamUpdate::Timestamps(timestamps) => self.timestamps = timestamps,
            StreamUpdate::Labels(labels) => self.labels = labels,
            StreamUpdate::AddTags(tags) => self.tags.extend(tags),
            StreamUpdate::RemoveTags(names) => self.tags.retain(|name, _| !names.contains(name)),
            StreamUpdate::Fields { device_name, media_type } => {
                self.device_name = device_name.or(self.device_name.take());
                self.media_type = media_type.or(self.media_type.take());
            }
        }
        self.version = version;
    }

    /// Whether everything is within its limits.
    pub fn check(&self, max_tags: usize) -> Result<(), CatalogError> {
        if self.retention_ms > whole_millis(MAX_RETENTION) {
            return Err(CatalogError::Invalid { what: "retention", why: "at most 87,600 hours".into() });
        }
        if self.retention_bytes == Some(0) {
            let why = "at least 1, or none for no limit".into();
            return Err(CatalogError::Invalid { what: "retention bytes", why });
        }
        check_tags("labels", &self.labels, max_tags)?;
        check_tags("tags", &self.tags, max_tags)?;
        check_field("device name", self.device_name.as_deref(), FIELD_BYTES)?;
        check_field("media type", self.media_type.as_deref(), FIELD_BYTES)?;
        check_field("KMS key id", self.kms_key_id.as_deref(), KMS_KEY_BYTES)
    }
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn check_tags(what: &'static str, tags: &Tags, limit: usize) -> Result<(), CatalogError> {
    if tags.len() > limit {
        return Err(CatalogError::TooManyTags { what, limit });
    }
    let fits = |(name, value): (&String, &String)| {
        (1..=NAME_BYTES).contains(&name.len()) && value.len() <= VALUE_BYTES
    };
    if tags.iter().all(fits) {
        return Ok(());
    }
    let why = format!("a name has 1 to {NAME_BYTES} bytes, a value at most {VALUE_BYTES}");
    Err(CatalogError::Invalid { what, why })
}

fn check_field(what: &'static str, value: Option<&str>, limit: usize) -> Result<(), CatalogError> {
    match value {
        Some(value) if !(1..=limit).contains(&value.len()) => {
            Err(CatalogError::Invalid { what, why: format!("1 to {limit} bytes") })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> StreamRecord {
        let name = StreamName::new("front-door").unwrap();
        let created = Timestamp::from_millis(1_700_000_000_000);
        StreamRecord::new(StreamId(7), "v1".into(), created, NewStream::new(name, Duration::from_hours(1)))
    }

    fn tags(count: usize) -> Tags {
        (0..count).map(|n| (format!("name-{n}"), "value".into())).collect()
    }

    #[test]
    fn the_arn_ends_in_the_creation_time() {
        let stream = record().into_stream("000000000000", "us-east-1");
        let arn = "arn:aws:kinesisvideo:us-east-1:000000000000:stream/front-door/1700000000000";
        assert_eq!(stream.arn.to_string(), arn);
        assert_eq!(StreamRecord::of(&stream), record());
    }

    #[test]
    fn updates_leave_the_rest_alone() {
        let mut record = record();
        record.update(StreamUpdate::AddTags(tags(2)), "v2".into());
        record.update(StreamUpdate::RemoveTags(vec!["name-0".into(), "absent".into()]), "v3".into());
        record
            .update(StreamUpdate::Fields { device_name: Some("cam".into()), media_type: None }, "v4".into());
        record.update(
            StreamUpdate::Fields { device_name: None, media_type: Some("video/h264".into()) },
            "v5".into(),
        );
        assert_eq!(record.tags.keys().collect::<Vec<_>>(), ["name-1"]);
        assert_eq!(record.device_name.as_deref(), Some("cam"));
        assert_eq!(record.media_type.as_deref(), Some("video/h264"));
        assert_eq!((record.version.as_str(), record.retention_ms), ("v5", 3_600_000));
    }

    #[test]
    fn limits_are_inclusive() {
        let accepts = |change: &dyn Fn(&mut StreamRecord)| {
            let mut record = record();
            change(&mut record);
            record.check(50).is_ok()
        };
        let pair = |name: usize, value: usize| Tags::from([("n".repeat(name), "v".repeat(value))]);
        assert!(accepts(&|r| r.labels = tags(50)) && !accepts(&|r| r.labels = tags(51)));
        assert!(accepts(&|r| r.tags = pair(128, 256)) && accepts(&|r| r.tags = pair(1, 0)));
        assert!(!accepts(&|r| r.tags = pair(129, 1)) && !accepts(&|r| r.labels = pair(1, 257)));
        assert!(!accepts(&|r| r.labels = pair(0, 1)), "a label without a name");
        assert!(accepts(&|r| r.retention_ms = 87_600 * 3_600_000));
        assert!(!accepts(&|r| r.retention_ms = 87_600 * 3_600_000 + 1));
        assert!(!accepts(&|r| r.device_name = Some(String::new())));
    }
}
