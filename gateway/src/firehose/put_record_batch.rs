//! PutRecordBatch: up to 500 records, written as one frame and acknowledged when it is on disk.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>

use std::sync::Arc;

use axum::Json;
use base::Limits;
use bytes::Bytes;
use data_streams::Placed;
use fragment_log::LogError;
use serde::{Deserialize, Serialize};

use super::delivery::{check_name, find};
use super::put_record::{Entry, PUT_ERRORS, put};
use crate::aws::check::Check;
use crate::aws::values::capped;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// Most records of one call.
const RECORDS: usize = 500;

/// The operation.
pub struct PutRecordBatch;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    #[serde(deserialize_with = "capped::<_, _, RECORDS>")]
    records: Option<Vec<Entry>>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    failed_put_count: usize,
    encrypted: bool,
    request_responses: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl From<Result<Placed, Arc<LogError>>> for Outcome {
    fn from(result: Result<Placed, Arc<LogError>>) -> Self {
        match result {
            Ok(placed) => {
                Self { record_id: Some(placed.sequence.to_string()), error_code: None, error_message: None }
            }
            Err(error) => {
                let (code, text) = match &*error {
                    LogError::Full { .. } => {
                        (Code::FirehoseUnavailable, "The disk is full: try again later.")
                    }
                    _ => (Code::InternalFailure, "Internal Service Failure"),
                };
                Self { record_id: None, error_code: Some(code.name()), error_message: Some(text.to_owned()) }
            }
        }
    }
}

impl Operation for PutRecordBatch {
    const NAME: &'static str = "PutRecordBatch";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = PUT_ERRORS;
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        check.entries("Records", input.records.as_ref(), (true, 1, RECORDS as i64), Entry::check);
    }

    fn body_bytes(limits: &Limits) -> usize {
        limits.records_body_bytes
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let records: Vec<Bytes> = input.records.unwrap_or_default().into_iter().map(Entry::data).collect();
        let app = &context.app;
        let (size, most) = (records.iter().map(Bytes::len).sum::<usize>(), app.limits.put_record_batch_bytes);
        if size > most {
            return Err(Exception::invalid(format!("Records size exceeds {most} bytes: they have {size}.")));
        }
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let results = put(app, &delivery, records).await?;
        if let Some(Err(error)) = results.iter().find(|result| result.is_err()) {
            tracing::error!(delivery_stream = %delivery.configuration.name, %error, "records not put");
        }
        Ok(Json(Output {
            failed_put_count: results.iter().filter(|result| result.is_err()).count(),
            encrypted: delivery.configuration.encrypted,
            request_responses: results.into_iter().map(Outcome::from).collect(),
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let outcome =
            Outcome { record_id: Some("1".into()), error_code: Some("e"), error_message: Some("m".into()) };
        let request_responses = vec![outcome];
        serde_json::to_value(Output { failed_put_count: 1, encrypted: true, request_responses }).unwrap()
    }
}
