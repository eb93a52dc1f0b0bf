//! UpdateStream: changes device name and media type.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_UpdateStream.html>

use axum::Json;
use catalog::{Action, StreamUpdate};
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::{MEDIA_TYPE, STREAM_NAME, VERSION};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UpdateStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    current_version: Option<String>,
    device_name: Option<String>,
    media_type: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for UpdateStream {
    const NAME: &'static str = "UpdateStream";
    const PATH: &'static str = "/updateStream";
    const ERRORS: &'static [Code] = &[
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::ResourceInUse,
        Code::NotAuthorized,
        Code::VersionMismatch,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check
            .text("CurrentVersion", input.current_version.as_deref())
            .required()
            .length(1, 64)
            .pattern(VERSION);
        check.text("DeviceName", input.device_name.as_deref()).length(1, 128).pattern(STREAM_NAME);
        check.text("MediaType", input.media_type.as_deref()).length(1, 128).pattern(MEDIA_TYPE);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        let update = StreamUpdate::Fields { device_name: input.device_name, media_type: input.media_type };
        context.app.catalog.update_stream(stream.id, input.current_version.as_deref(), update).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
