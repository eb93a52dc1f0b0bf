//! RegisterStreamConsumer: a reader with a name, ACTIVE when the call returns.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html>

use axum::Json;
use base::Tags;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::consumer::ConsumerInfo;
use super::stream::{StreamRef, refused};
use super::tags::check_charset;
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct RegisterStreamConsumer;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    stream_id: Option<String>,
    tags: Option<Tags>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    consumer: ConsumerInfo,
}

impl Operation for RegisterStreamConsumer {
    const NAME: &'static str = "RegisterStreamConsumer";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::InvalidArgument, Code::LimitExceeded, Code::ResourceInUse, Code::ResourceNotFound];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        StreamRef::by_arn(input.stream_arn.clone(), input.stream_id.clone()).check_arn(check, true);
        let name = check.text("ConsumerName", input.consumer_name.as_deref()).required();
        name.length(1, 128).pattern(STREAM_NAME);
        check.tags("Tags", input.tags.as_ref()).of(1, 200, None);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let found = StreamRef::by_arn(input.stream_arn, input.stream_id).find(&context, Action::Manage)?;
        let tags = input.tags.unwrap_or_default();
        check_charset(&tags)?;
        let app = &context.app;
        let name = input.consumer_name.unwrap_or_default();
        let registered = app.catalog.register_consumer(found.stream.id, name, tags).await;
        let consumer = registered.map_err(|error| refused(app, &found.stream.name, error))?;
        Ok(Json(Output { consumer: ConsumerInfo::of(&found, &consumer) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let (found, consumer) = super::consumer::tests::sample_consumer();
        serde_json::to_value(Output { consumer: ConsumerInfo::of(&found, &consumer) }).unwrap()
    }
}
