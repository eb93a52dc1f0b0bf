//! ListTagsForResource: the resource tags of a stream or a consumer, by name.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForResource.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::stream::check_id;
use super::tags::{RESOURCE_ERRORS, Tag, Tagged};
use crate::aws::check::Check;
use crate::aws::patterns::DATA_RESOURCE_ARN;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct ListTagsForResource;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    stream_id: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    tags: Vec<Tag>,
}

impl Operation for ListTagsForResource {
    const NAME: &'static str = "ListTagsForResource";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = RESOURCE_ERRORS;
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        let arn = check.text("ResourceARN", input.resource_arn.as_deref()).required();
        arn.length(1, 2048).pattern(DATA_RESOURCE_ARN);
        check_id(input.stream_id.as_deref(), check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let arn = input.resource_arn.unwrap_or_default();
        let tagged = Tagged::find(&context, &arn, input.stream_id)?;
        Ok(Json(Output { tags: tagged.tags().iter().map(Tag::from).collect() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let name = "name".to_owned();
        serde_json::to_value(Output { tags: vec![Tag::from((&name, &name))] }).unwrap()
    }
}
