//! DeleteDeliveryStream: the delivery stream, and what was put to it and is not delivered.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeleteDeliveryStream.html>

use axum::Json;
use catalog::CatalogError;
use serde::{Deserialize, Serialize};

use super::delivery::{absent, check_name, find, refused};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DeleteDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    allow_force_delete: Option<bool>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for DeleteDeliveryStream {
    const NAME: &'static str = "DeleteDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::ResourceInUse, Code::ResourceNotFound];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        // It is for keys whose grants cannot be retired: nothing keeps a stream from being deleted here.
        check.boolean("AllowForceDelete", input.allow_force_delete.as_ref());
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let app = &context.app;
        app.catalog.delete_delivery(delivery.id).await.map_err(|error| match error {
            CatalogError::NoSuchDelivery(_) => absent(app, delivery.configuration.name.as_str()),
            other => refused(app, other),
        })?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
