//! Why the server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use catalog::CatalogError;
use fragment_log::LogError;
use indexer::IndexError;

/// What could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder's log, or its master key.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Neither `$XDG_CONFIG_HOME` nor `$HOME` says where the master key is.
    #[error(
        "master key: set --master-key-file or MILLRACE_MASTER_KEY, since there is no home folder to keep it in"
    )]
    NoMasterKeyPlace,
    /// A listener's address.
    #[error(
        "cannot listen on {address} ({listener}): {source}; choose another with --{listener} ADDRESS:PORT"
    )]
    Bind {
        /// Which listener.
        listener: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A certificate or its key.
    #[error("TLS: {0}")]
    Tls(String),
    /// A thread that opens things failed.
    #[error("starting failed: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl ServerError {
    /// For `map_err` on a file operation.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
