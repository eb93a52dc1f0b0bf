//! `millrace check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::error::CliError;
use super::settings::Overrides;

/// Reads the configuration as `serve` would, and the files it names.
pub(super) fn check(file: Option<PathBuf>, settings: &Overrides) -> Result<ExitCode, CliError> {
    let config = settings.config(file)?;
    super::logging::filter(&config)?;
    for path in [&config.tls_certificate, &config.tls_key, &config.master_key_file].into_iter().flatten() {
        // The master key is made on the first start.
        if Some(path) == config.master_key_file.as_ref() && !path.exists() {
            continue;
        }
        std::fs::File::open(path).map_err(|source| CliError::File { path: path.clone(), source })?;
    }
    super::print("the configuration is good\n")
}
