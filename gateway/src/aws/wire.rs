//! How an AWS service writes requests, answers and errors.

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::cbor::counts_fit;
use crate::exception::{Code, Exception};

/// The form of one request, and so of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A path for each operation, JSON: Kinesis Video Streams.
    RestJson,
    /// `X-Amz-Target` names the operation, JSON 1.1.
    Json,
    /// `X-Amz-Target` names the operation, CBOR 1.1: what the AWS SDKs for Java speak to Kinesis.
    Cbor,
}

impl Wire {
    /// The form of a request that names its operation in `X-Amz-Target`; `None` for another content type.
    pub fn of_target(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        match text.split(';').next().unwrap_or(text).trim() {
            "application/x-amz-json-1.1" | "application/json" => Some(Self::Json),
            "application/x-amz-cbor-1.1" => Some(Self::Cbor),
            _ => None,
        }
    }

    /// The content type of answers.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::RestJson => "application/json",
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        })
    }

    /// Reads a request's body; an empty one stands for an input without members.
    ///
    /// # Errors
    /// SerializationException, in AWS's words where it has some.
    pub fn decode<T: DeserializeOwned + Default>(self, body: &Bytes) -> Result<T, Exception> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(T::default());
        }
        let read = match self {
            Self::RestJson => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Json => serde_json::from_slice(body).map_err(|error| in_aws_words(&error.to_string())),
            Self::Cbor if !counts_fit(body) => Err("A list or map ends before its last entry".to_owned()),
            Self::Cbor => ciborium::from_reader(&body[..]).map_err(|error| match error {
                ciborium::de::Error::Semantic(_, text) => in_aws_words(&text),
                broken => broken.to_string(),
            }),
        };
        read.map_err(|text| Exception::new(Code::Serialization, text))
    }

    /// A value in this form.
    pub fn encode(self, value: &impl Serialize) -> Vec<u8> {
        const WRITABLE: &str = "answers have text keys and no fallible parts";
        match self {
            Self::RestJson | Self::Json => serde_json::to_vec(value).expect(WRITABLE),
            Self::Cbor => {
                let mut bytes = Vec::new();
                ciborium::into_writer(value, &mut bytes).expect(WRITABLE);
                bytes
            }
        }
    }

    /// The HTTP status of an exception: in the target forms all are 400 but the server's own.
    pub fn status(self, code: Code) -> StatusCode {
        match (self, code) {
            (Self::RestJson, _) => code.status(),
            (_, Code::InternalFailure | Code::ServiceUnavailable | Code::FirehoseUnavailable) => {
                code.status()
            }
            (Self::Json | Self::Cbor, _) => StatusCode::BAD_REQUEST,
        }
    }

    /// The name of an exception: Kinesis Data Streams has other ones for two.
    pub fn name(self, code: Code) -> &'static str {
        match (self, code) {
            (Self::Json | Self::Cbor, Code::NotAuthorized) => "AccessDeniedException",
            (Self::Json | Self::Cbor, Code::InternalFailure) => "InternalFailureException",
            (Self::RestJson | Self::Json | Self::Cbor, _) => code.name(),
        }
    }

    /// An exception as an answer.
    pub fn refuse(self, exception: Exception) -> Response {
        if self == Self::RestJson {
            return exception.into_response();
        }
        let Exception { code, message } = exception;
        let name = self.name(code);
        let body = match code {
            Code::Serialization => json!({ "__type": name, "Message": message }),
            _ => json!({ "__type": name, "message": message }),
        };
        let mut response = self.answer(&body);
        *response.status_mut() = self.status(code);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(name));
        response
    }

    fn answer(self, value: &impl Serialize) -> Response {
        ([(CONTENT_TYPE, self.content_type())], self.encode(value)).into_response()
    }
}

/// What an operation answers.
pub trait Answer {
    /// As a response to a request of this form.
    fn answer(self, wire: Wire) -> Response;
}

impl<T: Serialize> Answer for Json<T> {
    fn answer(self, wire: Wire) -> Response {
        wire.answer(&self.0)
    }
}

/// Operations without an output answer with an empty body.
impl Answer for () {
    fn answer(self, wire: Wire) -> Response {
        [(CONTENT_TYPE, wire.content_type())].into_response()
    }
}

