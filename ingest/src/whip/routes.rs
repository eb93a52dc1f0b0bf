//! Which session a datagram is for. All share one port: a STUN request names its session by the user
//! fragment, anything else is known by the address it comes from, once a session has answered it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::stun;

/// Datagrams that may wait for a session; more are lost, as they would be in the kernel.
pub(super) const INBOX: usize = 512;

/// A datagram on its way to its session.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    pub(super) via: Via,
    pub(super) bytes: Bytes,
    /// When it was read (monotonic).
    pub(super) arrival: Duration,
}

/// The way to the other end.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// The UDP port, from this address of the machine.
    Udp(IpAddr),
    /// A connection to this address of the machine, which sends what it is given.
    Tcp(IpAddr, mpsc::Sender<Vec<u8>>),
}

/// Where a session takes its datagrams.
pub(super) type Inbox = mpsc::Sender<Datagram>;

/// The sessions' user fragments and addresses.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    ufrags: HashMap<String, Inbox>,
    addresses: HashMap<SocketAddr, Inbox>,
}

impl Routes {
    /// STUN requests to `ufrag` go to the session.
    pub(super) fn add_ufrag(&self, ufrag: &str, inbox: &Inbox) {
        self.table().ufrags.insert(ufrag.to_owned(), inbox.clone());
    }

    /// STUN requests to `ufrag` go nowhere.
    pub(super) fn remove_ufrag(&self, ufrag: &str) {
        self.table().ufrags.remove(ufrag);
    }

    /// What comes from `address` goes to the session, which has found it to be its publisher's.
    pub(super) fn add_address(&self, address: SocketAddr, inbox: &Inbox) {
        self.table().addresses.insert(address, inbox.clone());
    }

    /// What comes from `address` goes nowhere, unless another session has it by now.
    pub(super) fn remove_address(&self, address: SocketAddr, inbox: &Inbox) {
        let mut table = self.table();
        if table.addresses.get(&address).is_some_and(|known| known.same_channel(inbox)) {
            table.addresses.remove(&address);
        }
    }

    /// The session that a datagram from `source` is for.
    pub(super) fn find(&self, source: SocketAddr, datagram: &[u8]) -> Option<Inbox> {
        let table = self.table();
        let found = match stun::local_ufrag(datagram) {
            Some(ufrag) => table.ufrags.get(ufrag),
            None => table.addresses.get(&source),
        };
        found.cloned()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
