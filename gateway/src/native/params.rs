//! Query parameters and JSON bodies: read strictly, refused by name.

use std::sync::Arc;

use axum::extract::{self, FromRequest, FromRequestParts, Query, Request};
use base::{StreamName, Timestamp};
use http::request::Parts;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use playback::{ClockKind, Window};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::app::App;
use crate::error::ApiError;

/// Query parameters that sign the request: none of the route's business.
const SIGNING: &str = "x-amz-";

/// A request's query, every parameter once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query of which only these names are known.
    pub(super) fn read(uri: &Uri, known: impl Iterator<Item = &'static str>) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| ApiError::invalid("the query cannot be read: write it as name=value&name=value"))?;
        let known: Vec<&str> = known.collect();
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            if name.to_ascii_lowercase().starts_with(SIGNING) {
                continue;
            }
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let name: String = name.chars().take(40).collect();
                let text = format!("{name:?} is not a parameter here; these are: {known}");
                return Err(ApiError::invalid(text));
            }
            if params.iter().any(|(given, _)| *given == name) {
                return Err(bad(&name, "stands there twice"));
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    /// The parameter as it stands there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A time.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.text(name).map(Timestamp::parse).transpose().map_err(|error| bad(name, &error.to_string()))
    }

    /// `true` or `false`; the latter where it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        let read = |text: &str| text.parse().map_err(|_| bad(name, "must be true or false"));
        self.text(name).map_or(Ok(false), read)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(
        &self,
        name: &str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, ApiError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| bad(name, &format!("must be a whole number from {least} to {most}")))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let read = |text: &str| text.parse().map_err(|_| bad(name, "must be true or false"));
        self.text(name).map(read).transpose()
    }

    /// One of these words.
    pub(super) fn choice(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let known = |text: &str| words.iter().find(|word| **word == text).copied();
        let read = |text| known(text).ok_or_else(|| bad(name, &format!("must be {}", words.join(" or "))));
        self.text(name).map(read).transpose()
    }

    /// `start`, `end` and `clock`.
    pub(super) fn window(&self) -> Result<Window, ApiError> {
        let clock = self.text("clock").map(clock).transpose()?.unwrap_or(ClockKind::Producer);
        window(clock, self.time("start")?, self.time("end")?)
    }
}

/// The token of a signed URL, looked for before anything else of the query is.
pub(super) fn token(uri: &Uri) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().find_map(|(name, value)| (name == "token").then_some(value))
}

/// A window whose end is not before its start.
pub(super) fn window(
    clock: ClockKind,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
) -> Result<Window, ApiError> {
    match (start, end) {
        (Some(start), Some(end)) if end < start => Err(bad("end", "is before start")),
        _ => Ok(Window { clock, start, end }),
    }
}

/// A clock by its name.
pub(super) fn clock(name: &str) -> Result<ClockKind, ApiError> {
    match name {
        "producer" => Ok(ClockKind::Producer),
        "server" => Ok(ClockKind::Server),
        _ => Err(bad("clock", "must be producer or server")),
    }
}

/// A refusal that names the parameter or body member.
pub(super) fn bad(name: &str, why: &str) -> ApiError {
    ApiError::invalid(format!("{name}: {why}"))
}

/// The stream that the path names.
pub(super) struct Named(pub(super) StreamName);

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Path {
            name: String,
        }
        let path = <extract::Path<Path> as FromRequestParts<_>>::from_request_parts(parts, app).await;
        let extract::Path(Path { name }) = path.map_err(|error| bad("name", &error.body_text()))?;
        StreamName::new(&name).map(Self).map_err(|error| bad("name", &error.to_string()))
    }
}

/// A JSON body; none at all counts as `{}`. Refused with 400 saying where the text is not JSON, or which
/// member does not belong or fit; with 413 beyond the limit of a JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.limits.json_body_bytes;
        let read = Limited::new(request.into_body(), limit).collect().await;
        let bytes = read.map_err(|error| {
            let too_large = error.is::<LengthLimitError>();
            let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
            let message = format!("the body is larger than {limit} bytes, or broke off");
            ApiError { status, code: "invalid_body", message }
        })?;
        parse(&bytes.to_bytes()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("the body: {error}")))
}

/// For `#[serde(deserialize_with)]`: a time as ISO 8601 text or as a number of epoch seconds or milliseconds.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(serde_json::Number),
    }
    let written = Option::<Written>::deserialize(deserializer)?;
    let text = written.map(|written| match written {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    });
    text.map(|text| Timestamp::parse(&text)).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Params, ApiError> {
        let uri = format!("/v1/x?{query}").parse().unwrap();
        Params::read(&uri, ["start", "end", "clock", "limit"].into_iter())
    }

    fn refusal(query: &str) -> String {
        let all = |params: Params| params.window().and_then(|_| params.whole("limit", 1, 1, 10));
        read(query).and_then(all).unwrap_err().message
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, name) in [
            ("start=yesterday", "start"),
            ("start=1&start=2", "start"),
            ("start=2000-01-02T00:00:00Z&end=2000-01-01T00:00:00Z", "end"),
            ("clock=sundial", "clock"),
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("limits=1", "limits"),
        ] {
            assert!(refusal(query).contains(name), "{query}: {}", refusal(query));
        }
    }

    #[test]
    fn signed_queries_and_encoded_values_are_read() {
        let params = read("X-Amz-Signature=0&start=2026-01-01T12%3A00%3A00%2B01:00").unwrap();
        let window = params.window().unwrap();
        assert_eq!(window.start, Some(Timestamp::from_millis(1_767_265_200_000)));
        assert_eq!((window.end, window.clock), (None, ClockKind::Producer));
    }

    #[test]
    fn bodies_take_both_forms_of_time() {
        #[derive(Deserialize)]
        struct Wanted {
            #[serde(default, deserialize_with = "time")]
            start: Option<Timestamp>,
        }
        let noon = Some(Timestamp::from_millis(1_767_268_800_000));
        for text in [r#"{"start": "2026-01-01T12:00:00Z"}"#, r#"{"start": 1767268800}"#] {
            let read: Wanted = parse(text.as_bytes()).unwrap();
            assert_eq!(read.start, noon, "{text}");
        }
        assert_eq!(parse::<Wanted>(b"").unwrap().start, None);
        assert!(parse::<Wanted>(b"{\"start\": \"noon\"}").is_err());
    }
}
