//! The AWS test suite's vectors (credentials AKIDEXAMPLE, 2015-08-30, service `service`), then our own.

use base::Timestamp;
use http::Request;
use http::request::Parts;

use super::canonical::sha256_hex;
use super::signer::{Credentials, Scope, sign};
use super::{AuthError, Claim, Payload};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn noon() -> Timestamp {
    Timestamp::parse("2015-08-30T12:36:00Z").unwrap()
}

fn suite_request(method: &str, uri: &str, signed: &str, extra: &[(&str, &str)], signature: &str) -> Parts {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "example.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z");
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders={signed}, Signature={signature}"
    );
    request.header("authorization", authorization).body(()).unwrap().into_parts().0
}

fn verify(parts: &Parts, body: &[u8], now: Timestamp) -> Result<(), AuthError> {
    let claim = Claim::read(parts)?.expect("a signature");
    claim.verify(parts, &sha256_hex(body), SECRET, now)
}

/// Name, method, URI, further headers (all signed), body, signature.
type Vector = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const SUITE: &[Vector] = &[
    ("get-vanilla", "GET", "/", &[], "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("post-vanilla", "POST", "/", &[], "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", &[], "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("get-vanilla-query-unreserved", "GET",
     "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     &[], "", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    ("post-x-www-form-urlencoded", "POST", "/",
     &[("content-type", "application/x-www-form-urlencoded")], "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ("get-header-value-trim", "GET", "/",
     &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")], "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    ("get-header-value-order", "GET", "/",
     &[("my-header1", "value4"), ("my-header1", "value1"), ("my-header1", "value3"), ("my-header1", "value2")], "",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    ("get-space", "GET", "/example%20space/", &[], "",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    ("get-space as botocore signs it", "GET", "/example%20space/", &[], "",
     "446b817944c553435b35e813c261ff4e161fff982d1bacdef1c87f6785dd1662"),
    ("a query as botocore signs it", "GET", "/?stream=yard-*&limit=5&start=2026-01-01T12:00:00Z", &[], "",
     "5353111ba3eb465a950be33f23e91e7ef69d55fb5df69128e71e701f2f4c2305"),
    ("a query as curl 7.88 signs it", "GET", "/?stream=yard-*&limit=5&start=2026-01-01T12:00:00Z", &[], "",
     "5b673091ddd6ee49ea6e25bf20386f9a9aea7caf2df66a4855c19c6c35d8be32"),
];

#[test]
fn the_aws_test_suite_verifies() {
    for (name, method, uri, extra, body, signature) in SUITE {
        let mut signed: Vec<&str> =
            ["host", "x-amz-date"].into_iter().chain(extra.iter().map(|(name, _)| *name)).collect();
        signed.sort_unstable();
        signed.dedup();
        let parts = suite_request(method, uri, &signed.join(";"), extra, signature);
        assert_eq!(verify(&parts, body.as_bytes(), noon()), Ok(()), "{name}");
        assert_eq!(verify(&parts, b"another body", noon()), Err(AuthError::Signature), "{name}");
    }
}

#[test]
fn a_presigned_url_of_botocore_verifies_until_it_expires() {
    let uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256\
               &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request\
               &X-Amz-Date=20150830T123600Z&X-Amz-Expires=299&X-Amz-SignedHeaders=host\
               &X-Amz-Signature=PRESIGNED";
    let parts = |signature: &str| {
        let uri = uri.replace("PRESIGNED", signature);
        let request = Request::get(uri).header("host", "example.amazonaws.com").body(()).unwrap();
        request.into_parts().0
    };
    let good = parts("e1aa82f35ef8755f408a871cca2a0a3c34b3bf1566f132bab183ed66473258e2");
    assert_eq!(verify(&good, b"", noon()), Ok(()));
    let late = noon() + std::time::Duration::from_secs(300);
    assert!(
        matches!(verify(&good, b"", late), Err(AuthError::Time(text)) if text.starts_with("Signature expired: "))
    );
    let forged = parts(&"0".repeat(64));
    assert_eq!(verify(&forged, b"", noon()), Err(AuthError::Signature));
}

fn signed(uri: &str, headers: &[(&str, &str)], body: &[u8], at: Timestamp) -> Parts {
    let mut request = Request::post(uri).header("host", "127.0.0.1:4567");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    let by = Credentials { access_key_id: "AKIDEXAMPLE".into(), secret: SECRET.into() };
    sign(&mut parts, body, &by, Scope { region: "us-east-1", service: "kinesisvideo" }, at);
    parts
}

#[test]
fn our_own_signatures_verify_and_cover_everything() {
    let parts = signed("/v1/streams?q=a%20b&x=%2F", &[], b"{}", noon());
    assert_eq!(verify(&parts, b"{}", noon()), Ok(()));
    assert_eq!(verify(&parts, b"{ }", noon()), Err(AuthError::Signature));

    let mut other = parts.clone();
    other.headers.insert("host", "127.0.0.1".parse().unwrap());
    assert_eq!(verify(&other, b"{}", noon()), Err(AuthError::Signature), "host");
    let mut other = parts.clone();
    other.method = http::Method::PUT;
    assert_eq!(verify(&other, b"{}", noon()), Err(AuthError::Signature), "method");
    let mut other = parts;
    other.uri = "/v1/streams?q=a%20b&x=%2E".parse().unwrap();
    assert_eq!(verify(&other, b"{}", noon()), Err(AuthError::Signature), "query");
}

#[test]
fn a_declared_body_hash_must_be_the_bodys() {
    let digest = sha256_hex(b"{}");
    let parts = signed("/", &[("x-amz-content-sha256", &digest)], b"{}", noon());
    assert_eq!(verify(&parts, b"{}", noon()), Ok(()));
    assert_eq!(verify(&parts, b"[]", noon()), Err(AuthError::BodyDigest));
    let unsigned = signed("/", &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], b"", noon());
    assert_eq!(verify(&unsigned, b"anything", noon()), Ok(()));
    let nonsense = signed("/", &[("x-amz-content-sha256", "md5")], b"", noon());
    assert!(matches!(Claim::read(&nonsense), Err(AuthError::Incomplete(_))));
    let streaming = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let parts = signed("/", &[("x-amz-content-sha256", streaming)], b"", noon());
    assert_eq!(Claim::read(&parts).unwrap().unwrap().payload, Payload::Streaming(streaming.into()));
    assert_eq!(verify(&parts, b"chunks", noon()), Ok(()));
}

#[test]
fn skew_is_refused_in_the_words_that_sdks_look_for() {
    let parts = signed("/", &[], b"", noon());
    let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
    assert_eq!(verify(&parts, b"", noon() + minutes(5)), Ok(()));
    assert_eq!(verify(&parts, b"", noon() - minutes(5)), Ok(()));
    assert_eq!(
        verify(&parts, b"", noon() + minutes(6)),
        Err(AuthError::Time(
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z \
             (20150830T124200Z - 5 min.)"
                .into()
        ))
    );
    assert_eq!(
        verify(&parts, b"", noon() - minutes(6)),
        Err(AuthError::Time(
            "Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z \
             (20150830T123000Z + 5 min.)"
                .into()
        ))
    );
}

#[test]
fn half_a_signature_says_what_is_missing() {
    for (header, hint) in [
        ("AWS4-HMAC-SHA512 x", "no other algorithm"),
        ("AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request", "SignedHeaders"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00", "form"),
        ("AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request, SignedHeaders=x, Signature=00", "Host"),
        ("AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request, SignedHeaders=host, Signature=0g", "hex"),
    ] {
        let request =
            Request::get("/").header("x-amz-date", "20150830T123600Z").header("authorization", header);
        let parts = request.body(()).unwrap().into_parts().0;
        match Claim::read(&parts) {
            Err(AuthError::Incomplete(text)) => assert!(text.contains(hint), "{text}"),
            other => panic!("{header}: {other:?}"),
        }
    }
    let parts = Request::get("/").body(()).unwrap().into_parts().0;
    assert_eq!(Claim::read(&parts), Ok(None));
}

#[test]
fn an_endless_body_is_signed_in_any_of_the_forms_that_producers_have() {
    let verify =
        |parts: &Parts| Claim::read(parts).unwrap().expect("a signature").verify_head(parts, SECRET, noon());
    // The AWS producer SDKs for C and C++: the digest of no body, undeclared; the host without its port.
    assert_eq!(verify(&signed("/putMedia", &[("x-amzn-stream-name", "cam")], b"", noon())), Ok(()));
    let declared = |payload: &str| signed("/putMedia", &[("x-amz-content-sha256", payload)], b"", noon());
    assert_eq!(verify(&declared("UNSIGNED-PAYLOAD")), Ok(()), "the one for Java");
    assert_eq!(verify(&declared(&sha256_hex(b""))), Ok(()));
    assert_eq!(verify(&declared(&sha256_hex(b"the first fragment"))), Ok(()), "never held against the body");
    assert!(matches!(verify(&declared("STREAMING-UNSIGNED-PAYLOAD-TRAILER")), Err(AuthError::Incomplete(_))));
    // Undeclared, and signed as if it were.
    let mut undeclared = declared("UNSIGNED-PAYLOAD");
    let text = undeclared.headers["authorization"].to_str().unwrap().to_owned();
    assert!(text.contains("x-amz-content-sha256"));
    undeclared.headers.remove("x-amz-content-sha256");
    assert_eq!(verify(&undeclared), Err(AuthError::Signature), "what was signed must be there");
    let mut other = signed("/putMedia", &[("x-amzn-stream-name", "cam")], b"", noon());
    other.headers.insert("x-amzn-stream-name", "other".parse().unwrap());
    assert_eq!(verify(&other), Err(AuthError::Signature));
}
