//! DeleteEdgeConfiguration: pulls a stream no more. What was recorded stays, since the stream has it.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_DeleteEdgeConfiguration.html>

use axum::Json;
use serde::{Deserialize, Serialize};

use super::edge::find;
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DeleteEdgeConfiguration;

/// The request.
#[derive(Debug, Default, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for DeleteEdgeConfiguration {
    const NAME: &'static str = "DeleteEdgeConfiguration";
    const PATH: &'static str = "/deleteEdgeConfiguration";
    const ERRORS: &'static [Code] = &[
        Code::EdgeAccessDenied,
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::StreamEdgeConfigurationNotFound,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = find(&input.stream, &context)?;
        context.app.catalog.remove_edge(stream.id).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
