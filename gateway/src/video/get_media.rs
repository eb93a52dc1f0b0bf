//! GetMedia: a stream's fragments from a place on, as Matroska, and the new ones while they come.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_GetMedia.html>

mod delivery;
mod start;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use catalog::Action;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::MEDIA_ARN;
use crate::aws::wire::{Answer, Wire};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};
use delivery::Delivery;
use start::StartSelector;

/// The operation.
pub struct GetMedia;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    start_selector: Option<StartSelector>,
}

/// The answer: `ContentType` as header, `Payload` as body.
pub struct Output(Delivery);

impl Answer for Output {
    fn answer(self, _: Wire) -> Response {
        ([(CONTENT_TYPE, "video/webm")], Body::from_stream(self.0.pieces())).into_response()
    }
}

impl Operation for GetMedia {
    const NAME: &'static str = "GetMedia";
    const PATH: &'static str = "/getMedia";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::NotAuthorized,
        Code::InvalidEndpoint,
        Code::ClientLimitExceeded,
        Code::ConnectionLimitExceeded,
        Code::InvalidArgument,
    ];
    type Input = Input;
    type Output = Output;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check_as(MEDIA_ARN, check);
        check.structure("StartSelector", input.start_selector.as_ref(), true, StartSelector::check);
    }

    async fn call(context: Context, input: Input) -> Result<Output, Exception> {
        let stream = input.stream.find(&context, Action::Play)?;
        // What comes from here on rings.
        let bell = context.app.ingest.live(stream.id).watch();
        let after = input.start_selector.unwrap_or_default().resolve(&context.app, &stream).await?;
        Ok(Output(Delivery::new(context.app, context.principal, stream, after, bell)))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::json!({ "ContentType": "video/webm", "Payload": "" })
    }
}
