//! The RTSP connection: framing, ANNOUNCE bodies, headers.

use std::fmt::Write;

use base::Limits;
use ingest::rtsp::digest::Authorization;
use ingest::rtsp::sdp::{Announcement, KeyRequest, Section};
use ingest::rtsp::transport::{Agreed, Offer};
use ingest::rtsp::wire::{Framer, Incoming, WireError};
use media::rtp::Depayloader;

use crate::{codec, memory};

const HEADER_LIMIT: usize = 2048;
const BODY_LIMIT: usize = 4096;

/// A connection's bytes. How they are cut into pieces on their way changes nothing.
pub(crate) fn framing(input: &[u8]) {
    for skips_junk in [false, true] {
        let whole = memory::in_proportion(input.len(), || cut(input, skips_junk, |_| input.len()));
        assert_eq!(cut(input, skips_junk, |at| 1 + usize::from(input[at]) % 97), whole);
        check(&whole.0);
    }
}

fn check(units: &[Incoming]) {
    for unit in units {
        let body = match unit {
            Incoming::Request(request) => request.body().len(),
            Incoming::Response(response) => response.body().len(),
            Incoming::Packet { .. } => 0,
        };
        assert!(body <= BODY_LIMIT);
    }
}

/// What comes out of `stream` up to the first error, when the piece at each place has the given size.
fn cut(stream: &[u8], skips_junk: bool, size: impl Fn(usize) -> usize) -> (Vec<Incoming>, Option<WireError>) {
    let mut framer = Framer::new(HEADER_LIMIT, BODY_LIMIT);
    if skips_junk {
        framer.skip_junk();
    }
    let (mut found, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        let end = (at + size(at)).min(stream.len());
        framer.space().extend_from_slice(&stream[at..end]);
        at = end;
        loop {
            match framer.pop() {
                Ok(Some(unit)) => found.push(unit),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// The body of an ANNOUNCE, and the parameter sets in it.
pub(crate) fn sdp(input: &[u8]) {
    let Ok(announcement) = memory::in_proportion(input.len(), || Announcement::parse(input)) else { return };
    assert!((1..=16).contains(&announcement.sections.len()));
    assert_eq!(Announcement::parse(written(&announcement).as_bytes()).as_ref(), Ok(&announcement));
    for section in &announcement.sections {
        assert!(section.payload_type < 128 && section.format.clock_rate > 0);
        let limits = Limits::default();
        let depayloader =
            memory::in_proportion(input.len(), || Depayloader::new(1, &section.format, &limits));
        if let Ok(depayloader) = depayloader
            && let Some(track) = depayloader.track()
        {
            codec::check(track);
        }
    }
}

/// The announcement as SDP.
fn written(announcement: &Announcement) -> String {
    let mut text = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned();
    for section in &announcement.sections {
        let Section { video, audio, control, payload_type, format, feedback, key_request } = section;
        let media = if *video {
            "video"
        } else if *audio {
            "audio"
        } else {
            "application"
        };
        let channels = if format.channels > 0 { format!("/{}", format.channels) } else { String::new() };
        let (encoding, rate) = (&format.encoding, format.clock_rate);
        let profile = if *feedback { "RTP/AVPF" } else { "RTP/AVP" };
        write!(text, "m={media} 0 {profile} {payload_type}\r\n").unwrap();
        match key_request {
            Some(KeyRequest::PictureLoss) => text += "a=rtcp-fb:* nack pli\r\n",
            Some(KeyRequest::FullIntra) => text += "a=rtcp-fb:* ccm fir\r\n",
            None => {}
        }
        write!(text, "a=rtpmap:{payload_type} {encoding}/{rate}{channels}\r\n").unwrap();
        for (name, value) in [(format!("fmtp:{payload_type} "), &format.fmtp), ("control:".into(), control)] {
            if !value.is_empty() {
                write!(text, "a={name}{value}\r\n").unwrap();
            }
        }
    }
    text
}

/// The `Transport` header of a SETUP. What is agreed on reads back as what was offered.
pub(crate) fn transport(input: &[u8]) {
    let Ok(header) = str::from_utf8(input) else { return };
    let over_tls = Offer::choose(header, true);
    assert!(!matches!(over_tls, Some(Offer::Udp { .. })), "UDP beside an encrypted connection");
    let agreed = match memory::in_proportion(input.len(), || Offer::choose(header, false)) {
        Some(Offer::Interleaved(Some((rtp, rtcp)))) => Agreed::Interleaved(rtp, rtcp),
        Some(Offer::Udp { client }) => Agreed::Udp { client, server: (1, 2) },
        Some(Offer::Interleaved(None)) | None => return,
    };
    for feedback in [false, true] {
        assert_eq!(Offer::choose(&agreed.header(feedback), false), Offer::choose(header, false));
    }
}

/// The parameters of an `Authorization: Digest` header.
pub(crate) fn digest(input: &[u8]) {
    let Ok(header) = str::from_utf8(input) else { return };
    let Some(read) = memory::in_proportion(input.len(), || Authorization::parse(header)) else { return };
    let quoted = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("algorithm={}", read.algorithm.name());
    let fields =
        [("username", &read.username), ("realm", &read.realm), ("nonce", &read.nonce), ("uri", &read.uri)];
    for (name, value) in fields.into_iter().chain([("response", &read.response)]) {
        write!(text, ", {name}={}", quoted(value)).unwrap();
    }
    if let Some(qop) = &read.qop {
        write!(text, ", qop=auth, nc={}, cnonce={}", quoted(&qop.count), quoted(&qop.client_nonce)).unwrap();
    }
    assert_eq!(Authorization::parse(&text), Some(read));
}
