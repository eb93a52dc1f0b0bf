//! TagDeliveryStream: adds resource tags to a delivery stream, or changes their values.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_TagDeliveryStream.html>

use axum::Json;
use catalog::DeliveryUpdate;
use serde::{Deserialize, Serialize};

use super::delivery::{change, check_name, find};
use super::tags::{TAGS, Tag, check_tags, tags};
use crate::aws::check::Check;
use crate::aws::values::capped;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct TagDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    #[serde(deserialize_with = "capped::<_, _, TAGS>")]
    tags: Option<Vec<Tag>>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for TagDeliveryStream {
    const NAME: &'static str = "TagDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::ResourceInUse, Code::InvalidArgument, Code::LimitExceeded];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        check_tags(input.tags.as_ref(), true, check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let tags = tags(input.tags)?;
        change(&context, &delivery, DeliveryUpdate::AddTags(tags)).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
