//! StartEdgeConfigurationUpdate: pulls a stream from the camera whose URL is in a secret.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_StartEdgeConfigurationUpdate.html>

use std::time::Duration;

use axum::Json;
use ingest::pull::{Schedule, SourceUrl};
use serde::Deserialize;

use super::edge::{Described, EdgeConfig, find};
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct StartEdgeConfigurationUpdate;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    edge_config: Option<EdgeConfig>,
}

impl Operation for StartEdgeConfigurationUpdate {
    const NAME: &'static str = "StartEdgeConfigurationUpdate";
    const PATH: &'static str = "/startEdgeConfigurationUpdate";
    const ERRORS: &'static [Code] = &[
        Code::EdgeAccessDenied,
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::NoDataRetention,
        Code::ResourceInUse,
        Code::ResourceNotFound,
    ];
    type Input = Input;
    type Output = Json<Described>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.structure("EdgeConfig", input.edge_config.as_ref(), true, EdgeConfig::check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Described>, Exception> {
        let stream = find(&input.stream, &context)?;
        let app = &context.app;
        if stream.retention.is_zero() {
            let text = "The stream keeps nothing: raise its data retention with UpdateDataRetention.";
            return Err(Exception::new(Code::NoDataRetention, text));
        }
        if app.pullers.configured(&stream.name).is_some() {
            let text =
                "The server's configuration file says where this stream is pulled from: take it out there.";
            return Err(Exception::new(Code::ResourceInUse, text));
        }
        let edge = input.edge_config.unwrap_or_default().wanted(&stream)?;
        if let Some(schedule) = &edge.schedule {
            let duration = Duration::from_secs(schedule.duration_secs.into());
            Schedule::parse(&schedule.expression, duration)
                .map_err(|error| Exception::invalid(format!("ScheduleExpression {error}.")))?;
        }
        let secret = app.catalog.media_secret_by_arn(&edge.secret_arn);
        let Some(secret) = secret else {
            let text = "There is no secret with this MediaUriSecretArn: PUT /v1/secrets/NAME makes one.";
            return Err(Exception::new(Code::ResourceNotFound, text));
        };
        let refuse = |why: &dyn std::fmt::Display| {
            Exception::invalid(format!("The MediaURI in the secret cannot be pulled from: {why}."))
        };
        let url = SourceUrl::parse(secret.media_uri.expose()).map_err(|error| refuse(&error))?;
        app.pullers.check(&url).await.map_err(|error| refuse(&error))?;
        let source = app.catalog.set_edge(stream.id, edge).await?;
        let described = Described::of(app, &stream, &source);
        described
            .map(Json)
            .ok_or_else(|| Exception::internal(&"a source without the edge configuration it was set by"))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        super::edge::tests::sample()
    }
}
