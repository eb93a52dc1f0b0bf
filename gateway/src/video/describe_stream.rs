//! DescribeStream: what is known about a stream.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_DescribeStream.html>

use axum::Json;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::{StreamInfo, StreamRef};
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DescribeStream;

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
    stream_info: StreamInfo,
}

impl Operation for DescribeStream {
    const NAME: &'static str = "DescribeStream";
    const PATH: &'static str = "/describeStream";
    const ERRORS: &'static [Code] =
        &[Code::InvalidArgument, Code::ResourceNotFound, Code::ClientLimitExceeded, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        Ok(Json(Output { stream_info: StreamInfo::from(&*stream) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let stream_info = StreamInfo::from(&super::stream::tests::sample_stream());
        serde_json::to_value(Output { stream_info }).unwrap()
    }
}
