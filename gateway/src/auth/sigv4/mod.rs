//! AWS Signature Version 4, the server's side, for any client.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
//!
//! The signature is checked over what arrived: exactly the headers that `SignedHeaders` names, the
//! Host header as sent (some clients drop the port from it), the path and query as sent. Nothing is
//! re-derived from what the server knows about itself.

mod canonical;
mod chunks;
pub mod signer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use ring::hmac;
use time::PrimitiveDateTime;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;

use super::AuthError;
use chunks::Chain;

pub use canonical::{encode, sha256_hex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const SKEW: Duration = Duration::from_secs(5 * 60);
/// A presigned URL lives a week at most.
const LONGEST_EXPIRY_SECS: u64 = 604_800;

/// What a request says about its own signature. Nothing in it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The access key whose secret must have signed.
    pub access_key_id: String,
    /// The service in the credential scope: `kinesisvideo`.
    pub service: String,
    /// What stands for the body in the canonical request.
    pub payload: Payload,
    scope: String,
    region: String,
    date: String,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
    amz_date: String,
    at: Timestamp,
    lifetime: Lifetime,
}

/// How long a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// In the Authorization header: five minutes either way.
    Header,
    /// In the query: as long as it says.
    Presigned(Duration),
}

/// What stands for the body in the canonical request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing declared: the SHA-256 of the body that arrives.
    Undeclared,
    /// `x-amz-content-sha256` with this digest, which the body must have.
    Digest(String),
    /// `UNSIGNED-PAYLOAD`: the body is not covered.
    Unsigned,
    /// `STREAMING-…`: the literal is covered, the body comes in chunks (`aws-chunked`).
    Streaming(String),
}

impl Claim {
    /// Reads the claim of a request; none when it carries no signature at all.
    ///
    /// # Errors
    /// [`AuthError::Incomplete`] when a part of it is missing or malformed.
    pub fn read(parts: &Parts) -> Result<Option<Self>, AuthError> {
        if let Some(header) = parts.headers.get(http::header::AUTHORIZATION) {
            let text = header.to_str().map_err(|_| incomplete("Authorization header is not ASCII."))?;
            if !text.starts_with("AWS4-") {
                return Ok(None);
            }
            return Self::from_header(text, &parts.headers).map(Some);
        }
        let query = canonical::query_pairs(parts.uri.query().unwrap_or(""));
        if query.iter().any(|(name, _)| name == "X-Amz-Signature" || name == "X-Amz-Algorithm") {
            return Self::from_query(&query, &parts.headers).map(Some);
        }
        Ok(None)
    }

