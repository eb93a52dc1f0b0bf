//! DescribeStreamSummary: a stream without its shards.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html>

use axum::Json;
use catalog::{Action, DataStream};
use serde::{Deserialize, Serialize};

use super::stream::{EnhancedMetrics, ModeDetails, StreamRef, retention_hours};
use crate::aws::check::Check;
use crate::aws::values::Epoch;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeStreamSummary;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    stream_description_summary: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_id: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    retention_period_hours: u64,
    stream_creation_timestamp: Epoch,
    enhanced_monitoring: Vec<EnhancedMetrics>,
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: u32,
    channel_count: usize,
    record_distribution_strategy: &'static str,
    queue_count: usize,
}

/// Not offered: throughput is not limited.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WarmThroughput {
    #[serde(rename = "TargetMiBps")]
    target: i64,
    #[serde(rename = "CurrentMiBps")]
    current: i64,
}

impl Summary {
    fn of(stream: &DataStream, consumer_count: usize) -> Self {
        Self {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            stream_id: stream.public_id.clone(),
            stream_status: "ACTIVE",
            stream_mode_details: stream.mode.into(),
            retention_period_hours: retention_hours(stream),
            stream_creation_timestamp: Epoch(stream.created),
            enhanced_monitoring: vec![EnhancedMetrics::default()],
            encryption_type: "NONE",
            key_id: None,
            open_shard_count: stream.shards.len(),
            consumer_count,
            warm_throughput: None,
            max_record_kib: stream.max_record_kib,
            channel_count: 0,
            record_distribution_strategy: "USER_PARTITION_KEY",
            queue_count: 0,
        }
    }
}

impl Operation for DescribeStreamSummary {
    const NAME: &'static str = "DescribeStreamSummary";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::LimitExceeded, Code::InvalidArgument, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?.stream;
        let consumers = context.app.catalog.consumers(stream.id).len();
        Ok(Json(Output { stream_description_summary: Summary::of(&stream, consumers) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        use super::stream::tests::{sample_metrics, sample_stream};
        let mut summary = Summary::of(&sample_stream(), 1);
        summary.enhanced_monitoring = sample_metrics();
        summary.key_id = Some("key".into());
        summary.warm_throughput = Some(WarmThroughput { target: 1, current: 1 });
        serde_json::to_value(Output { stream_description_summary: summary }).unwrap()
    }
}
