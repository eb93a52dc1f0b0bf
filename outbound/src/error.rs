//! Why a request had no answer.

use std::io;
use std::time::Duration;

use crate::AddressError;

/// Why a request had no answer. Says nothing of path and query.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The host's name has no address, or could not be looked up.
    #[error("the host's name has no address: {0}")]
    Resolve(io::Error),
    /// None of its addresses may be connected to.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody takes the connection.
    #[error("does not accept the connection: {0}")]
    Connect(io::Error),
    /// TLS could not be agreed on: most often a certificate that nobody known has signed.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// What came is not HTTP, or broke off.
    #[error("HTTP: {0}")]
    Http(hyper::Error),
    /// The answer is longer than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// All of it took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The request itself cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(http::Error),
}
