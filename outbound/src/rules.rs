//! Which addresses may be connected to: a source, a webhook or a delivery must not become a way into what only
//! this machine reaches.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A range of addresses in CIDR notation (RFC 4632 §3.1): `10.0.0.0/8`, `fd00::/8`; one address without
/// a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a network: an address, perhaps with a prefix length, such as 192.168.0.0/16 or fd00::/8")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.trim().parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.trim().parse().map_err(|_| NetworkError))?;
        if length > most { Err(NetworkError) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Network {
    /// Whether the address lies in it. The other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, bits) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let host_bits = bits - u32::from(self.length);
        // A shift by all 128 bits leaves nothing to compare.
        let network = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
        network(ours) == network(theirs)
    }
}

/// Which addresses may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Only these; empty for every address but link-local ones, among which clouds keep their
    /// instances' credentials.
    pub allow: Vec<Network>,
    /// Where this server listens: never connected to.
    pub own: Vec<SocketAddr>,
}

/// An address that must not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nobody's address, or everybody's.
    #[error("{0} is no address of one host")]
    NotUnicast(IpAddr),
    /// By default.
    #[error(
        "{0} is link-local, which is not connected to unless pull.allow, for webhooks and deliveries outbound.allow, \
         names it"
    )]
    LinkLocal(IpAddr),
    /// By setting.
    #[error(
        "{0} is not among the networks that pull.allow, for webhooks and deliveries outbound.allow, names"
    )]
    NotAllowed(IpAddr),
    /// One of the server's own listeners.
    #[error("{0} is this server's own: a stream cannot be pulled from another one of the same server")]
    Own(SocketAddr),
}

impl AddressRules {
    /// Whether `target` may be connected to.
    ///
    /// # Errors
    /// [`AddressError`] says why not.
    pub fn check(&self, target: SocketAddr) -> Result<(), AddressError> {
        let address = target.ip().to_canonical();
        if address.is_unspecified() || address.is_multicast() || is_broadcast(address) {
            return Err(AddressError::NotUnicast(address));
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|network| network.contains(address)) {
            return Err(AddressError::NotAllowed(address));
        }
        if self.allow.is_empty() && is_link_local(address) {
            return Err(AddressError::LinkLocal(address));
        }
        let own = |own: &SocketAddr| {
            let ip = own.ip().to_canonical();
            own.port() == target.port() && (ip == address || ip.is_unspecified() && address.is_loopback())
        };
        if self.own.iter().any(own) { Err(AddressError::Own(target)) } else { Ok(()) }
    }

    /// Whether a connection that was made goes back to this server by another of the machine's addresses:
    /// then both of its ends have the same.
    ///
    /// # Errors
    /// [`AddressError::Own`].
    pub fn check_connection(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), AddressError> {
        let same = local.ip().to_canonical() == peer.ip().to_canonical();
        let own = |own: &SocketAddr| own.ip().is_unspecified() && own.port() == peer.port();
        if same && self.own.iter().any(own) { Err(AddressError::Own(peer)) } else { Ok(()) }
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn cameras_are_reached_and_metadata_services_are_not() {
        let rules =
            AddressRules { own: vec![at("0.0.0.0:8554"), at("192.0.2.9:4567")], ..Default::default() };
        for good in ["10.0.0.5:554", "127.0.0.1:554", "[::1]:554", "203.0.113.7:554", "192.0.2.8:4567"] {
            assert_eq!(rules.check(at(good)), Ok(()), "{good}");
        }
        for bad in [
            "169.254.169.254:80",
            "[fe80::1]:554",
            "[::ffff:169.254.169.254]:80",
            "0.0.0.0:554",
            "224.0.0.1:554",
            "255.255.255.255:554",
            "127.0.0.1:8554",
            "127.9.9.9:8554",
            "192.0.2.9:4567",
            "[::ffff:192.0.2.9]:4567",
        ] {
            assert!(rules.check(at(bad)).is_err(), "{bad}");
        }
        assert!(rules.check_connection(at("198.51.100.1:40000"), at("198.51.100.1:8554")).is_err());
        assert!(rules.check_connection(at("198.51.100.1:40000"), at("198.51.100.2:8554")).is_ok());
        assert!(rules.check_connection(at("198.51.100.1:40000"), at("198.51.100.1:554")).is_ok());
    }

    #[test]
    fn a_list_is_the_whole_truth() {
        let allow = ["10.1.0.0/16", "fd00::/8", "169.254.3.4"].map(|text| text.parse().unwrap()).to_vec();
        let rules = AddressRules { allow, own: Vec::new() };
        for good in ["10.1.255.255:554", "[fd12::1]:554", "169.254.3.4:554"] {
            assert_eq!(rules.check(at(good)), Ok(()), "{good}");
        }
        for bad in ["10.2.0.1:554", "127.0.0.1:554", "[fe00::1]:554", "169.254.3.5:554"] {
            assert!(rules.check(at(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_read_and_write() {
        for text in ["10.1.0.0/16", "fd00::/8", "0.0.0.0/0", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
        for text in ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "cam.example", "10.0.0.0/x"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
    }
}
