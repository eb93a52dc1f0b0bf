//! WS-Discovery (OASIS 1.0, April 2005, as ONVIF has it): who is there, asked by multicast.
//!
//! <http://specs.xmlsoap.org/ws/2005/04/discovery/ws-discovery.pdf>

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use outbound::Url;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Interface;
use super::xml::{Element, XmlError};

/// Devices that one probe finds, at most.
pub(super) const MOST: usize = 256;
/// Answers of one socket that are looked at: whoever floods it is not listened to for longer.
const ANSWERS: usize = 4096;
/// Between the first and the second time the question is asked: datagrams get lost.
const REPEAT: Duration = Duration::from_millis(500);
/// Characters of what a device calls itself.
const NAME_CHARS: usize = 100;

/// A device that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where its device service is, on the host that the answer came from.
    pub service: Url,
    /// What it calls itself.
    pub name: Option<String>,
    /// What it is.
    pub hardware: Option<String>,
    /// Where it is, as somebody told it.
    pub location: Option<String>,
}

/// The question, under its message's id.
pub(super) fn question(id: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>{id}</w:MessageID><w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To><w:Action e:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header><e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"#
    )
}

/// The devices in an answer to the message `id` that came from `sender`.
///
/// # Errors
/// [`XmlError`] for what cannot be read. An answer to somebody else has no devices.
pub fn answer(bytes: &[u8], id: &str, sender: IpAddr) -> Result<Vec<Match>, XmlError> {
    let envelope = Element::parse(bytes)?;
    if envelope.text_at(&["Header", "RelatesTo"]) != Some(id) {
        return Ok(Vec::new());
    }
    let matches = envelope.at(&["Body", "ProbeMatches"]);
    let found = matches.into_iter().flat_map(|matches| matches.all("ProbeMatch"));
    Ok(found.filter_map(|found| device(found, sender)).take(MOST).collect())
}

fn device(found: &Element, sender: IpAddr) -> Option<Match> {
    let addresses = found.text_at(&["XAddrs"])?;
    let service = addresses.split_whitespace().find_map(|address| on_host(address, sender))?;
    let scopes = found.text_at(&["Scopes"]).unwrap_or("");
    let scope = |kind: &str| {
        let prefix = format!("onvif://www.onvif.org/{kind}/");
        let value = scopes.split_whitespace().find_map(|scope| scope.strip_prefix(&prefix))?;
        let text: String = percent_decoded(value).chars().take(NAME_CHARS).collect();
        (!text.is_empty()).then_some(text)
    };
    let (name, hardware, location) = (scope("name"), scope("hardware"), scope("location"));
    Some(Match { service, name, hardware, location })
}

/// A URL that a device gave, on the host that the device answered from: what a device says must not send
/// anybody, let alone a password, to another host.
pub(super) fn on_host(url: &str, host: IpAddr) -> Option<Url> {
    Url::parse(&rehosted(url, host, &["http", "https"])?).ok()
}

/// A URL of one of these schemes with another host, and without user and password.
pub(super) fn rehosted(url: &str, host: IpAddr, schemes: &[&str]) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = schemes.iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    let port = authority[after_host..].rsplit_once(':').map(|(_, port)| port);
    let port = port.map(|port| port.parse::<u16>().map(|port| format!(":{port}"))).transpose().ok()?;
    let host = match host {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let plain = path.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| format!("{scheme}://{host}{}{path}", port.unwrap_or_default()))
}

/// Percent-encoded UTF-8; what is not stays as it is.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]),
            None => (bytes.push(first), rest = after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks for `wait`, from each of this machine's interfaces where `to` is a multicast group.
///
/// # Errors
/// Of the system, where the question could be sent from nowhere.
pub(super) async fn probe(
    to: SocketAddr,
    interfaces: &[Interface],
    id: &str,
    wait: Duration,
) -> io::Result<Vec<Match>> {
    let from: Vec<(IpAddr, SocketAddr)> = match to.ip() {
        group if group.is_multicast() => {
            interfaces.iter().map(|interface| (interface.address, interface.asks(to))).collect()
        }
        IpAddr::V4(_) => vec![(Ipv4Addr::UNSPECIFIED.into(), to)],
        IpAddr::V6(_) => vec![(Ipv6Addr::UNSPECIFIED.into(), to)],
    };
    let mut asked = JoinSet::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "this machine has no network interface");
    for (from, to) in from {
        match ask(from, to, id).await {
            Ok(socket) => drop(asked.spawn(collect(socket, to, id.to_owned(), wait))),
            Err(error) => failed = error,
        }
    }
    if asked.is_empty() {
        return Err(failed);
    }
    let found = asked.join_all().await.into_iter().flatten();
    let distinct: BTreeMap<String, Match> = found.map(|found| (found.service.to_string(), found)).collect();
    Ok(distinct.into_values().take(MOST).collect())
}

