//! StopDeliveryStreamEncryption: tells no more that records are encrypted; they still are.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_StopDeliveryStreamEncryption.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::delivery::{check_name, find};
use super::source::encrypt;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct StopDeliveryStreamEncryption;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for StopDeliveryStreamEncryption {
    const NAME: &'static str = "StopDeliveryStreamEncryption";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::ResourceInUse, Code::InvalidArgument, Code::LimitExceeded];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        encrypt(&context, &delivery, false).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
