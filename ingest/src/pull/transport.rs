//! What a camera's answer to SETUP says (RFC 2326 §12.37 and §12.39).

use std::time::Duration;

use crate::rtsp::transport::pair;

/// A session ends this long after its last sign of life, where the camera does not say (§12.37).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter ones are a camera's mistake.
const LEAST_TIMEOUT: Duration = Duration::from_secs(4);

/// The parameters of the `Transport` header that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Whether RTP comes over the RTSP connection.
    pub tcp: bool,
    /// The channels of RTP and RTCP there.
    pub interleaved: Option<(u8, u8)>,
    /// The camera's UDP ports for RTP and RTCP.
    pub server_port: Option<(u16, u16)>,
}

impl Transport {
    /// Reads the header, as far as it makes sense.
    pub fn parse(header: &str) -> Self {
        let first = header.split(',').next().unwrap_or_default();
        let mut found = Self::default();
        for part in first.split(';').map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "rtp/avp/tcp" | "rtp/avpf/tcp" => found.tcp = true,
                "interleaved" => found.interleaved = pair(value, |first: u8| first.checked_add(1)),
                "server_port" => found.server_port = pair(value, |first: u16| first.checked_add(1)),
                _ => {}
            }
        }
        found
    }
}

/// The `Session` header: the id, and how long the session lasts without a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// As requests have to repeat it.
    pub id: String,
    /// Seconds, mostly 60.
    pub timeout: Duration,
}

impl SessionHeader {
    /// Reads the header; `None` where it names no session.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let id = parts.next().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()))?;
        let timeout = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let seconds =
                value.trim().parse().ok().filter(|_| name.trim().eq_ignore_ascii_case("timeout"))?;
            Some(Duration::from_secs(seconds))
        });
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT).clamp(LEAST_TIMEOUT, DEFAULT_TIMEOUT * 60);
        Some(Self { id: id.to_owned(), timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn transports_as_cameras_write_them() {
        for (header, tcp, interleaved, server_port) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=4E9A01B2;mode=\"play\"", true, Some((0, 1)), None),
            ("RTP/AVP/TCP;interleaved=2;ssrc= 1b6d", true, Some((2, 3)), None),
            (
                "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=0x1",
                false,
                None,
                Some((6000, 6001)),
            ),
            ("server_port=6000;RTP/AVP/UDP", false, None, Some((6000, 6001))),
            ("RTP/AVP/TCP;unicast", true, None, None),
            ("RTP/AVPF/TCP;unicast;interleaved=0-1", true, Some((0, 1)), None),
            ("", false, None, None),
        ] {
            assert_eq!(Transport::parse(header), Transport { tcp, interleaved, server_port }, "{header}");
        }
    }

    #[test]
    fn sessions_as_cameras_write_them() {
        for (header, id, secs) in [
            ("12345678;timeout=60", "12345678", 60),
            ("12345678; Timeout = 30 ", "12345678", 30),
            ("abc", "abc", 60),
            ("abc;timeout=0", "abc", 4),
            ("abc;timeout=4294967295", "abc", 3600),
            ("abc;timeout=x", "abc", 60),
        ] {
            let timeout = Duration::from_secs(secs);
            assert_eq!(
                SessionHeader::parse(header),
                Some(SessionHeader { id: id.into(), timeout }),
                "{header}"
            );
        }
        assert_eq!(SessionHeader::parse(""), None);
        assert_eq!(SessionHeader::parse("a b"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in ".{0,120}") {
            let _ = (Transport::parse(&header), SessionHeader::parse(&header));
        }
    }
}
