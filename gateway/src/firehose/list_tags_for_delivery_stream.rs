//! ListTagsForDeliveryStream: a delivery stream's resource tags, by name.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_ListTagsForDeliveryStream.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::delivery::{check_name, find};
use super::patterns;
use super::tags::{TAGS, Tag};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct ListTagsForDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
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

impl Operation for ListTagsForDeliveryStream {
    const NAME: &'static str = "ListTagsForDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::ResourceNotFound, Code::InvalidArgument, Code::LimitExceeded];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        let after = input.exclusive_start_tag_key.as_deref();
        check.text("ExclusiveStartTagKey", after).length(1, 128).pattern(patterns::TAG_KEY);
        check.number("Limit", input.limit.as_ref()).range(1, Some(TAGS as i64));
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let after = input.exclusive_start_tag_key;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS);
        let all = delivery.configuration.tags.iter();
        let mut left = all.filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
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
