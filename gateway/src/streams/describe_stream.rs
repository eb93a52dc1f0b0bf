//! DescribeStream: a stream and a page of its shards.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStream.html>

use axum::Json;
use catalog::{Action, DataStream};
use data_streams::shard_id;
use serde::{Deserialize, Serialize};

use super::stream::{EnhancedMetrics, ModeDetails, ShardInfo, StreamRef, retention_hours};
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::Epoch;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_SHARDS: i64 = 100;

/// The operation.
pub struct DescribeStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    stream_description: Description,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    shards: Vec<ShardInfo>,
    has_more_shards: bool,
    retention_period_hours: u64,
    stream_creation_timestamp: Epoch,
    enhanced_monitoring: Vec<EnhancedMetrics>,
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

impl Description {
    fn of(stream: &DataStream, shards: Vec<ShardInfo>, has_more_shards: bool) -> Self {
        Self {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            stream_status: "ACTIVE",
            stream_mode_details: stream.mode.into(),
            shards,
            has_more_shards,
            retention_period_hours: retention_hours(stream),
            stream_creation_timestamp: Epoch(stream.created),
            enhanced_monitoring: vec![EnhancedMetrics::default()],
            // AWS's word for encryption with a key of the customer's; all records are encrypted on disk.
            encryption_type: "NONE",
            key_id: None,
        }
    }
}

impl Operation for DescribeStream {
    const NAME: &'static str = "DescribeStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::LimitExceeded, Code::InvalidArgument, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.number("Limit", input.limit.as_ref()).range(1, Some(10_000));
        let after = input.exclusive_start_shard_id.as_deref();
        check.text("ExclusiveStartShardId", after).length(1, 128).pattern(STREAM_NAME);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?.stream;
        let limit = usize::try_from(input.limit.unwrap_or(DEFAULT_SHARDS)).unwrap_or(1);
        let after = input.exclusive_start_shard_id;
        let follows = |id: u32| after.as_ref().is_none_or(|after| shard_id(id) > *after);
        let mut shards = stream.shards.iter().filter(|shard| follows(shard.id));
        let page = shards.by_ref().take(limit).map(ShardInfo::from).collect();
        let stream_description = Description::of(&stream, page, shards.next().is_some());
        Ok(Json(Output { stream_description }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        use super::stream::tests::{sample_metrics, sample_shard, sample_stream};
        let mut description = Description::of(&sample_stream(), vec![sample_shard()], false);
        description.enhanced_monitoring = sample_metrics();
        description.key_id = Some("key".into());
        serde_json::to_value(Output { stream_description: description }).unwrap()
    }
}
