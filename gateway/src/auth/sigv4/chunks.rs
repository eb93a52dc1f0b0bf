//! `aws-chunked` bodies: what `STREAMING-…` announces.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
//!
//! ```text
//! 400;chunk-signature=<64 hex digits>\r\n   1,024 bytes, in hex; unsigned forms have no signature
//! …data…\r\n
//! 0;chunk-signature=<64 hex digits>\r\n
//! trailers, which carry checksums and are not looked at
//! ```

use bytes::{Bytes, BytesMut};
use ring::hmac;

use super::canonical::{hex, sha256_hex};
use crate::auth::AuthError;

/// What a chunk's signature is made with besides the chunk.
pub(super) struct Chain<'a> {
    pub key: &'a hmac::Key,
    pub amz_date: &'a str,
    pub scope: &'a str,
    /// The signature before: at first the request's.
    pub previous: Vec<u8>,
}

impl Chain<'_> {
    fn verify(&mut self, data: &[u8], signature: Vec<u8>) -> Result<(), AuthError> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.amz_date,
            self.scope,
            hex(&self.previous),
            sha256_hex(b""),
            sha256_hex(data)
        );
        hmac::verify(self.key, text.as_bytes(), &signature).map_err(|_| AuthError::BodyDigest)?;
        self.previous = signature;
        Ok(())
    }
}

/// The body within the chunks; each chunk's signature is checked where a chain is given.
pub(super) fn decode(mut body: Bytes, mut chain: Option<Chain<'_>>) -> Result<Bytes, AuthError> {
    let mut out = BytesMut::with_capacity(body.len());
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n").ok_or(AuthError::BodyBroken)?;
        let head = body.split_to(end);
        skip_line_end(&mut body)?;
        let (size, signature) = read_head(&head).ok_or(AuthError::BodyBroken)?;
        if size > body.len() {
            return Err(AuthError::BodyBroken);
        }
        let data = body.split_to(size);
        if let Some(chain) = &mut chain {
            chain.verify(&data, signature.ok_or(AuthError::BodyDigest)?)?;
        }
        if size == 0 {
            return Ok(out.freeze());
        }
        out.extend_from_slice(&data);
        skip_line_end(&mut body)?;
    }
}

fn skip_line_end(body: &mut Bytes) -> Result<(), AuthError> {
    if !body.starts_with(b"\r\n") {
        return Err(AuthError::BodyBroken);
    }
    let _ = body.split_to(2);
    Ok(())
}

fn read_head(head: &[u8]) -> Option<(usize, Option<Vec<u8>>)> {
    let head = std::str::from_utf8(head).ok()?;
    let (size, extension) = head.split_once(';').unwrap_or((head, ""));
    let size = usize::from_str_radix(size, 16).ok()?;
    Some((size, extension.strip_prefix("chunk-signature=").and_then(super::from_hex)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sigv4::signing_key;

    const CHUNKS: [(usize, &str); 3] = [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ];

    /// The example of the AWS page: 66,560 times the letter a.
    fn example(letter: &str) -> Bytes {
        let chunk = |(size, signature): (usize, &str)| {
            format!("{size:x};chunk-signature={signature}\r\n{}\r\n", letter.repeat(size))
        };
        CHUNKS.map(chunk).concat().into()
    }

    fn decode_signed(body: Bytes) -> Result<Bytes, AuthError> {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = signing_key(secret, "20130524", "us-east-1", "s3");
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let previous = super::super::from_hex(seed).unwrap();
        let scope = "20130524/us-east-1/s3/aws4_request";
        decode(body, Some(Chain { key: &key, amz_date: "20130524T000000Z", scope, previous }))
    }

    #[test]
    fn the_example_of_the_aws_page_decodes_and_another_body_does_not() {
        assert_eq!(decode_signed(example("a")).unwrap(), "a".repeat(66_560));
        assert_eq!(decode_signed(example("b")), Err(AuthError::BodyDigest));
    }

    #[test]
    fn chunks_are_taken_off_unsigned_bodies_too() {
        let body = Bytes::from_static(b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        assert_eq!(decode(body, None).unwrap(), "abcde");
    }

    #[test]
    fn broken_chunks_are_refused() {
        for body in
            ["", "3", "3\r\n", "3\r\nab", "3\r\nabcd\r\n", "x\r\n", "ffffffffffffffffff\r\n", "-1\r\na\r\n"]
        {
            assert_eq!(
                decode(Bytes::from_static(body.as_bytes()), None),
                Err(AuthError::BodyBroken),
                "{body:?}"
            );
        }
    }
}
