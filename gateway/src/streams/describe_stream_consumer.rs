//! DescribeStreamConsumer: one consumer.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamConsumer.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::consumer::{ConsumerInfo, ConsumerRef};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeStreamConsumer;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Input(ConsumerRef);

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    consumer_description: ConsumerInfo,
}

impl Operation for DescribeStreamConsumer {
    const NAME: &'static str = "DescribeStreamConsumer";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::LimitExceeded, Code::ResourceNotFound, Code::InvalidArgument];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.0.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let (found, consumer) = input.0.find(&context)?;
        Ok(Json(Output { consumer_description: ConsumerInfo::described(&found, &consumer) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let (found, consumer) = super::consumer::tests::sample_consumer();
        let consumer_description = ConsumerInfo::described(&found, &consumer);
        serde_json::to_value(Output { consumer_description }).unwrap()
    }
}
