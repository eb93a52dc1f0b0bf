//! Cameras on the local network that speak ONVIF: who is there, and which URLs they can be pulled from.
//!
//! [`Discovery`] asks by multicast ([`discovery`]), then asks each device that answered for its profiles and their
//! URLs ([`device`]), signed with WS-UsernameToken or HTTP Digest where it is given a login.
//!
//! Invariants: what devices send is read with bounds ([`xml`]), and nothing in it leads to another host than the
//! one that it came from; a password is sent only as a digest.
//!
//! Not promised: devices that have link-local addresses only, which nothing here connects to.

pub mod device;
pub mod discovery;
mod soap;
pub mod xml;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Entropy};
use outbound::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use device::{Camera, Profile};
pub use soap::{DeviceError, Login};

/// The multicast group and port of WS-Discovery (§2.4).
pub const GROUP: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 3702));
/// The same over IPv6, on the link of each interface.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
/// Devices that are asked at a time.
const AT_A_TIME: usize = 16;

/// What looking for cameras needs.
pub struct DiscoveryOptions {
    /// Where the question goes: [`GROUP`], or a device.
    pub to: SocketAddr,
    /// Where a multicast goes out.
    pub interfaces: Vec<Interface>,
    /// Who speaks to devices.
    pub client: Client,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where message ids and nonces come from.
    pub entropy: Arc<dyn Entropy>,
}

/// An address of this machine that devices can answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The address; of IPv6 no link-local one, so that devices answer from one that can be connected to.
    pub address: IpAddr,
    /// The number of its network interface, which IPv6 needs.
    pub index: u32,
}

impl Interface {
    /// Where the question goes from here, if it is for the group `to`.
    fn asks(&self, to: SocketAddr) -> SocketAddr {
        match self.address {
            IpAddr::V4(_) => to,
            IpAddr::V6(_) => SocketAddrV6::new(GROUP_V6, to.port(), 0, self.index).into(),
        }
    }
}

/// Looks for cameras.
pub struct Discovery {
    options: Arc<DiscoveryOptions>,
    one: Semaphore,
}

/// Why nobody could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// One at a time.
    #[error("cameras are being looked for already: try again in some seconds")]
    Busy,
    /// The network.
    #[error("the question cannot be sent: {0}")]
    Network(io::Error),
}

impl Discovery {
    /// Nothing happens before [`Self::find`].
    pub fn new(options: DiscoveryOptions) -> Self {
        Self { options: Arc::new(options), one: Semaphore::new(1) }
    }

    /// The cameras that answer within `wait`, in the order of their addresses, with what they told.
    ///
    /// # Errors
    /// [`DiscoveryError`]. A camera that does not tell everything is no error: it says why.
    pub async fn find(&self, wait: Duration, login: Option<Login>) -> Result<Vec<Camera>, DiscoveryError> {
        let _permit = self.one.try_acquire().map_err(|_| DiscoveryError::Busy)?;
        let DiscoveryOptions { to, interfaces, entropy, .. } = &*self.options;
        let id = message_id(&**entropy);
        let found = discovery::probe(*to, interfaces, &id, wait).await.map_err(DiscoveryError::Network)?;
        let (turns, login) = (Arc::new(Semaphore::new(AT_A_TIME)), Arc::new(login));
        let mut asked = JoinSet::new();
        for found in found {
            let (options, login) = (Arc::clone(&self.options), Arc::clone(&login));
            let turns = Arc::clone(&turns);
            asked.spawn(async move {
                // An error would mean that it was closed, which nobody does.
                let _turn = turns.acquire().await;
                let DiscoveryOptions { client, clock, entropy, .. } = &*options;
                let login = login.as_ref().as_ref();
                let challenge = Mutex::default();
                let dialogue = soap::Dialogue { client, entropy: &**entropy, login, challenge };
                device::describe(&dialogue, &**clock, found).await
            });
        }
        let mut cameras = asked.join_all().await;
        cameras.sort_by(|a, b| (&a.address, &a.name).cmp(&(&b.address, &b.name)));
        Ok(cameras)
    }
}

/// A random UUID (RFC 9562 version 4) as a URN.
fn message_id(entropy: &dyn Entropy) -> String {
    let mut bytes = entropy.bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
