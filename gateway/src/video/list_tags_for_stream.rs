//! ListTagsForStream: a stream's resource tags.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_ListTagsForStream.html>

use axum::Json;
use base::Tags;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::TOKEN;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct ListTagsForStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    next_token: Option<String>,
    #[serde(flatten)]
    stream: StreamRef,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    next_token: Option<String>,
    tags: Tags,
}

impl Operation for ListTagsForStream {
    const NAME: &'static str = "ListTagsForStream";
    const PATH: &'static str = "/listTagsForStream";
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
        check.text("NextToken", input.next_token.as_deref()).length(0, 1024).pattern(TOKEN);
        input.stream.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        // A stream's tags fit one page, so that no token was ever given out.
        if input.next_token.is_some_and(|token| !token.is_empty()) {
            return Err(Exception::invalid("NextToken is not one of this list."));
        }
        Ok(Json(Output { next_token: None, tags: stream.tags.clone() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { next_token: Some("t".into()), tags: Tags::new() }).unwrap()
    }
}
