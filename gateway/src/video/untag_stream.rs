//! UntagStream: removes resource tags from a stream.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_UntagStream.html>

use axum::Json;
use catalog::{Action, StreamUpdate};
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::TAG_NAME;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UntagStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    tag_key_list: Option<Vec<String>>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for UntagStream {
    const NAME: &'static str = "UntagStream";
    const PATH: &'static str = "/untagStream";
    const ERRORS: &'static [Code] = &[
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::NotAuthorized,
        Code::InvalidResourceFormat,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.list("TagKeyList", input.tag_key_list.as_ref()).required().of(1, 50, (1, 128), Some(TAG_NAME));
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        let update = StreamUpdate::RemoveTags(input.tag_key_list.unwrap_or_default());
        context.app.catalog.update_stream(stream.id, None, update).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
