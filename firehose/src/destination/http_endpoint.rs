//! HTTP endpoints, after the specification that AWS gives to their makers.
//!
//! <https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{BufferHints, ContentEncoding, Delivery, DeliveryLogging, HttpTarget, Secret};
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use super::{Destination, Failure, GivingUp, Services, Shipment};
use crate::client::SendError;
use crate::identity::Identity;
use crate::pack::{HttpRecords, Packer};

/// How long an endpoint may take to answer.
const ANSWER: Duration = Duration::from_secs(180);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Characters of an answer that are told.
const TOLD: usize = 500;
/// The name of its failures in object names.
const ERROR_TYPE: &str = "http-endpoint-failed";

/// An endpoint.
pub(super) struct HttpEndpoint {
    target: HttpTarget,
    uri: Uri,
    /// Those that every request has.
    headers: HeaderMap,
    services: Arc<Services>,
}

impl HttpEndpoint {
    /// # Errors
    /// What cannot be sent: the URL, or a header. Nothing of them is repeated.
    pub fn new(delivery: &Delivery, target: &HttpTarget, services: Arc<Services>) -> Result<Self, String> {
        let uri = target.url.expose().parse().map_err(|_| "the endpoint's URL is none".to_owned())?;
        let headers = headers(delivery, target)?;
        Ok(Self { target: target.clone(), uri, headers, services })
    }

    fn is_gzip(&self) -> bool {
        self.target.encoding == Some(ContentEncoding::Gzip)
    }

    async fn attempt(&self, id: &str, body: Bytes) -> Result<(), Failure> {
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::post(self.uri.clone()).body(body).map_err(|error| {
            // Only a URL without a host comes here.
            failure("HttpEndpoint.ConnectionFailed", error.to_string())
        })?;
        *request.headers_mut() = self.headers.clone();
        let value = HeaderValue::from_str(id)
            .map_err(|error| failure("HttpEndpoint.ConnectionFailed", error.to_string()))?;
        request.headers_mut().insert("x-amz-firehose-request-id", value);
        let answer = self.services.client.send(request).await.map_err(|error| match error {
            SendError::Refused(why) => failure("HttpEndpoint.ConnectionFailed", why),
            SendError::Unreachable(why) => failure("HttpEndpoint.ConnectionFailed", why),
        })?;
        let (parts, body) = answer.into_parts();
        let body = read(body).await?;
        self.judge(id, parts.status, &parts.headers, &body)
    }

    /// Whether the endpoint has taken the request.
    fn judge(&self, id: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
        let told = self.told(body);
        if status != StatusCode::OK {
            let text = format!("The endpoint answered with status {}: {told}", status.as_u16());
            let is_final = status == StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Failure { code: "HttpEndpoint.DestinationException", text, is_final });
        }
        match check_answer(id, headers, body) {
            Ok(()) => Ok(()),
            Err(why) => {
                let text = format!("The endpoint's answer is not as the specification says: {why}: {told}");
                Err(failure("HttpEndpoint.InvalidResponseFromDestination", text))
            }
        }
    }

    /// The beginning of an answer, without the secrets that it may repeat.
    fn told(&self, body: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(body).into_owned();
        let attributes = self.target.attributes.iter().map(|(_, value)| value);
        let secrets = self.target.access_key.iter().chain(attributes).map(Secret::expose);
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "…");
        }
        text.chars().take(TOLD).collect()
    }
}

impl Destination for HttpEndpoint {
    fn buffer(&self) -> BufferHints {
        self.target.buffer
    }

    fn logging(&self) -> Option<&DeliveryLogging> {
        self.target.logging.as_ref()
    }

    fn packer(&self, line: &Identity) -> Box<dyn Packer> {
        Box::new(HttpRecords::new(self.is_gzip(), line.clone(), self.services.clock.now()))
    }

    fn send<'a>(&'a self, line: &'a Identity, shipment: &'a Shipment) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let id = HttpRecords::request_id(line, shipment.first, shipment.last);
            let attempt = self.attempt(&id, shipment.body.clone());
            tokio::time::timeout(ANSWER, attempt).await.unwrap_or_else(|_| {
                let text = "The endpoint did not answer within three minutes.".to_owned();
                Err(failure("HttpEndpoint.RequestTimeout", text))
            })
        })
    }

    fn giving_up(&self) -> Option<GivingUp<'_>> {
        Some(GivingUp {
            after: Duration::from_secs(self.target.retry_secs.into()),
            error_type: ERROR_TYPE,
            target: &self.target.backup,
        })
    }
}

fn failure(code: &'static str, text: String) -> Failure {
    Failure { code, text, is_final: false }
}

/// The headers of every request.
fn headers(delivery: &Delivery, target: &HttpTarget) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: &str| {
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("{name} has characters that no header can carry"))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, String>(())
    };
    add("x-amz-firehose-protocol-version", "1.0")?;
    add("x-amz-firehose-source-arn", &delivery.arn.to_string())?;
    if let Some(key) = &target.access_key {
        add("x-amz-firehose-access-key", key.expose())?;
    }
    if !target.attributes.is_empty() {
        let pairs = target.attributes.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let attributes: BTreeMap<&str, &str> = pairs.collect();
        let value = serde_json::json!({ "commonAttributes": attributes }).to_string();
        add("x-amz-firehose-common-attributes", &value)?;
    }
    if target.encoding == Some(ContentEncoding::Gzip) {
        add("content-encoding", "gzip")?;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// An answer's body, as far as it may be long.
async fn read(body: Incoming) -> Result<Bytes, Failure> {
    match Limited::new(body, ANSWER_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let text = format!("The endpoint's answer is longer than {ANSWER_BYTES} bytes.");
            Err(failure("HttpEndpoint.ResponseTooLarge", text))
        }
        Err(error) => {
            let text = format!("The endpoint's answer broke off: {error}");
            Err(failure("HttpEndpoint.ConnectionReset", text))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    request_id: String,
    timestamp: serde_json::Number,
}

/// Whether a body is the answer to the request with this id.
///
/// # Errors
/// What is wrong with it.
pub fn check_answer(id: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err("Content-Type is not application/json".into());
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.request_id != id {
        return Err("requestId is not the request's".into());
    }
    if answer.timestamp.as_i64().is_none() {
        return Err("timestamp is not in whole milliseconds".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))])
    }

    #[test]
    fn an_answer_repeats_the_id_and_has_a_time() {
        let check = |headers: &HeaderMap, body: &str| check_answer("id-1", headers, body.as_bytes());
        assert_eq!(check(&json(), r#"{"requestId":"id-1","timestamp":1578090903599,"more":1}"#), Ok(()));
        for bad in [
            "",
            "[]",
            "OK",
            r#"{"requestId":"id-2","timestamp":1}"#,
            r#"{"requestId":"id-1"}"#,
            r#"{"requestId":"id-1","timestamp":"now"}"#,
            r#"{"timestamp":1}"#,
        ] {
            assert!(check(&json(), bad).is_err(), "{bad}");
        }
        assert!(check(&HeaderMap::new(), r#"{"requestId":"id-1","timestamp":1}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_taken_or_refused(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = check_answer("id-1", &json(), &body);
        }
    }
}
