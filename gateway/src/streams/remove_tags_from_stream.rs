//! RemoveTagsFromStream: removes resource tags from a stream.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RemoveTagsFromStream.html>

use base::Tags;
use catalog::Action;
use serde::Deserialize;

use super::stream::StreamRef;
use super::tags::{TAG_ERRORS, Tagged};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct RemoveTagsFromStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    tag_keys: Option<Vec<String>>,
}

impl Operation for RemoveTagsFromStream {
    const NAME: &'static str = "RemoveTagsFromStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = TAG_ERRORS;
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.list("TagKeys", input.tag_keys.as_ref()).required().of(1, 50, (1, 128), None);
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let found = input.stream.find(&context, Action::Manage)?;
        Tagged::Stream(found).change(&context, Tags::new(), input.tag_keys.unwrap_or_default()).await
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
