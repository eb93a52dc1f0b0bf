//! UntagDeliveryStream: removes resource tags from a delivery stream.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_UntagDeliveryStream.html>

use axum::Json;
use catalog::DeliveryUpdate;
use serde::{Deserialize, Serialize};

use super::delivery::{change, check_name, find};
use super::tags::TAGS;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UntagDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    tag_keys: Option<Vec<String>>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for UntagDeliveryStream {
    const NAME: &'static str = "UntagDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::ResourceInUse, Code::InvalidArgument, Code::LimitExceeded];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        let keys = check.list("TagKeys", input.tag_keys.as_ref()).required();
        keys.of(1, TAGS as i64, (1, 128), None);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let keys = input.tag_keys.unwrap_or_default();
        change(&context, &delivery, DeliveryUpdate::RemoveTags(keys)).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
