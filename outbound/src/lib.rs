//! HTTP requests that leave this server: to webhooks, to cameras that are discovered, and to the destinations of
//! delivery streams.
//!
//! [`Client`] speaks HTTP/1.1 over connections that it keeps for a while, and reads a bounded answer within a bounded
//! time. Redirections are not followed.
//!
//! Invariants: no address is connected to that the [`AddressRules`] forbid, whatever the host's name pointed
//! to before; what is checked is what is connected to. No error or `Debug` shows a path, a query or a
//! credential: some services have their secret in the path.

mod client;
mod connector;
mod error;
mod rules;
mod url;

pub use client::{Body, Client};
pub use error::SendError;
pub use rules::{AddressError, AddressRules, Network, NetworkError};
pub use url::{Url, UrlError};
