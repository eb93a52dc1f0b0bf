//! ListTagsForStream: a stream's resource tags, by name.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForStream.html>

use axum::Json;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use super::tags::Tag;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// A stream has no more.
const DEFAULT_TAGS: i64 = 200;

/// The operation.
pub struct ListTagsForStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

impl Operation for ListTagsForStream {
    const NAME: &'static str = "ListTagsForStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::InvalidArgument, Code::LimitExceeded, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.text("ExclusiveStartTagKey", input.exclusive_start_tag_key.as_deref()).length(1, 128);
        check.number("Limit", input.limit.as_ref()).range(1, Some(50));
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?.stream;
        let after = input.exclusive_start_tag_key;
        let limit = usize::try_from(input.limit.unwrap_or(DEFAULT_TAGS)).unwrap_or(1);
        let mut left =
            stream.tags.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
        let tags = left.by_ref().take(limit).map(Tag::from).collect();
        Ok(Json(Output { tags, has_more_tags: left.next().is_some() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let name = "name".to_owned();
        let tags = vec![Tag::from((&name, &name))];
        serde_json::to_value(Output { tags, has_more_tags: false }).unwrap()
    }
}
