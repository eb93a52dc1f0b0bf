//! The five listeners, and what they are called.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UdpSocket};

use super::{ServerError, tls};
use crate::app::BaseUrls;
use crate::config::{BaseUrl, Config};

/// Tries to find one free number for both UDP and TCP.
const PAIR_TRIES: usize = 32;

/// The bound sockets.
pub(super) struct Listeners {
    pub http: TcpListener,
    pub https: TcpListener,
    pub rtsp: TcpListener,
    pub rtsps: TcpListener,
    pub webrtc: TcpListener,
}

impl Listeners {
    /// All of them, and the UDP half of the WebRTC port.
    pub async fn bind(config: &Config) -> Result<(Self, UdpSocket), ServerError> {
        let (webrtc, udp) = bind_pair("webrtc", config.webrtc).await?;
        let listeners = Self {
            http: bind("http", config.http).await?,
            https: bind("https", config.https).await?,
            rtsp: bind("rtsp", config.rtsp).await?,
            rtsps: bind("rtsps", config.rtsps).await?,
            webrtc,
        };
        Ok((listeners, udp))
    }

    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            http: self.http.local_addr()?,
            https: self.https.local_addr()?,
            rtsp: self.rtsp.local_addr()?,
            rtsps: self.rtsps.local_addr()?,
            webrtc: self.webrtc.local_addr()?,
        })
    }
}

async fn bind(listener: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { listener, address, source })
}

/// TCP and UDP on one number; where any is free, until one is free for both.
async fn bind_pair(
    listener: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, UdpSocket), ServerError> {
    let mut tries = 0;
    loop {
        let tcp = bind(listener, address).await?;
        let port = tcp.local_addr().map_err(|source| ServerError::Bind { listener, address, source })?.port();
        match UdpSocket::bind(SocketAddr::new(address.ip(), port)).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(_) if address.port() == 0 && tries < PAIR_TRIES => tries += 1,
            Err(source) => return Err(ServerError::Bind { listener, address, source }),
        }
    }
}

/// Where the server listens: the content of `DATA/addresses.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// RTSP.
    pub rtsp: SocketAddr,
    /// RTSPS.
    pub rtsps: SocketAddr,
    /// WebRTC, UDP and TCP.
    pub webrtc: SocketAddr,
}

impl Addresses {
    /// All of them.
    pub(super) fn all(&self) -> [SocketAddr; 5] {
        [self.http, self.https, self.rtsp, self.rtsps, self.webrtc]
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), ServerError> {
        let partial = path.with_extension("partial");
        let write = || -> io::Result<()> {
            let mut file = std::fs::File::create(&partial)?;
            serde_json::to_writer(&mut file, self)?;
            file.write_all(b"\n")?;
            std::fs::rename(&partial, path)
        };
        write().map_err(ServerError::file(path))
    }
}

/// What answers call the listeners: as configured, else as bound; where that is a wildcard, loopback
/// for what only this machine should use, the host's name for the rest.
pub(super) fn base_urls(config: &Config, addresses: &Addresses) -> BaseUrls {
    let host = tls::host_name();
    let url = |scheme: &str, bound: SocketAddr, wildcard: &str| {
        if bound.ip().is_unspecified() {
            format!("{scheme}://{wildcard}:{}", bound.port())
        } else {
            format!("{scheme}://{bound}")
        }
    };
    let given = |url: &Option<BaseUrl>| url.as_ref().map(|url| url.as_str().to_owned());
    BaseUrls {
        http: given(&config.http_public_url).unwrap_or_else(|| url("http", addresses.http, &host)),
        https: given(&config.https_public_url).unwrap_or_else(|| url("https", addresses.https, &host)),
        rtsp: url("rtsp", addresses.rtsp, public_host(config, &host)),
        rtsps: url("rtsps", addresses.rtsps, public_host(config, &host)),
    }
}

/// The name that cameras on other machines know this one by.
fn public_host<'a>(config: &'a Config, host: &'a str) -> &'a str {
    let given = config.https_public_url.as_ref().or(config.http_public_url.as_ref());
    given.map(BaseUrl::host).filter(|host| host.parse::<IpAddr>().is_err()).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn addresses() -> Addresses {
        let at = |text: &str| text.parse().unwrap();
        Addresses {
            http: at("127.0.0.1:4567"),
            https: at("0.0.0.0:4568"),
            rtsp: at("[::]:8554"),
            rtsps: at("[::1]:8322"),
            webrtc: at("0.0.0.0:8189"),
        }
    }

    #[test]
    fn urls_are_as_bound_or_by_the_hosts_name() {
        let urls = base_urls(&Config::default(), &addresses());
        let host = tls::host_name();
        assert_eq!(urls.http, "http://127.0.0.1:4567");
        assert_eq!(urls.https, format!("https://{host}:4568"));
        assert_eq!(urls.rtsp, format!("rtsp://{host}:8554"));
        assert_eq!(urls.rtsps, "rtsps://[::1]:8322");
    }

    #[tokio::test]
    async fn webrtc_has_one_number_for_both() {
        let (tcp, udp) = bind_pair("webrtc", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert_eq!(tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = bind("https", taken.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("https") && error.contains("--https"), "{error}");
    }
}