async fn ask(from: IpAddr, to: SocketAddr, id: &str) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0)).await?;
    socket.send_to(question(id).as_bytes(), to).await?;
    Ok(socket)
}

async fn collect(socket: UdpSocket, to: SocketAddr, id: String, wait: Duration) -> Vec<Match> {
    let (end, mut repeat) = (Instant::now() + wait, Some(Instant::now() + REPEAT));
    let mut buffer = vec![0; 64 * 1024];
    let mut found = Vec::new();
    for _ in 0..ANSWERS {
        let until = repeat.map_or(end, |at| at.min(end));
        match timeout_at(until, socket.recv_from(&mut buffer)).await {
            Ok(Ok((len, sender))) => {
                // What cannot be read is no answer.
                found.extend(answer(&buffer[..len], &id, sender.ip().to_canonical()).unwrap_or_default());
                if found.len() >= 2 * MOST {
                    break;
                }
            }
            // Nobody listens there (ICMP), which says nothing of the others.
            Ok(Err(_)) => {}
            Err(_) if until == end => break,
            Err(_) => {
                repeat = None;
                // The first time was good; a second that fails takes nothing from it.
                let _ = socket.send_to(question(&id).as_bytes(), to).await;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn told(relates_to: &str, addresses: &str, scopes: &str) -> Vec<Match> {
        let text = format!(
            "<s:Envelope><s:Header><a:RelatesTo>{relates_to}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches>\
             <d:ProbeMatch><d:XAddrs>{addresses}</d:XAddrs><d:Scopes>{scopes}</d:Scopes></d:ProbeMatch>\
             </d:ProbeMatches></s:Body></s:Envelope>"
        );
        answer(text.as_bytes(), "urn:uuid:1", SENDER).unwrap()
    }

    #[test]
    fn an_answer_names_devices_on_the_host_it_came_from() {
        let scopes = "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20Door \
                      onvif://www.onvif.org/hardware/X%C3%BC1";
        let found =
            told("urn:uuid:1", "http://[fe80::1]/x http://198.51.100.1:8080/onvif/device_service", scopes);
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found.service.host(), found.service.port()), ("192.0.2.7", 80));
        assert_eq!((found.name.as_deref(), found.hardware.as_deref()), (Some("Front Door"), Some("Xü1")));
        assert_eq!(told("urn:uuid:2", "http://192.0.2.7/x", scopes), [], "somebody else's");
        assert_eq!(told("urn:uuid:1", "ftp://192.0.2.7/x soap.udp://1", scopes), []);
    }

    #[test]
    fn urls_keep_port_and_path_and_lose_their_host() {
        let rtsp = |url: &str| rehosted(url, SENDER, &["rtsp", "rtsps"]);
        for (url, expected) in [
            ("rtsp://10.0.0.9/live?a=b", Some("rtsp://192.0.2.7/live?a=b")),
            ("RTSP://me:pass@10.0.0.9:8554/live", Some("rtsp://192.0.2.7:8554/live")),
            ("rtsps://[2001:db8::1]:322/a@b", Some("rtsps://192.0.2.7:322/a@b")),
            ("rtsp://host", Some("rtsp://192.0.2.7")),
            ("rtsp://host:99999/", None),
            ("http://host/", None),
            ("rtsp://host/a b", None),
            ("rtsp:/host", None),
        ] {
            assert_eq!(rtsp(url).as_deref(), expected, "{url}");
        }
    }
}
