//! RTSP messages and interleaved packets out of a byte stream (RFC 2326 §4 and §10.12).
//!
//! Sans-I/O: bytes go into [`Framer::space`], whole messages come out of [`Framer::pop`]. Packets are
//! slices of the read buffer. What is buffered is bounded: one packet of at most 64 KiB, or one
//! message within the limits for headers and bodies.

use bytes::{Buf, Bytes, BytesMut};
use rtsp_types::{Message, ParseError, Request, Response};

/// One unit of the connection's byte stream.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A request, complete with its body.
    Request(Box<Request<Vec<u8>>>),
    /// A response, complete with its body.
    Response(Box<Response<Vec<u8>>>),
    /// An interleaved RTP or RTCP packet: `$`, channel, length, payload.
    Packet {
        /// The channel that SETUP agreed on.
        channel: u8,
        /// The packet, a slice of the read buffer.
        payload: Bytes,
    },
}

/// The byte stream is not RTSP, or is more than a message may hold. The stream is out of step: the
/// connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No end of the headers within the limit.
    #[error("the headers of the request are longer than {limit} bytes")]
    HeaderTooLong {
        /// [`base::Limits::rtsp_header_bytes`].
        limit: usize,
    },
    /// `Content-Length` above the limit.
    #[error("the body of the request is longer than {limit} bytes")]
    BodyTooLong {
        /// [`base::Limits::rtsp_body_bytes`].
        limit: usize,
        /// The message's sequence number, where it could be read.
        cseq: Option<u32>,
    },
    /// Neither `$` nor an RTSP message.
    #[error("not an RTSP message")]
    Malformed {
        /// The message's sequence number, where it could be read.
        cseq: Option<u32>,
    },
}

impl WireError {
    /// The `CSeq` to answer with, where it could be read.
    pub fn cseq(&self) -> Option<u32> {
        match self {
            Self::HeaderTooLong { .. } => None,
            Self::BodyTooLong { cseq, .. } | Self::Malformed { cseq } => *cseq,
        }
    }
}

/// Below this much room a new chunk is opened, so that a read is never tiny.
const MIN_READ: usize = 512;
const PACKET_HEADER: usize = 4;
const HEADERS_END: &[u8] = b"\r\n\r\n";

/// Cuts a byte stream into messages and packets.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    header_limit: usize,
    body_limit: usize,
    /// Bytes to make room for at a time.
    chunk: usize,
    /// Bytes of `buffer` known not to hold the end of the headers.
    scanned: usize,
    /// Bytes that the message at the front of `buffer` needs, once known.
    needed: usize,
    skips_junk: bool,
    /// Bytes skipped since the last packet or message.
    skipped: usize,
}

/// Bytes that belong to nothing, from one packet to the next: cameras put them there at times.
const MOST_JUNK: usize = 64 * 1024;
/// How messages of a camera that sends media begin.
const MESSAGES: [&[u8]; 5] = [b"RTSP/", b"OPTIONS ", b"GET_PARAMETER ", b"SET_PARAMETER ", b"ANNOUNCE "];

/// A packet as it is sent on the connection (RFC 2326 §10.12); reports are far shorter than 64 KiB.
pub(crate) fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(packet.len()).unwrap_or(0).to_be_bytes();
    [&[b'$', channel, high, low], packet].concat()
}

