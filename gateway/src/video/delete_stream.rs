//! DeleteStream: destroys a stream's key, then its space.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_DeleteStream.html>

use axum::Json;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::find_by_arn;
use crate::aws::check::Check;
use crate::aws::patterns::{RESOURCE_ARN, VERSION};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DeleteStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    current_version: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for DeleteStream {
    const NAME: &'static str = "DeleteStream";
    const PATH: &'static str = "/deleteStream";
    const ERRORS: &'static [Code] = &[
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::NotAuthorized,
        Code::VersionMismatch,
        Code::ResourceInUse,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.text("StreamARN", input.stream_arn.as_deref()).required().length(1, 1024).pattern(RESOURCE_ARN);
        check.text("CurrentVersion", input.current_version.as_deref()).length(1, 64).pattern(VERSION);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = find_by_arn(&context, &input.stream_arn.unwrap_or_default())?;
        context.authorize(Action::Manage, &stream)?;
        context.app.catalog.delete_stream(stream.id, input.current_version.as_deref()).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
