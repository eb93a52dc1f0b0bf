//! SubscribeToShard: records as they come, as an event stream, for five minutes.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html>

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use super::consumer::find_by_arn;
use super::source::Source;
use super::start::{StartType, Wanted};
use super::stream::{check_id, find_shard};
use super::subscription::Subscription;
use crate::aws::check::Check;
use crate::aws::patterns::{CONSUMER_ARN, STREAM_NAME};
use crate::aws::values::{Choice, Epoch};
use crate::aws::wire::{Answer, Wire};
use crate::aws::{Context, Operation, event_stream};
use crate::exception::{Code, Exception};

/// The operation.
pub struct SubscribeToShard;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    stream_id: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<StartingPosition>,
    dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct StartingPosition {
    #[serde(rename = "Type")]
    kind: Option<Choice<StartType>>,
    sequence_number: Option<String>,
    timestamp: Option<Epoch>,
}

impl StartingPosition {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            kind: self.kind.as_ref(),
            sequence: self.sequence_number.as_deref(),
            timestamp: self.timestamp.as_ref(),
            sequence_member: "SequenceNumber",
            operation: "SubscribeToShard",
        }
    }
}

/// The answer: events until the subscription ends.
pub struct Output(Subscription);

impl Answer for Output {
    fn answer(self, _: Wire) -> Response {
        ([(CONTENT_TYPE, event_stream::CONTENT_TYPE)], Body::from_stream(self.0.events())).into_response()
    }
}

impl Operation for SubscribeToShard {
    const NAME: &'static str = "SubscribeToShard";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::ResourceInUse,
        Code::LimitExceeded,
        Code::NotAuthorized,
        Code::DryRun,
    ];
    type Input = Input;
    type Output = Output;

    fn check(input: &Input, check: &mut Check) {
        let arn = check.text("ConsumerARN", input.consumer_arn.as_deref()).required();
        arn.length(1, 2048).pattern(CONSUMER_ARN);
        check_id(input.stream_id.as_deref(), check);
        check.text("ShardId", input.shard_id.as_deref()).required().length(1, 128).pattern(STREAM_NAME);
        check.structure("StartingPosition", input.starting_position.as_ref(), true, |position, check| {
            position.wanted().check(check, "Type");
        });
        check.boolean("DryRun", input.dry_run.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<Output, Exception> {
        let app = &context.app;
        let (found, consumer) = find_by_arn(&context, input.consumer_arn.as_deref().unwrap_or_default())?;
        if input.stream_id.is_some_and(|id| id != found.stream.public_id) {
            return Err(Exception::invalid("ConsumerARN and StreamId specify different streams."));
        }
        let shard = find_shard(app, &found.stream, input.shard_id.as_deref().unwrap_or_default())?.clone();
        let source = Source { app, found: &found };
        let start = input.starting_position.unwrap_or_default().wanted().resolve(&source, &shard)?;
        Exception::unless_dry_run(input.dry_run)?;
        let position = source.position(shard.id, start).await?;
        let key = (consumer.stream, consumer.name.clone(), shard.id);
        let place = app.subscriptions.take(key, app.clock.monotonic()).ok_or_else(|| {
            let (arn, shard) = (consumer.arn(&found.stream.arn), data_streams::shard_id(shard.id));
            let text =
                format!("Another active subscription exists for this consumer: {arn} and shard {shard}.");
            Exception::new(Code::ResourceInUse, text)
        })?;
        Ok(Output(Subscription::new(
            context.app.clone(),
            context.wire,
            (found, shard, consumer),
            position,
            place,
        )))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        super::subscription::tests::sample_events()
    }
}

/// `SubscribeToShardEvent` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// In the order of their numbers.
    pub records: Vec<super::record::RecordInfo>,
    /// What AFTER_SEQUENCE_NUMBER goes on with.
    pub continuation_sequence_number: String,
    /// How far the records here are from the newest.
    pub millis_behind_latest: u64,
}
