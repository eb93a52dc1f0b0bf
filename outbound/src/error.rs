//! Why a request had no answer.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy;

use crate::{AddressError, UrlError};

/// Why a request had no answer. Says nothing of path and query.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The request's URL is none that requests can go to.
    #[error("the URL {0}")]
    Url(UrlError),
    /// The host's name has no address, or could not be looked up.
    #[error("the host's name has no address: {0}")]
    Resolve(Arc<io::Error>),
    /// None of its addresses may be connected to.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody takes the connection.
    #[error("does not accept the connection: {0}")]
    Connect(Arc<io::Error>),
    /// TLS could not be agreed on: most often a certificate that nobody known has signed.
    #[error("TLS: {0}")]
    Tls(Arc<io::Error>),
    /// What came is not HTTP, or nothing came.
    #[error("HTTP: {0}")]
    Http(String),
    /// The answer's body ended before it was whole.
    #[error("the answer broke off: {0}")]
    BrokeOff(String),
    /// The answer is longer than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection, or all of it, took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The request itself cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(Arc<http::Error>),
}

impl SendError {
    /// Why a request over the pool failed: the connector's own words, where it is its fault.
    pub(crate) fn of(error: &legacy::Error) -> Self {
        let mut next = error.source();
        while let Some(cause) = next {
            if let Some(own) = cause.downcast_ref::<Self>() {
                return own.clone();
            }
            next = cause.source();
        }
        Self::Http(causes(error))
    }
}

/// An error and what caused it.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
