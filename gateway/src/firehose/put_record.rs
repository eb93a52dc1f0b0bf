//! PutRecord: one record, acknowledged when it is on disk.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecord.html>

use std::sync::Arc;

use axum::Json;
use base::Limits;
use bytes::Bytes;
use catalog::{Delivery, DeliverySource};
use data_streams::{NewRecord, Placed, Record};
use fragment_log::LogError;
use serde::{Deserialize, Serialize};

use super::delivery::{Kind, absent, check_name, find, not_put};
use crate::app::App;
use crate::aws::check::Check;
use crate::aws::values::Blob;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// Bytes of a record's data.
const DATA_BYTES: i64 = 1_024_000;

/// What PutRecord and PutRecordBatch answer with.
pub const PUT_ERRORS: &[Code] = &[
    Code::ResourceNotFound,
    Code::InvalidArgument,
    Code::InvalidKmsResource,
    Code::InvalidSource,
    Code::FirehoseUnavailable,
];

/// The operation.
pub struct PutRecord;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    record: Option<Entry>,
}

/// `Record` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Entry {
    data: Option<Blob>,
}

impl Entry {
    /// Names its members.
    pub fn check(&self, check: &mut Check) {
        check.blob("Data", self.data.as_ref()).required().length(0, DATA_BYTES);
    }

    /// Its data.
    pub fn data(self) -> Bytes {
        self.data.unwrap_or_default().0
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    record_id: String,
    encrypted: bool,
}

impl Operation for PutRecord {
    const NAME: &'static str = "PutRecord";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = PUT_ERRORS;
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        check.structure("Record", input.record.as_ref(), true, Entry::check);
    }

    fn body_bytes(limits: &Limits) -> usize {
        limits.records_body_bytes
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let data = input.record.unwrap_or_default().data();
        let put = put(&context.app, &delivery, vec![data]).await?.pop();
        // One record in, one result out.
        let placed = put.ok_or_else(|| absent(&context.app, delivery.configuration.name.as_str()))?;
        let placed = placed.map_err(|error| not_put(&error))?;
        Ok(Json(Output {
            record_id: placed.sequence.to_string(),
            encrypted: delivery.configuration.encrypted,
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { record_id: "1".into(), encrypted: true }).unwrap()
    }
}

/// Puts records to a delivery stream's own shard.
///
/// # Errors
/// InvalidSource where its records come from elsewhere; ResourceNotFound where it was deleted meanwhile. What
/// the log says is told for each record.
pub async fn put(
    app: &App,
    delivery: &Delivery,
    records: Vec<Bytes>,
) -> Result<Vec<Result<Placed, Arc<LogError>>>, Exception> {
    if let DeliverySource::Stream { .. } = delivery.configuration.source {
        let kind = Kind::of(delivery).name();
        let text = format!("This operation is not permitted on {kind} delivery stream type.");
        return Err(Exception::new(Code::InvalidSource, text));
    }
    let new = |data| NewRecord { record: Record { partition_key: Bytes::new(), data }, hash: 0 };
    let put = app.data_streams.put(&delivery.records(), records.into_iter().map(new).collect()).await;
    let gone = |result: &Result<Placed, Arc<LogError>>| {
        result.as_ref().is_err_and(|error| matches!(**error, LogError::NoKey(_)))
    };
    if put.iter().any(gone) {
        return Err(absent(app, delivery.configuration.name.as_str()));
    }
    Ok(put)
}
