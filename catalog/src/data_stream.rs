//! Data streams and their consumers: what is kept about each, and what may be written.

use std::time::Duration;

use base::{Arn, StreamId, StreamName, Tags, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CatalogError;
use crate::stream::{check_tags, whole_millis};

/// Characters of a data stream's name (CreateStream, Kinesis Data Streams).
const NAME_LEN: usize = 128;
/// A name that begins so stands for a video stream's fragments.
pub const FRAGMENTS_PREFIX: &str = "fragments.";
/// The largest record of a stream, in KiB, from and to, both allowed (UpdateMaxRecordSize).
const RECORD_KIB: std::ops::RangeInclusive<u32> = 1024..=10_240;

/// How the capacity of a stream is said to be chosen; here it limits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamMode {
    /// The owner says how many shards.
    Provisioned,
    /// The service says.
    OnDemand,
}

/// One shard: a range of partition key hashes, in an order of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its number within the stream, never reused: 3 is `shardId-000000000003`.
    pub id: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The least hash that it takes.
    pub start: u128,
    /// The greatest hash that it takes.
    pub end: u128,
}

/// A data stream, as it stood when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataStream {
    /// Its number in the log and the key table; video streams are numbered in the same row.
    pub id: StreamId,
    /// Unique among the data streams that exist.
    pub name: StreamName,
    /// `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`.
    pub arn: Arn,
    /// What AWS calls StreamId: 20 letters and digits, a dash and three more.
    pub public_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// How long records are kept.
    pub retention: Duration,
    /// See [`StreamMode`].
    pub mode: StreamMode,
    /// By number.
    pub shards: Vec<Shard>,
    /// Resource tags.
    pub tags: Tags,
    /// The largest record's data, in KiB.
    pub max_record_kib: u32,
}

/// A data stream to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataStream {
    /// See [`DataStream::name`].
    pub name: StreamName,
    /// How many shards share the hashes equally.
    pub shards: u32,
    /// See [`DataStream::retention`].
    pub retention: Duration,
    /// See [`DataStream::mode`].
    pub mode: StreamMode,
    /// See [`DataStream::tags`].
    pub tags: Tags,
    /// See [`DataStream::max_record_kib`].
    pub max_record_kib: u32,
}

/// A change to a data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataStreamUpdate {
    /// IncreaseStreamRetentionPeriod, DecreaseStreamRetentionPeriod.
    Retention(Duration),
    /// Adds tags and replaces values of those that are there.
    AddTags(Tags),
    /// Removes the tags of these names, if they are there.
    RemoveTags(Vec<String>),
}

/// A reader with a name (RegisterStreamConsumer), of a data stream or of a video stream's fragments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The stream's number.
    pub stream: StreamId,
    /// Unique among the stream's consumers.
    pub name: String,
    /// When it was registered.
    pub created: Timestamp,
    /// Resource tags.
    pub tags: Tags,
}

impl Consumer {
    /// `{ARN of the stream}/consumer/{name}:{epoch seconds}`.
    pub fn arn(&self, stream: &Arn) -> String {
        format!("{stream}/consumer/{}:{}", self.name, self.created.millis().div_euclid(1000))
    }
}

/// What the log and the view keep of a data stream: everything but its ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataStreamRecord {
    pub id: StreamId,
    pub name: StreamName,
    pub public_id: String,
    pub created: Timestamp,
    pub retention_ms: u64,
    pub mode: StreamMode,
    pub shards: Vec<Shard>,
    pub tags: Tags,
    pub max_record_kib: u32,
}

impl DataStreamRecord {
    /// Allocates as many shards as are asked for: check the number first.
    pub fn new(id: StreamId, public_id: String, created: Timestamp, new: NewDataStream) -> Self {
        Self {
            id,
            name: new.name,
            public_id,
            created,
            retention_ms: whole_millis(new.retention),
            mode: new.mode,
            shards: equal_shards(new.shards, created),
            tags: new.tags,
            max_record_kib: new.max_record_kib,
        }
    }

    pub fn of(stream: &DataStream) -> Self {
        Self {
            id: stream.id,
            name: stream.name.clone(),
            public_id: stream.public_id.clone(),
            created: stream.created,
            retention_ms: whole_millis(stream.retention),
            mode: stream.mode,
            shards: stream.shards.clone(),
            tags: stream.tags.clone(),
            max_record_kib: stream.max_record_kib,
        }
    }

    pub fn into_stream(self, account: &str, region: &str) -> DataStream {
        DataStream {
            arn: Arn::new("kinesis", region, account, format!("stream/{}", self.name)),
            id: self.id,
            name: self.name,
            public_id: self.public_id,
            created: self.created,
            retention: Duration::from_millis(self.retention_ms),
            mode: self.mode,
            shards: self.shards,
            tags: self.tags,
            max_record_kib: self.max_record_kib,
        }
    }

    pub fn update(&mut self, update: DataStreamUpdate) {
        match update {
            DataStreamUpdate::Retention(retention) => self.retention_ms = whole_millis(retention),
            DataStreamUpdate::AddTags(tags) => self.tags.extend(tags),
            DataStreamUpdate::RemoveTags(names) => self.tags.retain(|name, _| !names.contains(name)),
        }
    }

    /// Whether everything is within its limits.
    pub fn check(&self, max_tags: usize) -> Result<(), CatalogError> {
        let name = self.name.as_str();
        let invalid = |what, why: &str| Err(CatalogError::Invalid { what, why: why.into() });
        if name.len() > NAME_LEN {
            return invalid("stream name", "at most 128 characters");
        }
        if name.starts_with(FRAGMENTS_PREFIX) {
            return invalid("stream name", "names that begin with fragments. stand for video streams");
        }
        if !RECORD_KIB.contains(&self.max_record_kib) {
            return invalid("largest record", "1024 to 10240 KiB");
        }
        check_tags("tags", &self.tags, max_tags)
    }
}

/// Shards that divide all hashes, each the same part; the last takes what is left over.
fn equal_shards(count: u32, created: Timestamp) -> Vec<Shard> {
    // 2^128 does not fit: its quotient is that of 2^128 - 1, but for powers of two.
    let count = count.max(1);
    let width = u128::MAX / u128::from(count) + u128::from(count.is_power_of_two() && count > 1);
    let shard = |id: u32| {
        let start = width * u128::from(id);
        let end = if id + 1 == count { u128::MAX } else { start + (width - 1) };
        Shard { id, created, start, end }
    };
    (0..count).map(shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_begin_where_aws_begins_them() {
        let at = Timestamp::from_millis(0);
        let starts = |count| equal_shards(count, at).iter().map(|shard| shard.start).collect::<Vec<_>>();
        assert_eq!(starts(1), [0]);
        assert_eq!(starts(2), [0, 1 << 127]);
        let third = 113_427_455_640_312_821_154_458_202_477_256_070_485;
        assert_eq!(starts(3), [0, third, 2 * third]);
        assert_eq!(equal_shards(1, at)[0].end, u128::MAX);
    }

    proptest! {
        #[test]
        fn every_hash_has_one_shard(count in 1u32..600, hash: u128) {
            let shards = equal_shards(count, Timestamp::from_millis(0));
            prop_assert_eq!(shards.len(), count as usize);
            prop_assert_eq!((shards[0].start, shards[count as usize - 1].end), (0, u128::MAX));
            prop_assert!(shards.windows(2).all(|pair| pair[0].end + 1 == pair[1].start));
            prop_assert_eq!(shards.iter().filter(|s| (s.start..=s.end).contains(&hash)).count(), 1);
        }
    }
}