    fn from_header(text: &str, headers: &HeaderMap) -> Result<Self, AuthError> {
        let rest = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(|| {
            incomplete(
                "Authorization header must begin with 'AWS4-HMAC-SHA256 ': no other algorithm is served.",
            )
        })?;
        let field = |name: &str| {
            rest.split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find_map(|(key, value)| (key == name).then_some(value))
                .ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let date = headers
            .get("x-amz-date")
            .or_else(|| headers.get(http::header::DATE))
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                incomplete(
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
                )
            })?;
        let payload = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        Self::build(
            field("Credential")?,
            field("SignedHeaders")?,
            field("Signature")?,
            date,
            payload,
            Lifetime::Header,
        )
    }

    fn from_query(query: &[(String, String)], headers: &HeaderMap) -> Result<Self, AuthError> {
        let find = |name: &str| query.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()));
        let field = |name: &str| {
            find(name)
                .ok_or_else(|| incomplete(&format!("AWS query-string parameters must include '{name}'.")))
        };
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete("X-Amz-Algorithm must be AWS4-HMAC-SHA256."));
        }
        let expires = field("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|secs| (1..=LONGEST_EXPIRY_SECS).contains(secs))
            .ok_or_else(|| incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800."))?;
        let header = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        Self::build(
            field("X-Amz-Credential")?,
            field("X-Amz-SignedHeaders")?,
            field("X-Amz-Signature")?,
            field("X-Amz-Date")?,
            find("X-Amz-Content-Sha256").or(header),
            Lifetime::Presigned(Duration::from_secs(expires)),
        )
    }

    fn build(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        date: &str,
        payload: Option<&str>,
        lifetime: Lifetime,
    ) -> Result<Self, AuthError> {
        let mut parts = credential.splitn(2, '/');
        let access_key_id = parts.next().unwrap_or_default().to_owned();
        let scope = parts.next().unwrap_or_default().to_owned();
        let [scope_date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
            return Err(incomplete(
                "Credential must have the form <access key id>/<yyyymmdd>/<region>/<service>/aws4_request.",
            ));
        };
        let (scope_date, region, service) = (scope_date.to_owned(), region.to_owned(), service.to_owned());
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_ascii_lowercase).collect();
        if !signed_headers.iter().any(|name| name == "host" || name == ":authority") {
            return Err(incomplete(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        let (at, amz_date) = read_date(date)?;
        Ok(Self {
            access_key_id,
            service,
            payload: Payload::read(payload)?,
            scope,
            region,
            date: scope_date,
            signed_headers,
            signature: from_hex(signature).ok_or_else(|| incomplete("Signature must be 64 hex digits."))?,
            amz_date,
            at,
            lifetime,
        })
    }

    /// Checks the time alone, before a body is waited for.
    ///
    /// # Errors
    /// [`AuthError::Time`] with AWS's texts.
    pub fn check_time(&self, now: Timestamp) -> Result<(), AuthError> {
        if self.date != self.amz_date[..8] {
            return Err(AuthError::Time(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{}', from '{}'.",
                self.date,
                &self.amz_date[..8],
                self.amz_date
            )));
        }
        let (sent, clock) = (&self.amz_date, amz_date(now));
        if self.at > now + SKEW {
            return Err(AuthError::Time(format!(
                "Signature not yet current: {sent} is still later than {} ({clock} + 5 min.)",
                amz_date(now + SKEW)
            )));
        }
        match self.lifetime {
            Lifetime::Header if self.at < now - SKEW => Err(AuthError::Time(format!(
                "Signature expired: {sent} is now earlier than {} ({clock} - 5 min.)",
                amz_date(now - SKEW)
            ))),
            Lifetime::Presigned(expires) if self.at + expires < now => Err(AuthError::Time(format!(
                "Signature expired: {} is now earlier than {clock}",
                amz_date(self.at + expires)
            ))),
            Lifetime::Header | Lifetime::Presigned(_) => Ok(()),
        }
    }

    /// Checks time and signature.
    ///
    /// `body_sha256` is the lower-case hex digest of the body that arrived; it is looked at only where
    /// the claim covers the body.
    ///
    /// # Errors
    /// [`AuthError::Time`] and [`AuthError::Signature`] with AWS's texts.
    pub fn verify(
        &self,
        parts: &Parts,
        body_sha256: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        self.check_time(now)?;
        let payload = match &self.payload {
            Payload::Undeclared => body_sha256,
            Payload::Digest(declared) if declared == body_sha256 => declared,
            Payload::Digest(_) => return Err(AuthError::BodyDigest),
            Payload::Unsigned => UNSIGNED,
            Payload::Streaming(literal) => literal,
        };
        if self.covers(parts, payload, secret) { Ok(()) } else { Err(AuthError::Signature) }
    }

    /// Checks time and signature of a request whose body is endless, and so not covered: whatever stands for
    /// it in the signature. Where nothing is declared, clients sign the digest of no body at all, or
    /// `UNSIGNED-PAYLOAD`.
    ///
    /// # Errors
    /// As [`Self::verify`]; [`AuthError::Incomplete`] for a body in chunks of `aws-chunked`.
    pub fn verify_head(&self, parts: &Parts, secret: &str, now: Timestamp) -> Result<(), AuthError> {
        self.check_time(now)?;
        let empty = sha256_hex(b"");
        let verified = match &self.payload {
            Payload::Undeclared => [&*empty, UNSIGNED].iter().any(|form| self.covers(parts, form, secret)),
            Payload::Digest(declared) => self.covers(parts, declared, secret),
            Payload::Unsigned => self.covers(parts, UNSIGNED, secret),
            Payload::Streaming(_) => {
                return Err(incomplete(
                    "The body of this operation is not taken in signed chunks: declare UNSIGNED-PAYLOAD.",
                ));
            }
        };
        if verified { Ok(()) } else { Err(AuthError::Signature) }
    }

    /// Whether the signature is that of the request with this in its body's place.
    fn covers(&self, parts: &Parts, payload: &str, secret: &str) -> bool {
        let key = signing_key(secret, &self.date, &self.region, &self.service);
        let queries = canonical::queries(parts.uri.query().unwrap_or(""));
        let matches = |path: &str| {
            queries.iter().any(|query| {
                let request = canonical::request(parts, path, query, &self.signed_headers, payload);
                let text = string_to_sign(&self.amz_date, &self.scope, &request);
                hmac::verify(&key, text.as_bytes(), &self.signature).is_ok()
            })
        };
        // Most clients encode the path once more before they sign it, some sign it as it is sent.
        let sent = parts.uri.path();
        let encoded = encode(sent.as_bytes(), true);
        matches(sent) || (encoded != sent && matches(&encoded))
    }

    /// The body that a verified request means: itself, or what is within its chunks.
    ///
    /// # Errors
    /// [`AuthError::BodyBroken`] for malformed chunks, [`AuthError::BodyDigest`] for one that was not signed.
    pub fn decode(&self, body: Bytes, secret: &str) -> Result<Bytes, AuthError> {
        let form = match &self.payload {
            Payload::Undeclared | Payload::Digest(_) | Payload::Unsigned => return Ok(body),
            Payload::Streaming(form) => form,
        };
        if form.starts_with("STREAMING-UNSIGNED-") {
            return chunks::decode(body, None);
        }
        let key = signing_key(secret, &self.date, &self.region, &self.service);
        let (amz_date, scope, previous) = (&*self.amz_date, &*self.scope, self.signature.clone());
        chunks::decode(body, Some(Chain { key: &key, amz_date, scope, previous }))
    }
}

impl Payload {
    fn read(declared: Option<&str>) -> Result<Self, AuthError> {
        match declared {
            None => Ok(Self::Undeclared),
            Some(UNSIGNED) => Ok(Self::Unsigned),
            Some(text) if text.starts_with("STREAMING-") => Ok(Self::Streaming(text.to_owned())),
            Some(text) if from_hex(text).is_some() => Ok(Self::Digest(text.to_ascii_lowercase())),
            Some(_) => Err(incomplete(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or 64 hex digits.",
            )),
        }
    }
}

fn incomplete(message: &str) -> AuthError {
    AuthError::Incomplete(message.to_owned())
}

/// `20150830T123600Z`, or the HTTP date of a `Date` header.
fn read_date(text: &str) -> Result<(Timestamp, String), AuthError> {
    let basic = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = PrimitiveDateTime::parse(text, &basic)
        .map(PrimitiveDateTime::assume_utc)
        .or_else(|_| time::OffsetDateTime::parse(text, &Rfc2822))
        .map_err(|_| incomplete("Date must be in ISO-8601 'basic format': 20150830T123600Z."))?;
    let at = Timestamp::from_millis(at.unix_timestamp().saturating_mul(1000));
    Ok((at, amz_date(at)))
}

fn amz_date(at: Timestamp) -> String {
    let basic = format_description!("[year][month][day]T[hour][minute][second]Z");
    at.to_utc().format(&basic).expect("a timestamp holds every field of the format")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> hmac::Key {
    let first = format!("AWS4{secret}");
    [date, region, service, "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
}

fn string_to_sign(amz_date: &str, scope: &str, canonical_request: &[u8]) -> String {
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{}", sha256_hex(canonical_request))
}
