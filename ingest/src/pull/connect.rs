//! From a URL to a TCP connection that may be used.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use outbound::AddressRules;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PullError;
use super::url::SourceUrl;
use crate::rtsp::socket::Socket;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// A connection, with the addresses of both its ends.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// Connects to the first address of the host that lets itself be connected to. Each is held against the
/// rules before a packet is sent there, whatever the name pointed to when the source was set.
///
/// # Errors
/// What became of the last address.
pub(super) async fn connect(
    url: &SourceUrl,
    rules: &AddressRules,
    patience: Duration,
) -> Result<Connected, PullError> {
    let mut last = None;
    for address in resolve(url, patience).await?.into_iter().take(MAX_ADDRESSES) {
        match connect_to(address, rules, patience).await {
            Ok(connected) => return Ok(connected),
            Err(error) => last = Some(error),
        }
    }
    let nothing = || PullError::Resolve { host: url.host.clone(), why: "it has none".into() };
    Err(last.unwrap_or_else(nothing))
}

/// The addresses of a host.
pub(super) async fn resolve(url: &SourceUrl, patience: Duration) -> Result<Vec<SocketAddr>, PullError> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    let found = timeout(patience, lookup_host((url.host.as_str(), url.port))).await;
    let found = found.map_err(|_| PullError::NoAnswer { what: "looking up the name", patience })?;
    let why = |error: std::io::Error| PullError::Resolve { host: url.host.clone(), why: error.to_string() };
    Ok(found.map_err(why)?.collect())
}

async fn connect_to(
    address: SocketAddr,
    rules: &AddressRules,
    patience: Duration,
) -> Result<Connected, PullError> {
    rules.check(address)?;
    let connected = timeout(patience, TcpStream::connect(address)).await;
    let connected = connected.map_err(|_| PullError::NoAnswer { what: "connecting", patience })?;
    let stream = connected.map_err(|source| PullError::Connect { address, source })?;
    let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
    let (local, peer) = ends.map_err(PullError::Broken)?;
    rules.check_connection(local, peer)?;
    // Requests are small and waited for.
    let _ = stream.set_nodelay(true);
    Ok(Connected { stream, local, peer })
}

/// Encrypts a connection.
///
/// # Errors
/// [`PullError::Tls`], [`PullError::NoAnswer`].
pub(super) async fn encrypt(
    stream: TcpStream,
    url: &SourceUrl,
    config: &Arc<rustls::ClientConfig>,
    patience: Duration,
) -> Result<TlsStream<Socket>, PullError> {
    let name = ServerName::try_from(url.host.clone()).map_err(|_| super::url::UrlError::Host)?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, Socket::new(stream));
    let done = timeout(patience, handshake).await;
    done.map_err(|_| PullError::NoAnswer { what: "the TLS handshake", patience })?.map_err(PullError::Tls)
}
