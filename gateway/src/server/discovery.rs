//! Looking for cameras, as configured.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};
use ingest::onvif::{Discovery, DiscoveryOptions};
use outbound::{AddressRules, Client};

use super::tls;
use crate::config::Config;

/// For all of one request to a camera, and its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Cameras are spoken to where sources may be pulled from, and their certificates believed in the same way.
pub(super) fn discovery(
    config: &Config,
    rules: AddressRules,
    tls: Arc<rustls::ClientConfig>,
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
) -> Discovery {
    let client = Client::with_tls(rules, TIMEOUT, tls);
    let interfaces = interfaces(tls::interface_addresses());
    Discovery::new(DiscoveryOptions { to: config.discovery, interfaces, client, clock, entropy })
}

/// Loopback only where there is nothing else: no camera is there.
fn interfaces(all: Vec<IpAddr>) -> Vec<Ipv4Addr> {
    let v4 = all.into_iter().filter_map(|ip| match ip {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    });
    let (mut inside, mut outside): (Vec<_>, Vec<_>) = v4.partition(Ipv4Addr::is_loopback);
    let found = if outside.is_empty() { &mut inside } else { &mut outside };
    found.sort();
    found.dedup();
    std::mem::take(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_asked_only_where_there_is_nothing_else() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let all = ips(&["127.0.0.1", "::1", "192.0.2.7", "10.0.0.1", "192.0.2.7", "127.0.0.1"]);
        assert_eq!(interfaces(all), [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(interfaces(ips(&["127.0.0.1", "::1", "127.0.0.1"])), [Ipv4Addr::LOCALHOST]);
    }
}
