//! AddTagsToStream: adds resource tags to a stream, or changes their values.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_AddTagsToStream.html>

use base::Tags;
use catalog::Action;
use serde::Deserialize;

use super::stream::StreamRef;
use super::tags::{TAG_ERRORS, Tagged};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct AddTagsToStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    tags: Option<Tags>,
}

impl Operation for AddTagsToStream {
    const NAME: &'static str = "AddTagsToStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = TAG_ERRORS;
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.tags("Tags", input.tags.as_ref()).required().of(1, 200, None);
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let found = input.stream.find(&context, Action::Manage)?;
        Tagged::Stream(found).change(&context, input.tags.unwrap_or_default(), Vec::new()).await
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
