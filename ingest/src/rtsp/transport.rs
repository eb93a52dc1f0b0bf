//! The `Transport` header (RFC 2326 §12.39).
//!
//! Read here and not with `rtsp_types::headers::Transports`, which panics on an odd quote; and
//! devices write its parameters in any order, case and quoting.

/// How a client offers to send one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// RTP over the RTSP connection; the pair of channels, where the client names it.
    Interleaved(Option<(u8, u8)>),
    /// RTP over unicast UDP from these ports of the client.
    Udp {
        /// RTP and RTCP port.
        client: (u16, u16),
    },
}

impl Offer {
    /// The first way in a `Transport` header that this server can take. On a `secure` connection that
    /// is interleaved only: UDP would give away what the connection hides.
    pub fn choose(header: &str, secure: bool) -> Option<Self> {
        header.split(',').filter_map(Self::parse).find(|offer| match offer {
            Self::Interleaved(_) => true,
            Self::Udp { .. } => !secure,
        })
    }

    fn parse(transport: &str) -> Option<Self> {
        let mut parts = transport.split(';').map(str::trim);
        let protocol = parts.next()?.to_ascii_uppercase();
        let mut parameters = Parameters::default();
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            parameters.set(name.trim(), value.trim().trim_matches('"'))?;
        }
        if parameters.multicast || !parameters.records {
            return None;
        }
        match protocol.as_str() {
            "RTP/AVP/TCP" | "RTP/AVPF/TCP" => Some(Self::Interleaved(parameters.interleaved)),
            "RTP/AVP" | "RTP/AVP/UDP" | "RTP/AVPF" | "RTP/AVPF/UDP" => {
                Some(Self::Udp { client: parameters.client_port? })
            }
            _ => None,
        }
    }
}

struct Parameters {
    multicast: bool,
    records: bool,
    interleaved: Option<(u8, u8)>,
    client_port: Option<(u16, u16)>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { multicast: false, records: true, interleaved: None, client_port: None }
    }
}

impl Parameters {
    /// Takes one parameter; `None` when its value cannot be read.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name.to_ascii_lowercase().as_str() {
            "multicast" => self.multicast = true,
            // QuickTime and old GStreamer say `receive` for what RFC 2326 calls `record`.
            "mode" => {
                self.records = ["record", "receive"].iter().any(|mode| value.eq_ignore_ascii_case(mode));
            }
            "interleaved" => self.interleaved = Some(pair(value, |first: u8| first.checked_add(1))?),
            "client_port" => self.client_port = Some(pair(value, |first: u16| first.checked_add(1))?),
            _ => {}
        }
        Some(())
    }
}

/// `4-5`, or `4` for `4` and its successor.
pub(crate) fn pair<T: std::str::FromStr + Copy>(text: &str, next: impl Fn(T) -> Option<T>) -> Option<(T, T)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, second.trim().parse().ok()?)),
        None => {
            let first = text.parse().ok()?;
            Some((first, next(first)?))
        }
    }
}

/// What SETUP agreed on, as the reply writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// The channels for RTP and RTCP on the RTSP connection.
    Interleaved(u8, u8),
    /// Unicast UDP between these pairs of RTP and RTCP ports.
    Udp {
        /// The client's RTP and RTCP ports.
        client: (u16, u16),
        /// The server's.
        server: (u16, u16),
    },
}

impl Agreed {
    /// As the reply's header says it, in the profile with `feedback` (RFC 4585) or the one without.
    pub fn header(self, feedback: bool) -> String {
        let profile = if feedback { "RTP/AVPF" } else { "RTP/AVP" };
        match self {
            Self::Interleaved(rtp, rtcp) => {
                format!("{profile}/TCP;unicast;interleaved={rtp}-{rtcp};mode=record")
            }
            Self::Udp { client, server } => format!(
                "{profile}/UDP;unicast;client_port={}-{};server_port={}-{};mode=record",
                client.0, client.1, server.0, server.1
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_clients_send() {
        let udp = |first, second| Some(Offer::Udp { client: (first, second) });
        for (header, offer) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", Some(Offer::Interleaved(Some((0, 1))))),
            ("RTP/AVP/TCP;mode=\"RECORD\";interleaved=4", Some(Offer::Interleaved(Some((4, 5))))),
            ("rtp/avp/tcp", Some(Offer::Interleaved(None))),
            ("RTP/AVP/UDP;unicast;client_port=5000-5001;mode=record", udp(5000, 5001)),
            ("RTP/AVP;mode=receive;client_port=5000-5001;unicast", udp(5000, 5001)),
            ("RTP/AVP;multicast, RTP/AVP/TCP;interleaved=2-3", Some(Offer::Interleaved(Some((2, 3))))),
            ("RTP/AVPF;unicast;client_port=5000-5001;mode=record", udp(5000, 5001)),
            ("RTP/AVPF/TCP;unicast;interleaved=0-1", Some(Offer::Interleaved(Some((0, 1))))),
            ("RTP/SAVP;client_port=1-2", None),
            ("RTP/AVP;unicast", None),
            ("RTP/AVP/TCP;mode=play", None),
            ("RTP/AVP/TCP;interleaved=300-301", None),
            ("RTP/AVP/TCP;interleaved=255", None),
            ("mode=\"", None),
            ("", None),
        ] {
            assert_eq!(Offer::choose(header, false), offer, "{header}");
        }
    }

    #[test]
    fn secure_connections_are_interleaved() {
        let udp = "RTP/AVP/UDP;unicast;client_port=5000-5001";
        assert_eq!(Offer::choose(udp, true), None);
        let both = format!("{udp},RTP/AVP/TCP;interleaved=0-1");
        assert_eq!(Offer::choose(&both, true), Some(Offer::Interleaved(Some((0, 1)))));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,200}") {
            let _ = Offer::choose(&text, true);
        }
    }
}
