//! PutRecords: up to 500 records, each shard's written as one frame and acknowledged when it is on disk.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>

use std::sync::Arc;

use axum::Json;
use base::Limits;
use catalog::Action;
use data_streams::{Placed, SequenceNumber, ShardId};
use fragment_log::LogError;
use serde::{Deserialize, Serialize};

use super::put_record::{DATA_BYTES, PUT_ERRORS, check_size, new_record, not_put};
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::HASH_KEY;
use crate::aws::values::{Blob, Text, capped};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// Most records of one call.
const RECORDS: usize = 500;

/// The operation.
pub struct PutRecords;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(deserialize_with = "capped::<_, _, RECORDS>")]
    records: Option<Vec<Entry>>,
    #[serde(flatten)]
    stream: StreamRef,
    dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    data: Option<Blob>,
    explicit_hash_key: Option<String>,
    partition_key: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    failed_record_count: usize,
    records: Vec<Outcome>,
    encryption_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<Text<SequenceNumber>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_id: Option<Text<ShardId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl From<Result<Placed, Arc<LogError>>> for Outcome {
    fn from(result: Result<Placed, Arc<LogError>>) -> Self {
        match result {
            Ok(placed) => Self {
                sequence_number: Some(Text(placed.sequence)),
                shard_id: Some(Text(ShardId(placed.shard))),
                error_code: None,
                error_message: None,
            },
            Err(error) => Self {
                sequence_number: None,
                shard_id: None,
                error_code: Some("InternalFailure"),
                error_message: Some(match &*error {
                    LogError::Full { .. } => "The disk is full: try again later.".to_owned(),
                    _ => "Internal Service Failure".to_owned(),
                }),
            },
        }
    }
}

impl Operation for PutRecords {
    const NAME: &'static str = "PutRecords";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = PUT_ERRORS;
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.entries(
            "Records",
            input.records.as_ref(),
            (true, 1, RECORDS as i64),
            |entry: &Entry, check| {
                check.blob("Data", entry.data.as_ref()).required().length(0, DATA_BYTES);
                check.text("ExplicitHashKey", entry.explicit_hash_key.as_deref()).pattern(HASH_KEY);
                check.text("PartitionKey", entry.partition_key.as_deref()).length(1, 256);
            },
        );
        input.stream.check(check);
        check.boolean("DryRun", input.dry_run.as_ref());
    }

    fn body_bytes(limits: &Limits) -> usize {
        limits.records_body_bytes
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let new = |entry: Entry| {
            new_record(
                entry.partition_key,
                entry.data.unwrap_or_default(),
                entry.explicit_hash_key.as_deref(),
            )
        };
        let records =
            input.records.unwrap_or_default().into_iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let app = &context.app;
        let (size, most) =
            (records.iter().map(|new| new.record.size()).sum::<usize>(), app.limits.put_records_bytes);
        if size > most {
            return Err(Exception::invalid(format!("Records size exceeds {most} bytes: they have {size}.")));
        }
        let stream = input.stream.find_own(&context, Action::Manage)?;
        records.iter().try_for_each(|record| check_size(&stream, record))?;
        Exception::unless_dry_run(input.dry_run)?;
        let results = app.data_streams.put(&stream, records).await;
        let gone = |result: &&Result<Placed, Arc<LogError>>| {
            result.as_ref().is_err_and(|error| matches!(**error, LogError::NoKey(_)))
        };
        if let Some(Err(error)) = results.iter().find(gone) {
            return Err(not_put(app, &stream, error));
        }
        if let Some(Err(error)) = results.iter().find(|result| result.is_err()) {
            tracing::error!(stream = %stream.name, %error, "records not put");
        }
        Ok(Json(Output {
            failed_record_count: results.iter().filter(|result| result.is_err()).count(),
            records: results.into_iter().map(Outcome::from).collect(),
            encryption_type: "NONE",
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let outcome = Outcome {
            sequence_number: Some(Text(SequenceNumber { created: 1, shard: 0, index: 7, arrived: 2 })),
            shard_id: Some(Text(ShardId(0))),
            error_code: Some("e"),
            error_message: Some("m".into()),
        };
        let (failed_record_count, encryption_type) = (1, "NONE");
        serde_json::to_value(Output { failed_record_count, records: vec![outcome], encryption_type }).unwrap()
    }
}
