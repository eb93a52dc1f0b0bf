//! Why a command failed.

use std::io;
use std::path::PathBuf;

use catalog::CatalogError;
use fragment_log::LogError;
use indexer::IndexError;

use crate::config::ConfigError;
use crate::server::ServerError;

/// What went wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is not a data folder: name one with --data DIR", .0.display())]
    NoDataFolder(PathBuf),
    #[error("{0}")]
    Arguments(String),
    #[error("no server answers for {}: start it with `millrace serve`, or name its data folder with --data DIR ({cause})", data.display())]
    NotRunning { data: PathBuf, cause: String },
    #[error("the running server refuses: {0}")]
    Refused(String),
    #[error("the data folder is in use, but its server at {address} does not answer: {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("{} is not an AWS credentials file with [default]", .0.display())]
    Credentials(PathBuf),
    #[error("{} is not from this version of Millrace", .0.display())]
    Addresses(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
}
