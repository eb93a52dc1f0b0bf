//! The client's side: how `millrace keys` talks to a running server, and how tests do.

use base::Timestamp;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::request::Parts;
use ring::hmac;

use super::{ALGORITHM, amz_date, canonical, signing_key, string_to_sign};

/// A pair that signs requests.
#[derive(Clone)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret: String,
}

/// The region and service of a credential scope.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `us-east-1`
    pub region: &'a str,
    /// `kinesisvideo`
    pub service: &'a str,
}

/// Adds `x-amz-date` and `Authorization` over every header that is there; `host` must be.
pub fn sign(parts: &mut Parts, body: &[u8], by: &Credentials, scope: Scope<'_>, now: Timestamp) {
    let date = amz_date(now);
    let value = HeaderValue::from_str(&date).expect("a date is ASCII");
    parts.headers.insert("x-amz-date", value);
    debug_assert!(parts.headers.contains_key(HOST), "a request that is signed names its host");
    let mut names: Vec<String> = parts.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    let payload = match parts.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()) {
        Some(declared) => declared.to_owned(),
        None => canonical::sha256_hex(body),
    };
    let query = canonical::query(parts.uri.query().unwrap_or(""));
    let request = canonical::request(parts, parts.uri.path(), &query, &names, &payload);
    let Scope { region, service } = scope;
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    let key = signing_key(&by.secret, &date[..8], region, service);
    let signature =
        canonical::hex(hmac::sign(&key, string_to_sign(&date, &scope, &request).as_bytes()).as_ref());
    let text = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        by.access_key_id,
        names.join(";"),
    );
    let value = HeaderValue::from_str(&text).expect("an access key id is ASCII, the rest is made here");
    parts.headers.insert(AUTHORIZATION, value);
}
