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
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outbound::{SendError, Url};
use serde::Deserialize;

use super::{Destination, Failure, GivingUp, Services, Shipment};
use crate::identity::Identity;
use crate::pack::{HttpRecords, Packer};

/// How long an endpoint may take to answer: the time that [`crate::Options::client`] has to have.
pub const ANSWER: Duration = Duration::from_secs(180);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Characters of an answer that are told.
const TOLD: usize = 500;
/// The name of its failures in object names.
const ERROR_TYPE: &str = "http-endpoint-failed";

/// An endpoint.
pub(super) struct HttpEndpoint {
    target: HttpTarget,
    url: Url,
    /// Those that every request has.
    headers: HeaderMap,
    services: Arc<Services>,
}

impl HttpEndpoint {
    /// # Errors
    /// What cannot be sent: the URL, or a header. Nothing of them is repeated.
    pub fn new(delivery: &Delivery, target: &HttpTarget, services: Arc<Services>) -> Result<Self, String> {
        let url = Url::parse(target.url.expose()).map_err(|error| format!("the endpoint's URL {error}"))?;
        let headers = headers(delivery, target)?;
        Ok(Self { target: target.clone(), url, headers, services })
    }

    fn is_gzip(&self) -> bool {
        self.target.encoding == Some(ContentEncoding::Gzip)
    }

    async fn attempt(&self, id: &str, body: Bytes) -> Result<(), Failure> {
        let mut headers = self.headers.clone();
        let id_header = HeaderValue::from_str(id)
            .map_err(|error| failure("HttpEndpoint.ConnectionFailed", error.to_string()))?;
        headers.insert("x-amz-firehose-request-id", id_header);
        let answer =
            self.services.client.post(&self.url, headers, body, ANSWER_BYTES).await.map_err(unanswered)?;
        self.judge(id, answer.status(), answer.headers(), answer.body())
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
        let path = Some(self.url.target()).filter(|path| *path != "/");
        let secrets = self.target.access_key.iter().chain(attributes).map(Secret::expose).chain(path);
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
            self.attempt(&id, shipment.body.clone()).await
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

/// No answer, or not all of one.
fn unanswered(error: SendError) -> Failure {
    match error {
        SendError::TimedOut(ANSWER) => failure(
            "HttpEndpoint.RequestTimeout",
            "The endpoint did not answer within three minutes.".to_owned(),
        ),
        SendError::TooLarge(most) => {
            let text = format!("The endpoint's answer is longer than {most} bytes.");
            failure("HttpEndpoint.ResponseTooLarge", text)
        }
        SendError::BrokeOff(why) => {
            failure("HttpEndpoint.ConnectionReset", format!("The endpoint's answer broke off: {why}"))
        }
        other => failure("HttpEndpoint.ConnectionFailed", other.to_string()),
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
