//! `millrace verify` and `millrace reindex`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, SystemClock, SystemEntropy};
use fragment_log::Log;
use indexer::{Indexer, IndexerOptions};

use super::error::CliError;
use super::print;
use crate::config::Config;
use crate::server::{index_dir, master_key, open_catalog, open_log};

/// Checks every stored byte, beside a running server or without.
pub(super) fn verify(config: &Config) -> Result<ExitCode, CliError> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let master = master_key(config, &entropy)?;
    let mut stdout = std::io::stdout();
    let summary = Log::verify(&config.data, Some(&master), &mut |damage| {
        let stream = damage.stream.map(|stream| format!(", stream {stream}")).unwrap_or_default();
        let time = damage.time.map(|time| format!(", {time}")).unwrap_or_default();
        let (file, offset, bytes) = (damage.file.display(), damage.offset, damage.bytes);
        let what = damage.what;
        // A reader that went away is told by the exit code.
        let _ = writeln!(stdout, "{file}: damaged at byte {offset} ({bytes} bytes): {what}{stream}{time}");
    })?;
    print(&format!(
        "{} segments, {} frames, {} bytes checked: {} damaged places; {} frames of deleted streams, {} given back, {} unfinished ends\n",
        summary.segments,
        summary.frames,
        summary.bytes,
        summary.damages,
        summary.shredded,
        summary.freed,
        summary.torn_tails
    ))?;
    Ok(if summary.damages == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

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
