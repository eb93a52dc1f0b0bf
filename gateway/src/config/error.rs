//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}: line {line}: {why}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// The file has a key that there is not.
    #[error("{}: there is no key {key}{}", path.display(), hint(.nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// The key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A value cannot be taken.
    #[error("{place}: {value:?} {why}")]
    Value {
        /// Flag, variable, or file and key.
        place: String,
        /// What was given.
        value: String,
        /// What it has to be.
        why: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Together(&'static str),
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest
        .map(|key| format!(": did you mean {key}?"))
        .unwrap_or_else(|| ": see `millrace config example`".into())
}
