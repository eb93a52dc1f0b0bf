//! TagStream: adds resource tags to a stream.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_TagStream.html>

use axum::Json;
use base::Tags;
use catalog::{Action, StreamUpdate};
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct TagStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    tags: Option<Tags>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for TagStream {
    const NAME: &'static str = "TagStream";
    const PATH: &'static str = "/tagStream";
    const ERRORS: &'static [Code] = &[
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::NotAuthorized,
        Code::InvalidResourceFormat,
        Code::TagsPerResourceExceededLimit,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.tags("Tags", input.tags.as_ref()).required().count(1, 50);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        let update = StreamUpdate::AddTags(input.tags.unwrap_or_default());
        context.app.catalog.update_stream(stream.id, None, update).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
