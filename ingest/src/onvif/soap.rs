//! SOAP 1.2 over HTTP, signed with a WS-UsernameToken's password digest or, where the device asks for it, HTTP Digest
//! (RFC 7616); never with both, as ONVIF's core specification demands (§5.9.4).
//!
//! <https://docs.oasis-open.org/wss/v1.1/wss-v1.1-spec-os-UsernameTokenProfile.pdf>

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Entropy, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog::Secret;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use outbound::{Client, SendError, Url};
use quick_xml::escape::escape;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::xml::{Element, XmlError};
use crate::pull::Credentials;
use crate::pull::challenge::Challenge;

/// Bytes of an answer.
const MOST: usize = 512 * 1024;
/// Characters of a fault that are told.
const FAULT_CHARS: usize = 200;

/// How to sign in at a device.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Why a device did not tell what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// An answer that is no SOAP.
    #[error("its answer cannot be read: {0}")]
    Xml(#[from] XmlError),
    /// An HTTP status without a fault.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// It wants to know who asks, and was not told.
    #[error("it wants a user name and a password")]
    Anonymous,
    /// It was told, and does not like it.
    #[error("it refuses the user name or the password")]
    Refused,
    /// A SOAP fault, in the device's words.
    #[error("it refuses: {0}")]
    Fault(String),
    /// Something is missing in an answer.
    #[error("its answer has no {0}")]
    Missing(&'static str),
    /// All of it took too long.
    #[error("it did not tell everything within {} s", .0.as_secs())]
    TooLong(Duration),
}

/// A conversation with one device.
pub(super) struct Dialogue<'a> {
    pub(super) client: &'a Client,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) login: Option<&'a Login>,
    /// What the device has asked for by HTTP.
    pub(super) challenge: Mutex<Option<Challenge>>,
}

impl Dialogue<'_> {
    /// Calls an operation, signed where there is a login and `now` says what time the device has; answers
    /// with what is in the answer's body.
    pub(super) async fn call(
        &self,
        url: &Url,
        body: &str,
        now: Option<Timestamp>,
    ) -> Result<Element, DeviceError> {
        let answer = self.post(url, body, now).await?;
        let answer = if self.is_challenged(&answer) { self.post(url, body, now).await? } else { answer };
        read(answer.status(), answer.body(), self.login.is_some())
    }

    async fn post(
        &self,
        url: &Url,
        body: &str,
        now: Option<Timestamp>,
    ) -> Result<Response<Bytes>, DeviceError> {
        let proof = self.proof(url);
        let now = now.filter(|_| proof.is_none());
        let signed = now.and_then(|now| Some(security(self.login?, &self.entropy.bytes::<16>(), now)));
        let envelope = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>{}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#,
            signed.unwrap_or_default()
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/soap+xml; charset=utf-8"));
        // Few calls follow, and not all devices get along with connections that are kept.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(proof.map(|proof| (AUTHORIZATION, proof)));
        Ok(self.client.post(url, headers, Bytes::from(envelope), MOST).await?)
    }

    /// Whether the device wants HTTP Digest, which it may get: it is kept for the calls that follow. The password
    /// itself (Basic) is given to nobody.
    fn is_challenged(&self, answer: &Response<Bytes>) -> bool {
        let values =
            answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = Challenge::parse(&values.collect::<Vec<_>>().join(", "));
        let digest = challenge.filter(|challenge| matches!(challenge, Challenge::Digest(_)));
        let wanted = answer.status() == StatusCode::UNAUTHORIZED && self.login.is_some();
        let met = wanted && digest.is_some();
        if met {
            *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        }
        met
    }

    /// The `Authorization` header, where the device has asked for one.
    fn proof(&self, url: &Url) -> Option<HeaderValue> {
        let Login { username, password } = self.login?;
        let who = Credentials { username: Secret::new(username.as_str()), password: password.clone() };
        let mut challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = challenge.as_mut()?.answer(&who, "POST", url.target(), self.entropy);
        HeaderValue::from_str(&answer).ok()
    }
}