impl Framer {
    /// A framer with the given limits, in bytes. It allocates with the first [`Self::space`].
    pub fn new(header_limit: usize, body_limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            header_limit,
            body_limit,
            chunk: 1024,
            scanned: 0,
            needed: 0,
            skips_junk: false,
            skipped: 0,
        }
    }

    /// From now on skips bytes that belong to nothing, up to what looks like a packet or a message.
    pub fn skip_junk(&mut self) {
        self.skips_junk = true;
    }

    /// Reads in pieces of `bytes` from now on: small while a client only talks, large for media.
    pub fn set_chunk(&mut self, bytes: usize) {
        self.chunk = bytes.max(MIN_READ);
    }

    /// Where the next bytes of the stream go; there is room for at least one.
    pub fn space(&mut self) -> &mut BytesMut {
        let missing = self.needed.saturating_sub(self.buffer.len());
        let room = self.buffer.capacity() - self.buffer.len();
        if room < missing.max(MIN_READ) {
            self.buffer.reserve(missing.max(self.chunk));
        }
        &mut self.buffer
    }

    /// The next unit, if all of it is there.
    ///
    /// # Errors
    /// [`WireError`] when the stream cannot be followed any further.
    pub fn pop(&mut self) -> Result<Option<Incoming>, WireError> {
        while self.scanned == 0 && matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            self.buffer.advance(1);
        }
        if self.skips_junk && !self.find_beginning()? {
            return Ok(None);
        }
        match self.buffer.first() {
            None => Ok(None),
            Some(b'$') => Ok(self.next_packet()),
            Some(first) if first.is_ascii_uppercase() => self.next_message(),
            Some(_) => Err(WireError::Malformed { cseq: None }),
        }
    }

    /// Skips what begins neither a packet nor a message. False where more bytes must come to tell.
    fn find_beginning(&mut self) -> Result<bool, WireError> {
        loop {
            match self.begins() {
                Some(true) => {
                    self.skipped = 0;
                    return Ok(true);
                }
                Some(false) if self.skipped < MOST_JUNK => {
                    self.skipped += 1;
                    self.buffer.advance(1);
                }
                Some(false) => return Err(WireError::Malformed { cseq: None }),
                None => return Ok(false),
            }
        }
    }

    /// Whether a packet or a message begins here; `None` where that cannot be told yet. After junk a packet must be
    /// RTP or RTCP (RFC 3550 §5.1: version 2) on a low channel: `$` may be a part of the junk.
    fn begins(&self) -> Option<bool> {
        match *self.buffer {
            [] => None,
            [b'$', ..] if self.skipped == 0 => Some(true),
            [b'$', channel, _, _, first, ..] => Some(channel < 32 && first >> 6 == 2),
            [b'$', ..] => None,
            _ if MESSAGES.iter().any(|message| self.buffer.starts_with(message)) => Some(true),
            _ if MESSAGES.iter().any(|message| message.starts_with(&self.buffer)) => None,
            _ => Some(false),
        }
    }

    fn next_packet(&mut self) -> Option<Incoming> {
        let [_, channel, high, low, ..] = *self.buffer.as_ref() else {
            self.needed = PACKET_HEADER;
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        self.needed = PACKET_HEADER + length;
        if self.buffer.len() < self.needed {
            return None;
        }
        self.needed = 0;
        self.buffer.advance(PACKET_HEADER);
        Some(Incoming::Packet { channel, payload: self.buffer.split_to(length).freeze() })
    }

    fn next_message(&mut self) -> Result<Option<Incoming>, WireError> {
        let Some(headers) = self.headers_length()? else {
            return Ok(None);
        };
        let head = self.buffer.get(..headers).unwrap_or_default();
        let body = content_length(head)
            .map_err(|BadLength| WireError::Malformed { cseq: cseq_of(head) })?
            .filter(|length| *length > 0)
            .unwrap_or(0);
        if body > self.body_limit {
            return Err(WireError::BodyTooLong { limit: self.body_limit, cseq: cseq_of(head) });
        }
        self.needed = headers + body;
        if self.buffer.len() < self.needed {
            return Ok(None);
        }
        let message = self.buffer.split_to(self.needed);
        self.needed = 0;
        self.scanned = 0;
        parse(&message).map(Some).map_err(|_| WireError::Malformed { cseq: cseq_of(&message) })
    }

    /// Length of the start line and headers with the empty line, once it has arrived. Scans each byte
    /// once, however small the pieces they come in.
    fn headers_length(&mut self) -> Result<Option<usize>, WireError> {
        let from = self.scanned.saturating_sub(HEADERS_END.len() - 1);
        let window = self.buffer.get(from..).unwrap_or_default();
        let end = window.windows(HEADERS_END.len()).position(|four| four == HEADERS_END);
        let length = end.map(|at| from + at + HEADERS_END.len());
        if length.unwrap_or(self.buffer.len()) > self.header_limit {
            return Err(WireError::HeaderTooLong { limit: self.header_limit });
        }
        // Once found, the same place is found again while the body arrives.
        self.scanned = length.map_or(self.buffer.len(), |length| length - 1);
        Ok(length)
    }
}

/// The message that fills `bytes` exactly.
fn parse(bytes: &[u8]) -> Result<Incoming, ParseError> {
    let (message, consumed) = Message::<Vec<u8>>::parse(bytes)?;
    if consumed != bytes.len() {
        return Err(ParseError::Error);
    }
    match message {
        Message::Request(request) => Ok(Incoming::Request(Box::new(request))),
        Message::Response(response) => Ok(Incoming::Response(Box::new(response))),
        Message::Data(_) => Err(ParseError::Error),
    }
}

/// `Content-Length` is no number, or stands there twice.
struct BadLength;

fn content_length(head: &[u8]) -> Result<Option<usize>, BadLength> {
    let mut found = None;
    for value in header_values(head, b"content-length") {
        let length = str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or(BadLength)?;
        if found.replace(length).is_some() {
            return Err(BadLength);
        }
    }
    Ok(found)
}

