//! DescribeDeliveryStream: a delivery stream's source and destination, without its secrets.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_DescribeDeliveryStream.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::delivery::{DESTINATION_ID, check_name, find};
use super::description::Description;
use super::patterns;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    limit: Option<i64>,
    exclusive_start_destination_id: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    delivery_stream_description: Description,
}

impl Operation for DescribeDeliveryStream {
    const NAME: &'static str = "DescribeDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::ResourceNotFound];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        // There is one destination: every limit leaves it in.
        check.number("Limit", input.limit.as_ref()).range(1, Some(10_000));
        let after = input.exclusive_start_destination_id.as_deref();
        check.text("ExclusiveStartDestinationId", after).length(1, 100).pattern(patterns::DESTINATION_ID);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let after_it = input.exclusive_start_destination_id.is_some_and(|after| after == DESTINATION_ID);
        Ok(Json(Output { delivery_stream_description: Description::of(&delivery, after_it) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let delivery_stream_description = super::description::tests::sample();
        serde_json::to_value(Output { delivery_stream_description }).unwrap()
    }

    #[cfg(test)]
    fn never_answered() -> &'static [&'static str] {
        super::description::NEVER
    }
}
