//! GetDataEndpoint: where the media APIs of a stream are served.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_GetDataEndpoint.html>

use axum::Json;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct GetDataEndpoint;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(rename = "APIName")]
    api_name: Option<Choice<ApiName>>,
}

/// What the endpoint is for. All are served under one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ApiName;

impl Closed for ApiName {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("PUT_MEDIA", Self),
        ("GET_MEDIA", Self),
        ("LIST_FRAGMENTS", Self),
        ("GET_MEDIA_FOR_FRAGMENT_LIST", Self),
        ("GET_HLS_STREAMING_SESSION_URL", Self),
        ("GET_DASH_STREAMING_SESSION_URL", Self),
        ("GET_CLIP", Self),
        ("GET_IMAGES", Self),
    ];
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    data_endpoint: String,
}

impl Operation for GetDataEndpoint {
    const NAME: &'static str = "GetDataEndpoint";
    const PATH: &'static str = "/getDataEndpoint";
    const ERRORS: &'static [Code] =
        &[Code::InvalidArgument, Code::ResourceNotFound, Code::ClientLimitExceeded, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.choice("APIName", input.api_name.as_ref()).required();
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        input.stream.find(&context, Action::Manage)?;
        Ok(Json(Output { data_endpoint: context.app.urls.of(&context.arrival).to_owned() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { data_endpoint: "http://127.0.0.1:4567".into() }).unwrap()
    }
}
