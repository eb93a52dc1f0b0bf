//! The names this machine may be called by.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{BaseUrl, Config};

/// The host's name, or `localhost` where it has none that a URL could carry.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if !name.is_empty() && name.bytes().all(fits) { name } else { "localhost".into() }
}

/// Every name and address that a certificate should be good for: localhost, the host's name, each
/// interface's address, and what the configuration calls this installation.
pub fn names(config: &Config) -> Vec<String> {
    let mut names: BTreeSet<String> = ["localhost".to_owned(), host_name()].into();
    let urls = [&config.http_public_url, &config.https_public_url];
    names.extend(urls.into_iter().flatten().map(BaseUrl::host).map(str::to_owned));
    let given = config.webrtc_public_addresses.iter().copied();
    let bound = [config.http, config.https, config.rtsp, config.rtsps, config.webrtc].map(|at| at.ip());
    let addresses = given.chain(bound).chain(interface_addresses()).filter(|ip| !ip.is_unspecified());
    names.extend(addresses.map(|ip| ip.to_string()));
    names.into_iter().collect()
}

/// The addresses of this machine's interfaces, as the kernel lists them.
pub fn interface_addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut found: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    found.extend(local_v4(&v4).into_iter().map(IpAddr::from));
    found.extend(global_v6(&v6).into_iter().map(IpAddr::from));
    found
}

/// From `/proc/net/fib_trie`: an address stands on the line before its `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let lines: Vec<&str> = trie.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[1] == "/32 host LOCAL")
        .filter_map(|pair| pair[0].strip_prefix("|-- ")?.parse().ok())
        .collect()
}

/// From `/proc/net/if_inet6`: address, index, prefix length, scope (00 is global), flags, interface.
fn global_v6(table: &str) -> Vec<Ipv6Addr> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (address, scope) = (fields.next()?, fields.nth(2)?);
            (scope == "00").then(|| u128::from_str_radix(address, 16).ok().map(Ipv6Addr::from))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::SETTINGS;

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n        |-- 10.1.2.0\n           /24 link UNICAST\n        |-- 10.1.2.3\n           /32 host LOCAL\n        |-- 10.1.2.255\n           /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(10, 1, 2, 3)]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     20010db8000000000000000000000007 02 40 00 80     eth0\n\
                     fe800000000000000000000000000001 02 40 20 80     eth0\n";
        assert_eq!(global_v6(table), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn a_certificate_is_good_for_what_the_configuration_says() {
        let mut config = Config { https: "192.0.2.9:1".parse().unwrap(), ..Config::default() };
        let key = SETTINGS.iter().find(|setting| setting.key == "https.public_url").unwrap();
        (key.field)(&mut config).set("https://mill.example:8443/x").unwrap();
        let names = names(&config);
        for name in ["localhost", "127.0.0.1", "::1", "192.0.2.9", "mill.example"] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|found| found == "0.0.0.0"), "{names:?}");
    }
}
