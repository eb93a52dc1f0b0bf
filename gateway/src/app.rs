//! What every handler shares.

use std::sync::Arc;

use base::{Clock, Entropy, Limits};

/// The running installation: one per process, shared by all handlers as `State<Arc<App>>`.
pub struct App {
    /// The clock of the installation.
    pub clock: Arc<dyn Clock>,
    /// The randomness of the installation.
    pub entropy: Arc<dyn Entropy>,
    /// What a client may use.
    pub limits: Limits,
    /// What the listeners are called from outside.
    pub urls: BaseUrls,
}

/// The base URLs that answers carry, without a trailing slash. Never taken from a Host header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrls {
    /// `http://127.0.0.1:4567`
    pub http: String,
    /// `https://host.example:4568`
    pub https: String,
}

impl BaseUrls {
    /// The URL for a caller who came over this kind of connection.
    pub fn of(&self, arrival: &Arrival) -> &str {
        if arrival.tls { &self.https } else { &self.http }
    }
}

/// How a request came in: an extension of every request (`Extension<Arrival>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The other end.
    pub peer: std::net::SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}
