//! GetMediaForFragmentList: the media of chosen fragments, as Matroska.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_reader_GetMediaForFragmentList.html>

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::FragmentNumber;
use catalog::Action;
use http::header::CONTENT_TYPE;
use playback::ByteStream;
use serde::Deserialize;

use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::DIGITS;
use crate::aws::wire::{Answer, Wire};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct GetMediaForFragmentList;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    fragments: Option<Vec<String>>,
}

/// The answer: `ContentType` as header, `Payload` as body.
pub struct Output(ByteStream);

impl Answer for Output {
    fn answer(self, _: Wire) -> Response {
        ([(CONTENT_TYPE, "video/webm")], Body::from_stream(self.0)).into_response()
    }
}

impl Operation for GetMediaForFragmentList {
    const NAME: &'static str = "GetMediaForFragmentList";
    const PATH: &'static str = "/getMediaForFragmentList";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::InvalidArgument, Code::ClientLimitExceeded, Code::NotAuthorized];
    type Input = Input;
    type Output = Output;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.list("Fragments", input.fragments.as_ref()).required().of(1, 1000, (1, 128), Some(DIGITS));
    }

    async fn call(context: Context, input: Input) -> Result<Output, Exception> {
        let stream = input.stream.find(&context, Action::Play)?;
        let asked = input.fragments.unwrap_or_default();
        // Digits that no installation of ours gives out name a fragment that is not there.
        let numbers: Vec<FragmentNumber> =
            asked.iter().filter_map(|text| FragmentNumber::parse(text).ok()).collect();
        if numbers.is_empty() {
            return Err(Exception::new(Code::ResourceNotFound, "None of the fragments is found."));
        }
        Ok(Output(context.app.playback.matroska(stream.id, &numbers).await?))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::json!({ "ContentType": "video/webm", "Payload": "" })
    }
}
