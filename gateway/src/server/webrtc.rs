//! The WebRTC port: what publishers are told of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ingest::whip;
use tokio::net::UdpSocket;

use super::{ServerError, tls};
use crate::config::Config;

/// The server behind the port, which is bound to `bound`.
///
/// # Errors
/// [`ServerError::Bind`].
pub(super) fn server(
    config: &Config,
    bound: SocketAddr,
    udp: UdpSocket,
    options: whip::Options,
) -> Result<Arc<whip::Server>, ServerError> {
    let addresses = addresses(config, bound.ip(), tls::interface_addresses());
    let unusable = |source| ServerError::Bind { listener: "webrtc", address: bound, source };
    whip::Server::new(options, udp, &addresses).map_err(unusable)
}

/// The addresses that ICE candidates carry: those that are configured; else the bound one; where that
/// is a wildcard every interface's that it covers, and loopback only where there is nothing else.
fn addresses(config: &Config, bound: IpAddr, interfaces: Vec<IpAddr>) -> Vec<IpAddr> {
    if !config.webrtc_public_addresses.is_empty() {
        return config.webrtc_public_addresses.clone();
    }
    if !bound.is_unspecified() {
        return vec![bound];
    }
    let covered = interfaces.into_iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4());
    let (mut inside, mut outside): (Vec<_>, Vec<_>) = covered.partition(IpAddr::is_loopback);
    let found = if outside.is_empty() { &mut inside } else { &mut outside };
    found.sort();
    found.dedup();
    std::mem::take(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn candidates_carry_what_is_configured_or_bound_or_every_interfaces_address() {
        let interfaces = || ips(&["127.0.0.1", "::1", "192.0.2.7", "127.0.0.1", "2001:db8::7", "192.0.2.7"]);
        let mut config = Config::default();
        let of = |config: &Config, bound: &str| addresses(config, bound.parse().unwrap(), interfaces());
        assert_eq!(of(&config, "0.0.0.0"), ips(&["192.0.2.7"]));
        assert_eq!(of(&config, "::"), ips(&["192.0.2.7", "2001:db8::7"]));
        assert_eq!(of(&config, "127.0.0.1"), ips(&["127.0.0.1"]));
        let lonely = addresses(&config, "0.0.0.0".parse().unwrap(), ips(&["127.0.0.1", "::1"]));
        assert_eq!(lonely, ips(&["127.0.0.1"]));
        config.webrtc_public_addresses = ips(&["203.0.113.1"]);
        assert_eq!(of(&config, "0.0.0.0"), ips(&["203.0.113.1"]));
    }
}
