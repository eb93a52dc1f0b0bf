//! TagResource: adds resource tags to a stream or a consumer, or changes their values.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_TagResource.html>

use base::Tags;
use serde::Deserialize;

use super::stream::check_id;
use super::tags::{RESOURCE_ERRORS, Tagged};
use crate::aws::check::Check;
use crate::aws::patterns::DATA_RESOURCE_ARN;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct TagResource;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    tags: Option<Tags>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    stream_id: Option<String>,
}

impl Operation for TagResource {
    const NAME: &'static str = "TagResource";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = RESOURCE_ERRORS;
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        check.tags("Tags", input.tags.as_ref()).required().of(1, 200, None);
        let arn = check.text("ResourceARN", input.resource_arn.as_deref()).required();
        arn.length(1, 2048).pattern(DATA_RESOURCE_ARN);
        check_id(input.stream_id.as_deref(), check);
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let arn = input.resource_arn.unwrap_or_default();
        let tagged = Tagged::find(&context, &arn, input.stream_id)?;
        tagged.change(&context, input.tags.unwrap_or_default(), Vec::new()).await
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
