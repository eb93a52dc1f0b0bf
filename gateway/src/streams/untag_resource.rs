//! UntagResource: removes resource tags from a stream or a consumer.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UntagResource.html>

use base::Tags;
use serde::Deserialize;

use super::stream::check_id;
use super::tags::{RESOURCE_ERRORS, Tagged};
use crate::aws::check::Check;
use crate::aws::patterns::DATA_RESOURCE_ARN;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UntagResource;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    tag_keys: Option<Vec<String>>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    stream_id: Option<String>,
}

impl Operation for UntagResource {
    const NAME: &'static str = "UntagResource";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = RESOURCE_ERRORS;
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        check.list("TagKeys", input.tag_keys.as_ref()).required().of(1, 50, (1, 128), None);
        let arn = check.text("ResourceARN", input.resource_arn.as_deref()).required();
        arn.length(1, 2048).pattern(DATA_RESOURCE_ARN);
        check_id(input.stream_id.as_deref(), check);
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let arn = input.resource_arn.unwrap_or_default();
        let tagged = Tagged::find(&context, &arn, input.stream_id)?;
        tagged.change(&context, Tags::new(), input.tag_keys.unwrap_or_default()).await
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
