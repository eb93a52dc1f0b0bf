//! DeleteStream: the stream, its records' key, and its consumers if that is enforced.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeleteStream.html>

use catalog::{Action, CatalogError};
use serde::Deserialize;

use super::stream::{StreamRef, refused};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DeleteStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    enforce_consumer_deletion: Option<bool>,
}

impl Operation for DeleteStream {
    const NAME: &'static str = "DeleteStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::LimitExceeded,
        Code::ResourceInUse,
        Code::InvalidArgument,
        Code::NotAuthorized,
    ];
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.boolean("EnforceConsumerDeletion", input.enforce_consumer_deletion.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        let stream = input.stream.find_own(&context, Action::Manage)?;
        let app = &context.app;
        let enforced = input.enforce_consumer_deletion.unwrap_or(false);
        match app.catalog.delete_data_stream(stream.id, enforced).await {
            Ok(()) => Ok(()),
            Err(CatalogError::HasConsumers(name)) => {
                let text = format!(
                    "Stream {name} under account {} has registered consumers: deregister them, or set \
                     EnforceConsumerDeletion.",
                    app.account
                );
                Err(Exception::new(Code::ResourceInUse, text))
            }
            Err(error) => Err(refused(app, &stream.name, error)),
        }
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
