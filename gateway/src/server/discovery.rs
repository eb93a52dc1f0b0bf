//! Looking for cameras, as configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};
use ingest::onvif::{Discovery, DiscoveryOptions, Interface};
use outbound::{AddressRules, Client};

use super::tls;
use crate::config::Config;

/// The system's IPv6 addresses (proc_pid_net(5), `if_inet6`).
const IPV6_ADDRESSES: &str = "/proc/net/if_inet6";
/// The scope of addresses that reach beyond their link, there.
const GLOBAL: &str = "00";
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
    let v4 = interfaces(tls::interface_addresses());
    let v4 = v4.into_iter().map(|address| Interface { address: address.into(), index: 0 });
    // A system without IPv6 has no such file.
    let v6 = std::fs::read_to_string(IPV6_ADDRESSES).unwrap_or_default();
    let interfaces = v4.chain(ipv6_interfaces(&v6)).collect();
    Discovery::new(DiscoveryOptions { to: config.discovery, interfaces, client, clock, entropy })
}

/// The interfaces in the system's list: address, number, prefix length, scope, flags and name, all but the last in hex.
fn ipv6_interfaces(list: &str) -> Vec<Interface> {
    let interface = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?).into();
        let index = u32::from_str_radix(fields.next()?, 16).ok()?;
        (fields.nth(1)? == GLOBAL).then_some(Interface { address, index })
    };
    list.lines().filter_map(interface).collect()
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
    fn ipv6_is_asked_from_addresses_that_can_be_answered_to() {
        let list = "fd000000000000000000000000000002 04 40 00 82     eth0\n\
                    fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\nodd\n";
        assert_eq!(ipv6_interfaces(list), [Interface { address: "fd00::2".parse().unwrap(), index: 4 }]);
    }

    #[test]
    fn loopback_is_asked_only_where_there_is_nothing_else() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let all = ips(&["127.0.0.1", "::1", "192.0.2.7", "10.0.0.1", "192.0.2.7", "127.0.0.1"]);
        assert_eq!(interfaces(all), [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(interfaces(ips(&["127.0.0.1", "::1", "127.0.0.1"])), [Ipv4Addr::LOCALHOST]);
    }
}
