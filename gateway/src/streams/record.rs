//! Records as the AWS model has them.

use data_streams::{ReadRecord, SequenceNumber};
use serde::Serialize;

use crate::aws::values::{Blob, Epoch};

/// `Record` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordInfo {
    sequence_number: String,
    approximate_arrival_timestamp: Epoch,
    data: Blob,
    partition_key: String,
    encryption_type: &'static str,
}

impl RecordInfo {
    /// The record under this number.
    pub fn new(sequence: &SequenceNumber, record: ReadRecord) -> Self {
        Self {
            sequence_number: sequence.to_string(),
            approximate_arrival_timestamp: Epoch(record.arrived),
            data: Blob(record.data),
            partition_key: String::from_utf8_lossy(&record.partition_key).into_owned(),
            encryption_type: "NONE",
        }
    }
}

#[cfg(test)]
pub mod tests {
    use base::Timestamp;
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    /// A record with every member.
    pub fn sample_record() -> RecordInfo {
        let arrived = Timestamp::from_millis(1_700_000_000_123);
        let (partition_key, data) = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
        let sequence = SequenceNumber { created: 1, shard: 0, index: 7, arrived: 2 };
        RecordInfo::new(&sequence, ReadRecord { index: 7, arrived, partition_key, data })
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
