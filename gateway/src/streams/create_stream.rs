//! CreateStream: a data stream, ACTIVE when the call returns.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html>

use std::time::Duration;

use base::{StreamName, Tags};
use catalog::{Action, NewDataStream, StreamMode};
use serde::Deserialize;

use super::stream::{absent, refused};
use super::tags::check_charset;
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// How long records are kept at first.
const RETENTION: Duration = Duration::from_hours(24);
/// Shards of a stream on demand that says no number.
const ON_DEMAND_SHARDS: i64 = 4;
/// The largest record of a stream that says nothing else, in KiB.
const RECORD_KIB: i64 = 1024;

/// The operation.
pub struct CreateStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<Tags>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput: Option<i64>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: Option<i64>,
    record_distribution_strategy: Option<Choice<Strategy>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: Option<Choice<StreamMode>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    Auto,
    UserPartitionKey,
}

impl Closed for Strategy {
    const VALUES: &'static [(&'static str, Self)] =
        &[("AUTO", Self::Auto), ("USER_PARTITION_KEY", Self::UserPartitionKey)];
}

impl Operation for CreateStream {
    const NAME: &'static str = "CreateStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceInUse, Code::LimitExceeded, Code::InvalidArgument, Code::Validation];
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        check.text("StreamName", input.stream_name.as_deref()).required().length(1, 128).pattern(STREAM_NAME);
        check.number("ShardCount", input.shard_count.as_ref()).range(1, None);
        check.structure("StreamModeDetails", input.stream_mode_details.as_ref(), false, |details, check| {
            check.choice("StreamMode", details.stream_mode.as_ref()).required();
        });
        check.tags("Tags", input.tags.as_ref()).of(1, 200, None);
        check.number("WarmThroughputMiBps", input.warm_throughput.as_ref()).range(0, None);
        check.number("MaxRecordSizeInKiB", input.max_record_kib.as_ref()).range(1024, Some(10_240));
        check.choice("RecordDistributionStrategy", input.record_distribution_strategy.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let app = &context.app;
        let text = input.stream_name.unwrap_or_default();
        let name = StreamName::new(&text).map_err(|_| absent(app, &text))?;
        context.allow(Action::Manage, &name)?;
        if input.warm_throughput.is_some_and(|throughput| throughput > 0) {
            return Err(Exception::invalid("WarmThroughputMiBps is not offered: throughput is not limited."));
        }
        if input.record_distribution_strategy.and_then(|strategy| strategy.known()) == Some(Strategy::Auto) {
            return Err(Exception::invalid("RecordDistributionStrategy AUTO is not offered."));
        }
        let tags = input.tags.unwrap_or_default();
        check_charset(&tags)?;
        let mode = input.stream_mode_details.and_then(|details| details.stream_mode?.known());
        let mode = mode.unwrap_or(StreamMode::Provisioned);
        let shards = input.shard_count.unwrap_or(match mode {
            StreamMode::Provisioned => 1,
            StreamMode::OnDemand => ON_DEMAND_SHARDS,
        });
        let new = NewDataStream {
            name: name.clone(),
            shards: u32::try_from(shards).unwrap_or(u32::MAX),
            retention: RETENTION,
            mode,
            tags,
            max_record_kib: u32::try_from(input.max_record_kib.unwrap_or(RECORD_KIB)).unwrap_or(0),
        };
        app.catalog.create_data_stream(new).await.map_err(|error| refused(app, &name, error))?;
        Ok(())
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
