//! GetShardIterator: a place in a shard, for GetRecords.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html>

use axum::Json;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::iterator::ShardIterator;
use super::source::Source;
use super::start::{StartType, Wanted};
use super::stream::{StreamRef, find_shard};
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::{Choice, Epoch};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct GetShardIterator;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    shard_id: Option<String>,
    shard_iterator_type: Option<Choice<StartType>>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Epoch>,
    dry_run: Option<bool>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    shard_iterator: String,
}

impl Input {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            kind: self.shard_iterator_type.as_ref(),
            sequence: self.starting_sequence_number.as_deref(),
            timestamp: self.timestamp.as_ref(),
            sequence_member: "StartingSequenceNumber",
            operation: "GetShardIterator",
        }
    }
}

impl Operation for GetShardIterator {
    const NAME: &'static str = "GetShardIterator";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::ProvisionedThroughputExceeded,
        Code::NotAuthorized,
        Code::InternalFailure,
        Code::DryRun,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.text("ShardId", input.shard_id.as_deref()).required().length(1, 128).pattern(STREAM_NAME);
        input.wanted().check(check, "ShardIteratorType");
        check.boolean("DryRun", input.dry_run.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let found = input.stream.find(&context, Action::Manage)?;
        let shard = find_shard(&context.app, &found.stream, input.shard_id.as_deref().unwrap_or_default())?;
        let source = Source { app: &context.app, found: &found };
        let start = input.wanted().resolve(&source, shard)?;
        Exception::unless_dry_run(input.dry_run)?;
        let position = source.position(shard.id, start).await?;
        let iterator = ShardIterator { stream: found.stream.id, shard: shard.id, position };
        Ok(Json(Output { shard_iterator: iterator.seal(&context.app) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { shard_iterator: "i".into() }).unwrap()
    }
}
