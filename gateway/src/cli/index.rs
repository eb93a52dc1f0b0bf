//! `millrace reindex`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, SystemClock, SystemEntropy};
use indexer::{Indexer, IndexerOptions};

use super::error::CliError;
use super::print;
use crate::config::Config;
use crate::server::{index_dir, open_catalog, open_log};

/// Builds both views of the log again.
pub(super) fn reindex(config: &Config) -> Result<ExitCode, CliError> {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let log = open_log(config, &clock, &entropy)?;
    let catalog = open_catalog(config, &log, &clock, &entropy)?;
    let options = IndexerOptions { dir: index_dir(config), clock };
    let mut stderr = std::io::stderr();
    let rebuilt = Indexer::reindex(Arc::clone(&log), catalog, &options, &mut |so_far| {
        let _ = writeln!(stderr, "{} fragments", so_far.fragments);
    })?;
    log.close();
    print(&format!("{} fragments indexed\n", rebuilt.fragments))
}
