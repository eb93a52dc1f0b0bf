//! PutRecord: one record, acknowledged when it is on disk.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>

use std::sync::Arc;

use axum::Json;
use base::Limits;
use catalog::{Action, DataStream};
use data_streams::{NewRecord, Record, SequenceNumber, hash_key, shard_id};
use fragment_log::LogError;
use serde::{Deserialize, Serialize};

use super::stream::{StreamRef, absent};
use crate::app::App;
use crate::aws::check::Check;
use crate::aws::patterns::{HASH_KEY, SEQUENCE_NUMBER};
use crate::aws::values::Blob;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// Bytes of a record's data in any stream.
pub const DATA_BYTES: i64 = 10_485_760;

/// The operation.
pub struct PutRecord;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
    dry_run: Option<bool>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    shard_id: String,
    sequence_number: String,
    encryption_type: &'static str,
}

impl Operation for PutRecord {
    const NAME: &'static str = "PutRecord";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = PUT_ERRORS;
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.blob("Data", input.data.as_ref()).required().length(0, DATA_BYTES);
        check.text("PartitionKey", input.partition_key.as_deref()).length(1, 256);
        check.text("ExplicitHashKey", input.explicit_hash_key.as_deref()).pattern(HASH_KEY);
        let after = input.sequence_number_for_ordering.as_deref();
        check.text("SequenceNumberForOrdering", after).pattern(SEQUENCE_NUMBER);
        check.boolean("DryRun", input.dry_run.as_ref());
    }

    fn body_bytes(limits: &Limits) -> usize {
        limits.records_body_bytes
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let key = input.partition_key;
        let record = new_record(key, input.data.unwrap_or_default(), input.explicit_hash_key.as_deref())?;
        let stream = input.stream.find_own(&context, Action::Manage)?;
        let app = &context.app;
        check_size(&stream, &record)?;
        if let Some(after) = input.sequence_number_for_ordering {
            check_ordering(app, &stream, &after)?;
        }
        Exception::unless_dry_run(input.dry_run)?;
        let put = app.data_streams.put(&stream, vec![record]).await.pop();
        // One record in, one result out.
        let placed = put.ok_or_else(|| absent(app, stream.name.as_str()))?;
        let placed = placed.map_err(|error| not_put(app, &stream, &error))?;
        Ok(Json(Output {
            shard_id: shard_id(placed.shard),
            sequence_number: placed.sequence.to_string(),
            encryption_type: "NONE",
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let (shard_id, sequence_number) = ("s".into(), "1".into());
        serde_json::to_value(Output { shard_id, sequence_number, encryption_type: "NONE" }).unwrap()
    }
}

/// What PutRecord and PutRecords answer with.
pub const PUT_ERRORS: &[Code] = &[
    Code::ResourceNotFound,
    Code::InvalidArgument,
    Code::ProvisionedThroughputExceeded,
    Code::KmsDisabled,
    Code::KmsInvalidState,
    Code::KmsAccessDenied,
    Code::KmsNotFound,
    Code::KmsOptInRequired,
    Code::KmsThrottling,
    Code::NotAuthorized,
    Code::InternalFailure,
    Code::DryRun,
];

/// A record and the hash that chooses its shard.
///
/// # Errors
/// InvalidArgument without a partition key, which only streams go without that spread records by themselves, and
/// for a hash key of 2^128 or more.
pub fn new_record(key: Option<String>, data: Blob, hash: Option<&str>) -> Result<NewRecord, Exception> {
    let key = key.ok_or_else(|| {
        Exception::invalid(
            "PartitionKey must be specified: RecordDistributionStrategy is USER_PARTITION_KEY.",
        )
    })?;
    let hash = match hash {
        None => hash_key(&key),
        Some(text) => text.parse().map_err(|_| {
            let text = format!("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}");
            Exception::invalid(text)
        })?,
    };
    Ok(NewRecord { record: Record { partition_key: key.into(), data: data.0 }, hash })
}

/// Refuses a record that is larger than the stream takes.
pub fn check_size(stream: &DataStream, record: &NewRecord) -> Result<(), Exception> {
    let (size, most) = (record.record.data.len(), stream.max_record_kib);
    if size <= most as usize * 1024 {
        return Ok(());
    }
    Err(Exception::invalid(format!(
        "A record of {size} bytes is larger than the {most} KiB that the stream {} takes.",
        stream.name
    )))
}

/// What the log says, for a whole call.
pub fn not_put(app: &App, stream: &DataStream, error: &Arc<LogError>) -> Exception {
    match &**error {
        LogError::NoKey(_) => absent(app, stream.name.as_str()),
        LogError::Full { .. } | LogError::Stopped { .. } => {
            Exception::new(Code::ServiceUnavailable, error.to_string())
        }
        _ => Exception::internal(error),
    }
}

/// The next number is greater than every one that was given: all that can be wrong is that this one was not.
fn check_ordering(app: &App, stream: &DataStream, after: &str) -> Result<(), Exception> {
    let number: Option<SequenceNumber> = after.parse().ok();
    let known = number.is_some_and(|number| {
        let shard = stream.shards.iter().find(|shard| number.is_of(shard));
        shard.is_some_and(|shard| number.index < app.data_streams.durable(stream, shard.id))
    });
    if known {
        return Ok(());
    }
    let (name, account) = (&stream.name, &app.account);
    Err(Exception::invalid(format!(
        "ExclusiveMinimumSequenceNumber {after} used in PutRecord on stream {name} under account {account} is \
         invalid."
    )))
}
