//! DescribeLimits: how many shards there are and may be.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeLimits.html>

use axum::Json;
use catalog::StreamMode;
use serde::{Deserialize, Serialize};

use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeLimits;

/// The request.
#[derive(Debug, Default, Deserialize)]
pub struct Input {}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    shard_limit: usize,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: usize,
    channel_count: usize,
    channel_count_limit: usize,
}

impl Operation for DescribeLimits {
    const NAME: &'static str = "DescribeLimits";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::LimitExceeded];
    type Input = Input;
    type Output = Json<Output>;

    fn check(_: &Input, _: &mut Check) {}

    async fn call(context: Context, _: Input) -> Result<Json<Output>, Exception> {
        let limits = &context.app.limits;
        let streams = context.app.catalog.data_streams();
        Ok(Json(Output {
            shard_limit: limits.shards,
            open_shard_count: streams.values().map(|stream| stream.shards.len()).sum(),
            on_demand_stream_count: streams.values().filter(|s| s.mode == StreamMode::OnDemand).count(),
            on_demand_stream_count_limit: limits.streams,
            channel_count: 0,
            channel_count_limit: 0,
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let (shard_limit, open_shard_count, on_demand_stream_count) = (1, 1, 1);
        let (on_demand_stream_count_limit, channel_count, channel_count_limit) = (1, 1, 1);
        let output = Output {
            shard_limit,
            open_shard_count,
            on_demand_stream_count,
            on_demand_stream_count_limit,
            channel_count,
            channel_count_limit,
        };
        serde_json::to_value(output).unwrap()
    }
}
