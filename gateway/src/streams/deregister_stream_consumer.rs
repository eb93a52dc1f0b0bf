//! DeregisterStreamConsumer: the consumer is gone, and its subscriptions end.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeregisterStreamConsumer.html>

use serde::Deserialize;

use super::consumer::ConsumerRef;
use super::stream::refused;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DeregisterStreamConsumer;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Input(ConsumerRef);

impl Operation for DeregisterStreamConsumer {
    const NAME: &'static str = "DeregisterStreamConsumer";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::LimitExceeded, Code::ResourceNotFound, Code::InvalidArgument];
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        input.0.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let (found, consumer) = input.0.find(&context)?;
        let name = consumer.name.clone();
        let deregistered = context.app.catalog.deregister_consumer(consumer.stream, name).await;
        deregistered.map_err(|error| refused(&context.app, &found.stream.name, error))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
