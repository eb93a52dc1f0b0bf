//! `application/vnd.amazon.eventstream`: messages with headers and checksums, one after the other.
//!
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>
//!
//! ```text
//!  4  bytes of the whole message
//!  4  bytes of the headers
//!  4  CRC-32 of the eight bytes before
//!     headers: 1 length, name, 1 type (7, a text), 2 length, value
//!     payload
//!  4  CRC-32 of all before
//! ```
//!
//! Numbers are big-endian.

use bytes::{BufMut, Bytes, BytesMut};

/// The content type of a body of messages.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Lengths and the checksum over them, and the checksum at the end.
const FRAMING: usize = 12 + 4;
/// The type of a header whose value is a text.
const TEXT: u8 = 7;

/// One message. Header names are shorter than 256 bytes, values than 65,536.
pub fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    const SHORT: &str = "names and values of headers are constants of this program";
    let headers_bytes: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let total = FRAMING + headers_bytes + payload.len();
    let mut bytes = BytesMut::with_capacity(total);
    bytes.put_u32(u32::try_from(total).expect("an event carries less than 4 GiB"));
    bytes.put_u32(u32::try_from(headers_bytes).expect(SHORT));
    bytes.put_u32(crc32fast::hash(&bytes));
    for (name, value) in headers {
        bytes.put_u8(u8::try_from(name.len()).expect(SHORT));
        bytes.put_slice(name.as_bytes());
        bytes.put_u8(TEXT);
        bytes.put_u16(u16::try_from(value.len()).expect(SHORT));
        bytes.put_slice(value.as_bytes());
    }
    bytes.put_slice(payload);
    bytes.put_u32(crc32fast::hash(&bytes));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example with one header of the specification's test vectors, its value as a text.
    #[test]
    fn a_message_is_framed_as_the_sdks_expect() {
        let bytes = message(&[("content-type", "application/json")], b"{'foo':'bar'}");
        assert_eq!(bytes.len(), 61);
        assert_eq!(bytes[..12], [0, 0, 0, 0x3d, 0, 0, 0, 0x20, 0x07, 0xfd, 0x83, 0x96]);
        assert_eq!(&bytes[12..28], b"\x0ccontent-type\x07\x00\x10");
        assert_eq!(bytes[57..], [0x8d, 0x9c, 0x08, 0xb1]);
    }

    #[test]
    fn an_empty_message_has_its_framing_alone() {
        let bytes = message(&[], b"");
        assert_eq!(bytes[..], [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
    }
}
