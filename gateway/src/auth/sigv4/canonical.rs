//! The canonical request: what both sides hash.

use std::fmt::Write;

use http::request::Parts;
use ring::digest;

/// Lower-case hex of the SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hex of any bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Percent-encodes all but the unreserved characters of RFC 3986, and the slash where it is kept.
pub fn encode(bytes: &[u8], keep_slash: bool) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut out, &byte| {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The bytes behind a percent-encoded text; a stray `%` stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// The query's parameters, decoded; text that is not UTF-8 loses what is not.
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    let text = |part: &str| String::from_utf8_lossy(&decode(part)).into_owned();
    raw_pairs(query).map(|(name, value)| (text(name), text(value))).collect()
}

fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// The query as it is specified: encoded anew and sorted, without the signature.
pub fn query(sent: &str) -> String {
    let encoded =
        signed(sent).map(|(name, value)| (encode(&decode(name), false), encode(&decode(value), false)));
    let mut pairs: Vec<(String, String)> = encoded.collect();
    pairs.sort();
    let parts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join("&")
}

/// The query in every form that clients sign: as specified; as it was sent, but sorted (botocore, where
/// the URL holds it); as it was sent (curl before 8.3).
pub fn queries(sent: &str) -> [String; 3] {
    let mut parts: Vec<String> = signed(sent).map(|(name, value)| format!("{name}={value}")).collect();
    let as_sent = parts.join("&");
    parts.sort();
    [query(sent), parts.join("&"), as_sent]
}

/// What a signature in the query covers of it.
fn signed(sent: &str) -> impl Iterator<Item = (&str, &str)> {
    raw_pairs(sent).filter(|(name, _)| *name != "X-Amz-Signature")
}

/// The value of one signed header: repeated ones joined by commas, runs of spaces made one.
fn header_value(parts: &Parts, name: &str) -> Vec<u8> {
    // HTTP/2 carries the host as :authority.
    let authority = || parts.uri.authority().map(|authority| authority.as_str().as_bytes().to_vec());
    let host = name == "host" || name == ":authority";
    if host && !parts.headers.contains_key(http::header::HOST) {
        return authority().unwrap_or_default();
    }
    let name = if host { "host" } else { name };
    let values: Vec<Vec<u8>> =
        parts.headers.get_all(name).iter().map(|value| collapse(value.as_bytes())).collect();
    values.join(&b',')
}

fn collapse(value: &[u8]) -> Vec<u8> {
    value.split(|&b| b == b' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
}

/// The canonical request for a path and a query as they are to be signed and what stands for the body.
pub fn request(parts: &Parts, path: &str, query: &str, signed_headers: &[String], payload: &str) -> Vec<u8> {
    let mut out = format!("{}\n{path}\n{query}\n", parts.method).into_bytes();
    for name in signed_headers {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(&header_value(parts, name));
        out.push(b'\n');
    }
    out.extend_from_slice(format!("\n{}\n{payload}", signed_headers.join(";")).as_bytes());
    out
}
