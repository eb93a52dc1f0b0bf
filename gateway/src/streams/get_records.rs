//! GetRecords: records from an iterator on, and the next iterator.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>

use axum::Json;
use catalog::Action;
use data_streams::ReadLimits;
use serde::{Deserialize, Serialize};

use super::iterator::ShardIterator;
use super::record::RecordInfo;
use super::source::{Source, records};
use super::stream::{StreamRef, find_by_number, find_shard};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// Most records of one answer.
const RECORDS: i64 = 10_000;
/// Most bytes of one answer, data and partition keys.
const BYTES: usize = 10 * 1024 * 1024;

/// The operation.
pub struct GetRecords;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    shard_iterator: Option<String>,
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    stream_id: Option<String>,
    dry_run: Option<bool>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    records: Vec<RecordInfo>,
    next_shard_iterator: String,
    millis_behind_latest: u64,
}

impl Operation for GetRecords {
    const NAME: &'static str = "GetRecords";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::ProvisionedThroughputExceeded,
        Code::ExpiredIterator,
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
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.text("ShardIterator", input.shard_iterator.as_deref()).required().length(1, 512);
        check.number("Limit", input.limit.as_ref()).range(1, Some(RECORDS));
        StreamRef::by_arn(input.stream_arn.clone(), input.stream_id.clone()).check_arn(check, false);
        check.boolean("DryRun", input.dry_run.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let iterator = ShardIterator::open(app, input.shard_iterator.as_deref().unwrap_or_default())?;
        let found = find_by_number(&context, iterator.stream)?;
        let named = StreamRef::by_arn(input.stream_arn, input.stream_id);
        if !named.is_empty() && named.find(&context, Action::Manage)?.stream.id != iterator.stream {
            return Err(Exception::invalid("ShardIterator is of another stream."));
        }
        let shard = find_shard(app, &found.stream, &data_streams::shard_id(iterator.shard))?;
        Exception::unless_dry_run(input.dry_run)?;
        let most = usize::try_from(input.limit.unwrap_or(RECORDS)).unwrap_or(1);
        let limits = ReadLimits { records: most, bytes: BYTES };
        let batch = Source { app, found: &found }.read(shard.id, iterator.position, limits).await?;
        let next = ShardIterator { position: batch.next, ..iterator };
        Ok(Json(Output {
            next_shard_iterator: next.seal(app),
            millis_behind_latest: u64::try_from(batch.behind.as_millis()).unwrap_or(u64::MAX),
            records: records(shard, batch),
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        super::record::tests::with_child_shards(Output {
            records: vec![super::record::tests::sample_record()],
            next_shard_iterator: "i".into(),
            millis_behind_latest: 1,
        })
    }
}
