//! ListStreamConsumers: the consumers of a stream, by name.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListStreamConsumers.html>

use axum::Json;
use base::StreamId;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::consumer::ConsumerInfo;
use super::page;
use super::stream::{StreamRef, absent};
use crate::aws::check::Check;
use crate::aws::values::Epoch;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_CONSUMERS: i64 = 100;

/// The operation.
pub struct ListStreamConsumers;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Epoch>,
    stream_id: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    consumers: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Where a page begins.
#[derive(Serialize, Deserialize)]
struct Place {
    stream: StreamId,
    after: String,
}

impl Operation for ListStreamConsumers {
    const NAME: &'static str = "ListStreamConsumers";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::LimitExceeded,
        Code::ExpiredNextToken,
        Code::ResourceInUse,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        StreamRef::by_arn(input.stream_arn.clone(), input.stream_id.clone()).check_arn(check, true);
        check.text("NextToken", input.next_token.as_deref()).length(1, 1_048_576);
        check.number("MaxResults", input.max_results.as_ref()).range(1, Some(10_000));
        check.time("StreamCreationTimestamp", input.stream_creation_timestamp.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let found = StreamRef::by_arn(input.stream_arn, input.stream_id).find(&context, Action::Manage)?;
        let stream = &found.stream;
        if let Some(created) = input.stream_creation_timestamp
            && created.0.millis().div_euclid(1000) != stream.created.millis().div_euclid(1000)
        {
            return Err(absent(app, stream.name.as_str()));
        }
        let after = match input.next_token {
            None => None,
            Some(token) => {
                let place: Place = page::open(app, Self::NAME, &token)?;
                if place.stream != stream.id {
                    return Err(Exception::invalid("NextToken is of another stream."));
                }
                Some(place.after)
            }
        };
        let limit = usize::try_from(input.max_results.unwrap_or(DEFAULT_CONSUMERS)).unwrap_or(1);
        let mut left = app.catalog.consumers(stream.id);
        left.retain(|consumer| after.as_ref().is_none_or(|after| consumer.name > *after));
        let more = left.len() > limit;
        left.truncate(limit);
        let next_token = left
            .last()
            .filter(|_| more)
            .map(|last| page::seal(app, Self::NAME, &Place { stream: stream.id, after: last.name.clone() }));
        let consumers = left.iter().map(|consumer| ConsumerInfo::of(&found, consumer)).collect();
        Ok(Json(Output { consumers, next_token }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let (found, consumer) = super::consumer::tests::sample_consumer();
        let consumers = vec![ConsumerInfo::of(&found, &consumer)];
        serde_json::to_value(Output { consumers, next_token: Some("t".into()) }).unwrap()
    }
}
