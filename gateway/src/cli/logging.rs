//! Log lines: to standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::error::CliError;
use crate::config::{Config, LogFormat};

/// The filter that the configuration names.
pub(super) fn filter(config: &Config) -> Result<EnvFilter, CliError> {
    EnvFilter::try_new(&config.log_level)
        .map_err(|error| CliError::Arguments(format!("log.level: {:?}: {error}", config.log_level)))
}

/// Starts writing log lines.
pub(super) fn start(config: &Config) -> Result<(), CliError> {
    let lines = tracing_subscriber::fmt().with_env_filter(filter(config)?).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
