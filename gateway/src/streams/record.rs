//! Records as the AWS model has them.

use bytes::Bytes;
use data_streams::{ReadRecord, SequenceNumber};
use serde::{Serialize, Serializer};

use crate::aws::values::{Blob, Epoch, Text};

/// `Record` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordInfo {
    sequence_number: Text<SequenceNumber>,
    approximate_arrival_timestamp: Epoch,
    data: Blob,
    #[serde(serialize_with = "as_text")]
    partition_key: Bytes,
    encryption_type: &'static str,
}

impl RecordInfo {
    /// The record under this number.
    pub fn new(sequence: SequenceNumber, record: ReadRecord) -> Self {
        Self {
            sequence_number: Text(sequence),
            approximate_arrival_timestamp: Epoch(record.arrived),
            data: Blob(record.data),
            partition_key: record.partition_key,
            encryption_type: "NONE",
        }
    }
}

/// A partition key, which was UTF-8 when it was put.
fn as_text<S: Serializer>(key: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(key))
}

#[cfg(test)]
pub mod tests {
    use base::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    /// A record with every member.
    pub fn sample_record() -> RecordInfo {
        let arrived = Timestamp::from_millis(1_700_000_000_123);
        let (partition_key, data) = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
        let sequence = SequenceNumber { created: 1, shard: 0, index: 7, arrived: 2 };
        RecordInfo::new(sequence, ReadRecord { index: 7, arrived, partition_key, data })
    }

    /// An answer with the member that only a closed shard's has: no shard is closed yet.
    pub fn with_child_shards(answer: impl Serialize) -> Value {
        let mut answer = serde_json::to_value(answer).unwrap();
        let range = json!({ "StartingHashKey": "0", "EndingHashKey": "1" });
        answer["ChildShards"] = json!([{ "ShardId": "s", "ParentShards": ["p"], "HashKeyRange": range }]);
        answer
    }

    #[test]
    fn a_record_is_described_as_aws_does() {
        let info = serde_json::to_value(sample_record()).unwrap();
        assert_eq!((&info["Data"], &info["PartitionKey"]), (&json!("dmFsdWU="), &json!("key")));
        assert_eq!(info["ApproximateArrivalTimestamp"], 1_700_000_000.123);
    }
}
