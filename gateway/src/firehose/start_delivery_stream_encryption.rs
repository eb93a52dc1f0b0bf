//! StartDeliveryStreamEncryption: tells that records are encrypted, which they are in any case.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_StartDeliveryStreamEncryption.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::delivery::{check_name, find};
use super::source::{Encryption, encrypt};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct StartDeliveryStreamEncryption;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    delivery_stream_encryption_configuration_input: Option<Encryption>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for StartDeliveryStreamEncryption {
    const NAME: &'static str = "StartDeliveryStreamEncryption";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::ResourceInUse,
        Code::InvalidArgument,
        Code::LimitExceeded,
        Code::InvalidKmsResource,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        let encryption = input.delivery_stream_encryption_configuration_input.as_ref();
        check.structure("DeliveryStreamEncryptionConfigurationInput", encryption, false, Encryption::check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        encrypt(&context, &delivery, true).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
