//! DescribeEdgeConfiguration: a stream's edge configuration, and how recording is doing.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_DescribeEdgeConfiguration.html>

use axum::Json;
use catalog::CatalogError;
use serde::{Deserialize, Serialize};

use super::edge::{AgentStatus, Described, find};
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeEdgeConfiguration;

/// The request.
#[derive(Debug, Default, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    #[serde(flatten)]
    described: Described,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge_agent_status: Option<AgentStatus>,
}

impl Operation for DescribeEdgeConfiguration {
    const NAME: &'static str = "DescribeEdgeConfiguration";
    const PATH: &'static str = "/describeEdgeConfiguration";
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
        let app = &context.app;
        let source = app.catalog.source(stream.id);
        let described = source.and_then(|source| Described::of(app, &stream, &source));
        let described = described.ok_or_else(|| CatalogError::NoSuchEdge(stream.name.clone()))?;
        Ok(Json(Output { described, edge_agent_status: AgentStatus::of(app, stream.id) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let mut sample = super::edge::tests::sample();
        sample["EdgeAgentStatus"] = super::edge::tests::sample_status();
        sample
    }
}
