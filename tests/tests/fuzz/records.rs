//! Kinesis Data Streams: requests in both forms, and the stored form of records.

use bytes::Bytes;
use data_streams::RecordBatch;
use gateway::aws::values::{Blob, Epoch, capped};
use gateway::aws::wire::Wire;
use serde::{Deserialize, Serialize};

use crate::memory;

/// Members of every kind that a request has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Request {
    stream_name: Option<String>,
    limit: Option<i64>,
    timestamp: Option<Epoch>,
    dry_run: Option<bool>,
    tag_keys: Option<Vec<String>>,
    #[serde(deserialize_with = "capped::<_, _, 500>")]
    records: Option<Vec<Record>>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Record {
    data: Option<Blob>,
    partition_key: Option<String>,
}

pub(crate) fn cbor(input: &[u8]) {
    request(Wire::Cbor, input);
}

pub(crate) fn json(input: &[u8]) {
    request(Wire::Json, input);
}

/// What is read is written so that it reads the same.
fn request(wire: Wire, input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    let read = memory::in_proportion(2 * input.len(), || wire.decode::<Request>(&body));
    let Ok(request) = read else { return };
    assert!(request.records.as_ref().is_none_or(|records| records.len() <= 501));
    assert_eq!(wire.decode::<Request>(&wire.encode(&request).into()), Ok(request));
}

/// The payload of a frame of records.
pub(crate) fn frame(input: &[u8]) {
    let payload = Bytes::copy_from_slice(input);
    let Ok(batch) = memory::in_proportion(input.len(), || RecordBatch::decode(&payload)) else { return };
    assert_eq!(batch.encode().unwrap().concat(), input);
}