/// What is in an answer's body.
fn read(status: StatusCode, bytes: &[u8], login: bool) -> Result<Element, DeviceError> {
    let denied = || if login { DeviceError::Refused } else { DeviceError::Anonymous };
    let envelope = match Element::parse(bytes) {
        Ok(envelope) => envelope,
        Err(_) if status == StatusCode::UNAUTHORIZED => return Err(denied()),
        Err(_) if !status.is_success() => return Err(DeviceError::Status(status)),
        Err(error) => return Err(error.into()),
    };
    let Some(body) = envelope.children.into_iter().find(|child| child.name == "Body") else {
        let missing = DeviceError::Missing("SOAP body");
        return Err(if status.is_success() { missing } else { DeviceError::Status(status) });
    };
    if let Some(fault) = body.at(&["Fault"]) {
        let code = fault.text_at(&["Code", "Subcode", "Value"]).unwrap_or("");
        let inner = fault.text_at(&["Code", "Subcode", "Subcode", "Value"]).unwrap_or("");
        if [code, inner]
            .iter()
            .any(|code| code.ends_with("NotAuthorized") || code.ends_with("FailedAuthentication"))
        {
            return Err(denied());
        }
        let text = fault.text_at(&["Reason", "Text"]).unwrap_or(code);
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        return Err(DeviceError::Fault(plain.take(FAULT_CHARS).collect()));
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(denied()),
        status if status.is_success() => Ok(body),
        status => Err(DeviceError::Status(status)),
    }
}

/// The header that signs in: Base64(SHA-1(nonce + created + password)).
fn security(login: &Login, nonce: &[u8], created: Timestamp) -> String {
    let created = created.to_string();
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in [nonce, created.as_bytes(), login.password.expose().as_bytes()] {
        context.update(part);
    }
    let (digest, nonce) = (STANDARD.encode(context.finish()), STANDARD.encode(nonce));
    let username = escape(&login.username);
    format!(
        r#"<w:Security s:mustUnderstand="1" xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><w:UsernameToken><w:Username>{username}</w:Username><w:Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{digest}</w:Password><w:Nonce EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary">{nonce}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the ONVIF Application Programmer's Guide.
    #[test]
    fn the_digest_is_that_of_the_guide() {
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        for part in [&nonce[..], b"2010-09-16T07:50:45Z", b"userpassword"] {
            context.update(part);
        }
        assert_eq!(STANDARD.encode(context.finish()), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
        let login = Login { username: "a<b".into(), password: Secret::new("userpassword") };
        let header = security(&login, &nonce, Timestamp::from_millis(1_284_623_445_000));
        assert!(header.contains("<w:Username>a&lt;b</w:Username>"), "{header}");
        assert!(header.contains("LKqI6G/AikKCQrN0zqZFlg==") && header.contains("2010-09-16T07:50:45.000Z"));
        assert!(!header.contains("userpassword"));
        Element::parse(header.as_bytes()).unwrap();
    }

    #[test]
    fn refusals_are_told_apart() {
        let fault = |value: &str, text: &str| {
            format!(
                "<e:Envelope><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>{value}</e:Value>\
                 </e:Subcode></e:Code><e:Reason><e:Text>{text}</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>"
            )
        };
        let bad = StatusCode::BAD_REQUEST;
        let denied = fault("ter:NotAuthorized", "no");
        assert!(matches!(read(bad, denied.as_bytes(), true), Err(DeviceError::Refused)));
        assert!(matches!(read(bad, denied.as_bytes(), false), Err(DeviceError::Anonymous)));
        assert!(matches!(read(StatusCode::UNAUTHORIZED, b"", true), Err(DeviceError::Refused)));
        let other = fault("ter:ActionNotSupported", &format!("not\u{7f}here{}", "!".repeat(400)));
        let Err(DeviceError::Fault(text)) = read(bad, other.as_bytes(), true) else { panic!("{other}") };
        assert_eq!((text.chars().count(), text.starts_with("not here")), (200, true));
        assert!(matches!(read(bad, b"<html>", true), Err(DeviceError::Status(_))));
        assert!(matches!(read(StatusCode::OK, b"<html>", true), Err(DeviceError::Xml(_))));
        assert!(matches!(read(StatusCode::OK, b"<a/>", true), Err(DeviceError::Missing(_))));
        let good = b"<e:Envelope><e:Body><x>1</x></e:Body></e:Envelope>";
        assert_eq!(read(StatusCode::OK, good, true).unwrap().text_at(&["x"]), Some("1"));
    }
}
