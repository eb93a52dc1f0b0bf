//! Request signatures.

use base::Timestamp;
use gateway::auth::sigv4::Claim;
use gateway::auth::sigv4::signer::{Credentials, Scope, sign};
use http::Request;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::request::Parts;

use crate::memory;

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request's head: `METHOD URI`, then a header a line. No signature in it is right, as none was made
/// with the secret; once signed it is.
pub(crate) fn sigv4(input: &[u8]) {
    let Some(mut parts) = head(input) else { return };
    let now = Timestamp::from_millis(1_440_938_160_000);
    let claim = memory::in_proportion(input.len(), || Claim::read(&parts));
    if let Ok(Some(claim)) = claim {
        let verified =
            memory::in_proportion(8 * input.len(), || claim.verify(&parts, EMPTY_SHA256, SECRET, now));
        assert!(verified.is_err(), "a forged signature was taken");
    }
    for header in ["x-amz-content-sha256", "x-amz-date", AUTHORIZATION.as_str()] {
        parts.headers.remove(header);
    }
    parts.headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    let by = Credentials { access_key_id: "AKIDEXAMPLE".into(), secret: SECRET.into() };
    sign(&mut parts, b"", &by, Scope { region: "us-east-1", service: "kinesisvideo" }, now);
    let claim = Claim::read(&parts).unwrap().unwrap();
    assert_eq!((claim.access_key_id.as_str(), claim.service.as_str()), ("AKIDEXAMPLE", "kinesisvideo"));
    assert_eq!(claim.verify(&parts, EMPTY_SHA256, SECRET, now), Ok(()));
}

fn head(input: &[u8]) -> Option<Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], &line[colon + 1..]);
    }
    Some(request.body(()).ok()?.into_parts().0)
}