fn cseq_of(head: &[u8]) -> Option<u32> {
    let value = header_values(head, b"cseq").next()?;
    str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The raw values of the headers called `name` (lower case).
fn header_values<'a>(head: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    head.split(|byte| *byte == b'\n').filter_map(move |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (key, value) = line.split_at(colon);
        key.eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: &[u8] = b"OPTIONS rtsp://h/door RTSP/1.0\r\nCSeq: 7\r\n\r\n";
    const ANNOUNCE: &[u8] = b"ANNOUNCE rtsp://h/door RTSP/1.0\r\ncseq: 8\r\nContent-length: 5\r\n\r\nv=0\r\n";

    fn framer() -> Framer {
        Framer::new(1024, 1024)
    }

    /// Everything that comes out when `stream` arrives in pieces of the given sizes.
    fn cut(stream: &[u8], sizes: &[usize]) -> Result<Vec<Incoming>, WireError> {
        let mut framer = framer();
        let (mut found, mut rest, mut sizes) = (Vec::new(), stream, sizes.iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().map_or(rest.len(), |size| *size).clamp(1, rest.len());
            let (piece, after) = rest.split_at(size);
            framer.space().extend_from_slice(piece);
            rest = after;
            while let Some(incoming) = framer.pop()? {
                found.push(incoming);
            }
        }
        Ok(found)
    }

    #[test]
    fn packets_and_requests_mix() {
        let stream = [OPTIONS, b"$\x01\x00\x02hi\r\n", ANNOUNCE, b"$\x00\x00\x00"].concat();
        let found = cut(&stream, &[]).unwrap();
        assert_eq!(found.len(), 4);
        assert!(matches!(&found[0], Incoming::Request(r) if r.method() == rtsp_types::Method::Options));
        assert_eq!(found[1], Incoming::Packet { channel: 1, payload: Bytes::from_static(b"hi") });
        assert!(matches!(&found[2], Incoming::Request(r) if r.body() == b"v=0\r\n"));
        assert_eq!(found[3], Incoming::Packet { channel: 0, payload: Bytes::new() });
    }

    #[test]
    fn an_endless_header_is_refused_at_the_limit() {
        let mut framer = framer();
        framer.space().extend_from_slice(b"OPTIONS * RTSP/1.0\r\nX: ");
        for sent in 0.. {
            match framer.pop() {
                Ok(found) => assert_eq!(found, None),
                Err(error) => {
                    assert_eq!(error, WireError::HeaderTooLong { limit: 1024 });
                    break;
                }
            }
            assert!(sent < 1024);
            framer.space().extend_from_slice(b"a");
        }
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_before_it_arrives() {
        let head = b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 1000000\r\n\r\n";
        assert_eq!(cut(head, &[]), Err(WireError::BodyTooLong { limit: 1024, cseq: Some(3) }));
    }

    #[test]
    fn ambiguous_or_foreign_messages_are_malformed() {
        for (bad, cseq) in [
            (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], None),
            (b"OPTIONS * RTSP/1.0\r\nCSeq: 4\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Some(4)),
            (b"OPTIONS * RTSP/1.0\r\nCSeq: 4\r\nContent-Length: -1\r\n\r\n", Some(4)),
            (b"ANNOUNCE no-url RTSP/1.0\r\nCSeq: 5\r\n\r\n", Some(5)),
            (b"\x16\x03\x01\x02\x00", None),
        ] {
            assert_eq!(cut(bad, &[]), Err(WireError::Malformed { cseq }), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn junk_between_packets_is_skipped_where_that_is_asked_for() {
        let stream = [
            &b"$\0\0\x01a"[..],
            b"\0R$\0\xff\xffRTS",
            b"$\x02\0\x02\x80b",
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        ];
        for pieces in 1..stream.concat().len() {
            let mut framer = framer();
            framer.skip_junk();
            let mut found = Vec::new();
            for piece in stream.concat().chunks(pieces) {
                framer.space().extend_from_slice(piece);
                while let Some(incoming) = framer.pop().unwrap() {
                    found.push(incoming);
                }
            }
            assert!(
                matches!(
                    found.as_slice(),
                    [
                        Incoming::Packet { channel: 0, .. },
                        Incoming::Packet { channel: 2, .. },
                        Incoming::Response(_)
                    ]
                ),
                "{found:?}"
            );
        }
        let mut endless = framer();
        endless.skip_junk();
        let mut result = Ok(None);
        for _ in 0..100 {
            endless.space().extend_from_slice(&[0; 1000]);
            result = endless.pop();
        }
        assert_eq!(result, Err(WireError::Malformed { cseq: None }));
    }

    proptest! {
        #[test]
        fn segmentation_changes_nothing(
            sizes in prop::collection::vec(1usize..60, 1..20),
            packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        ) {
            let mut stream = OPTIONS.to_vec();
            for (channel, payload) in &packets {
                stream.extend_from_slice(&[b'$', *channel]);
                stream.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
                stream.extend_from_slice(payload);
                stream.extend_from_slice(ANNOUNCE);
            }
            let whole = cut(&stream, &[]).unwrap();
            prop_assert_eq!(whole.len(), 1 + 2 * packets.len());
            prop_assert_eq!(cut(&stream, &sizes).unwrap(), whole);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            sizes in prop::collection::vec(1usize..60, 1..20),
        ) {
            let _ = cut(&bytes, &sizes);
            let _ = cut(&[OPTIONS, &bytes].concat(), &sizes);
        }
    }
}
