//! Opening the data folder: log, then catalog, then what was open in a crash, then index.

use std::path::PathBuf;
use std::sync::Arc;

use base::{Clock, Entropy};
use catalog::{Catalog, CatalogOptions};
use data_streams::DataStreams;
use fragment_log::{Log, MasterKey, Options};
use indexer::{Indexer, IndexerOptions};
use tokio::task::spawn_blocking;

use super::ServerError;
use crate::config::Config;

/// What the data folder holds, open.
pub struct Storage {
    /// The truth.
    pub log: Arc<Log>,
    /// What exists and who may.
    pub catalog: Arc<Catalog>,
    /// Records.
    pub data_streams: Arc<DataStreams>,
    /// Which fragments.
    pub indexer: Arc<Indexer>,
    /// Fragments that were open in a crash and are closed now.
    pub recovered: u64,
}

/// Opens all of it; makes the folder, its keys and the root credentials on the first start.
pub(super) async fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Storage, ServerError> {
    let (limits, credentials) = (config.limits.clone(), config.data.join("credentials"));
    let (config, clock, entropy) = (config.clone(), Arc::clone(clock), Arc::clone(entropy));
    let options = IndexerOptions { dir: index_dir(&config), clock: Arc::clone(&clock) };
    let opened = spawn_blocking(move || {
        let log = open_log(&config, &clock, &entropy)?;
        let catalog = open_catalog(&config, &log, &clock, &entropy)?;
        let data_streams = DataStreams::open(Arc::clone(&log), Arc::clone(&catalog), Arc::clone(&clock))?;
        Ok::<_, ServerError>((log, catalog, data_streams))
    });
    let (log, catalog, data_streams) = opened.await??;
    let recovered = ingest::recover(&log, &catalog, &limits).await;
    let (log_of_it, catalog_of_it) = (Arc::clone(&log), Arc::clone(&catalog));
    let indexer = spawn_blocking(move || Indexer::open(log_of_it, catalog_of_it, options)).await??;
    catalog.ensure_root_credentials(&credentials).await?;
    Ok(Storage { log, catalog, data_streams, indexer, recovered })
}

/// Opens the log. Blocks on the disk.
///
/// # Errors
/// [`fragment_log::LogError::Locked`] while a server runs on the folder; a wrong master key.
pub fn open_log(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Arc<Log>, ServerError> {
    let master = master_key(config, entropy)?;
    let options = Options {
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        tail_bytes: config.tail_ring.0,
        ..Options::new(&config.data, master)
    };
    Ok(Arc::new(Log::open(options)?))
}

/// The master key of the installation: the variable's, else the command, else the file's, which is
/// made on the first start.
pub fn master_key(config: &Config, entropy: &Arc<dyn Entropy>) -> Result<MasterKey, ServerError> {
    let variable = std::env::var("MILLRACE_MASTER_KEY").ok();
    if let (None, Some(command)) = (&variable, MasterKey::from_command(&config.master_key_command)) {
        return Ok(command);
    }
    let file = config.master_key_file.clone().or_else(MasterKey::default_path);
    let file = match (file, &variable) {
        (Some(file), _) => file,
        // With the variable the file is not looked at.
        (None, Some(_)) => PathBuf::new(),
        (None, None) => return Err(ServerError::NoMasterKeyPlace),
    };
    Ok(MasterKey::resolve(variable.as_deref(), &file, &config.data, &**entropy)?)
}

/// Opens the catalog. Blocks on the disk.
///
/// # Errors
/// Whatever keeps the control lane from being understood.
pub fn open_catalog(
    config: &Config,
    log: &Arc<Log>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Arc<Catalog>, ServerError> {
    let options = CatalogOptions {
        dir: index_dir(config),
        account: config.account.0.clone(),
        region: config.region.0.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        limits: config.limits.clone(),
        device_retention: config.device_retention,
    };
    Ok(Catalog::open(Arc::clone(log), options)?)
}

/// Where everything is that can be rebuilt.
pub fn index_dir(config: &Config) -> PathBuf {
    config.data.join("index")
}