/// What serde says of a value of the wrong kind, as the service says it.
fn in_aws_words(error: &str) -> String {
    let text = error.rsplit_once(" at line ").map_or(error, |(text, _)| text);
    let Some((found, wanted)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return text.to_owned();
    };
    let wanted = match wanted {
        "a string" | "string" | "str" => "a String",
        "i64" | "integer" => "an Integer",
        "a boolean" | "bool" => "a Boolean",
        "f64" | "a time" => "a Timestamp",
        "a sequence" | "array" => return "Expected list or null".to_owned(),
        _ => "",
    };
    let class = match found.split(' ').next() {
        Some("sequence" | "array") => return "Start of list found where not expected".to_owned(),
        Some("map") => return "Start of structure or map found where not expected.".to_owned(),
        Some("string") => "String",
        Some("integer") => "Integer",
        Some("floating") => "Double",
        Some("boolean") => "Boolean",
        Some(_) | None => return text.to_owned(),
    };
    if wanted.is_empty() {
        return "Expected null".to_owned();
    }
    format!("class java.lang.{class} can not be converted to {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::values::{Blob, Epoch};
    use base::Timestamp;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Sample {
        text: Option<String>,
        number: Option<i64>,
        at: Option<Epoch>,
        data: Option<Blob>,
        list: Option<Vec<String>>,
    }

    fn sample() -> Sample {
        Sample {
            text: Some("ü".into()),
            number: Some(-7),
            at: Some(Epoch(Timestamp::from_millis(1_700_000_000_123))),
            data: Some(Blob(Bytes::from_static(b"\0\xff"))),
            list: Some(vec!["a".into()]),
        }
    }

    #[test]
    fn both_forms_round_trip() {
        for wire in [Wire::Json, Wire::Cbor] {
            let bytes = Bytes::from(wire.encode(&sample()));
            assert_eq!(wire.decode::<Sample>(&bytes), Ok(sample()), "{wire:?}");
        }
        let json = String::from_utf8(Wire::Json.encode(&sample())).unwrap();
        assert!(json.contains(r#""At":1700000000.123,"Data":"AP8=""#), "{json}");
    }

    /// Of the Amazon Ion and CBOR forms the SDKs agree on: blobs are byte strings, times are tag 1 over
    /// whole milliseconds, and any length may be left open.
    #[test]
    fn cbor_is_what_java_writes() {
        let bytes = Wire::Cbor.encode(&sample());
        let at = bytes.windows(3).position(|three| three == b"\x62At").unwrap();
        assert_eq!(bytes[at + 3..at + 13], [0xc1, 0x1b, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]);
        assert!(bytes.windows(3).any(|three| three == [0x42, 0, 0xff]), "a byte string of two");
        let open = b"\xbf\x64Text\x7f\x61a\x61b\xff\x64Data\x5f\x41\x01\x42\x02\x03\xff\
                     \x64List\x9f\x61x\xff\x62At\xc1\x19\x03\xe8\x65Other\xc1\x01\xff";
        let read = Wire::Cbor.decode::<Sample>(&Bytes::from_static(open)).unwrap();
        assert_eq!((read.text.unwrap(), read.list.unwrap()), ("ab".into(), vec!["x".to_owned()]));
        assert_eq!(
            (read.data.unwrap().0, read.at.unwrap().0.millis()),
            (Bytes::from_static(&[1, 2, 3]), 1000)
        );
    }

    #[test]
    fn wrong_kinds_are_told_in_aws_words() {
        for (body, text) in [
            (r#"{"Text": 7}"#, "class java.lang.Integer can not be converted to a String"),
            (r#"{"Number": "7"}"#, "class java.lang.String can not be converted to an Integer"),
            (r#"{"Number": [7]}"#, "Start of list found where not expected"),
            (r#"{"Text": {}}"#, "Start of structure or map found where not expected."),
            (r#"{"List": "a"}"#, "Expected list or null"),
            (r#"{"Data": "abc"}"#, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
            (r#"{"Data": "ab!="}"#, "Invalid Base64 character: '!'"),
            (r#"{"Data": "ab=="}"#, "Invalid last non-pad Base64 character dectected"),
        ] {
            let refused = Wire::Json.decode::<Sample>(&Bytes::from(body)).unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (Code::Serialization, text), "{body}");
        }
        let refused = Wire::Cbor.decode::<Sample>(&Bytes::from_static(b"\xa1\x64Text\x07")).unwrap_err();
        assert_eq!(refused.message, "class java.lang.Integer can not be converted to a String");
    }

    #[test]
    fn exceptions_take_the_form_of_their_request() {
        let refused = |wire: Wire, code| wire.refuse(Exception::new(code, "text"));
        assert_eq!(refused(Wire::Json, Code::ResourceNotFound).status(), 400);
        assert_eq!(refused(Wire::RestJson, Code::ResourceNotFound).status(), 404);
        assert_eq!(refused(Wire::Cbor, Code::InternalFailure).status(), 500);
        let answer = refused(Wire::Cbor, Code::NotAuthorized);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/x-amz-cbor-1.1");
        assert_eq!(answer.headers()["x-amzn-errortype"], "AccessDeniedException");
    }
}
