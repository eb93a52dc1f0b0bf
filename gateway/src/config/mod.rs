//! What an installation can be told, by flag, environment variable or TOML key.
//!
//! [`settings::SETTINGS`] is the only list: flags, variables, keys, `--help` and `config example` are
//! made from it. A flag counts more than a variable, a variable more than the file.

mod error;
mod example;
mod file;
pub mod settings;
mod sources;
mod stores;
#[cfg(test)]
mod tests;
mod values;
mod webhooks;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ::firehose::StoreSettings;
use base::{Limits, StreamName};
use catalog::NewSource;
use ingest::TimestampSource;
use outbound::Network;

use crate::webhooks::Webhook;

pub use error::ConfigError;
pub use example::example;
pub use values::{Account, BaseUrl, LogFormat, Memory, Region, Roles, Share, words};

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Whether to run the demo camera.
    pub demo: bool,
    /// Which parts of the family this process runs.
    pub roles: Roles,
    /// The account in ARNs.
    pub account: Account,
    /// The region in ARNs.
    pub region: Region,
    /// Where the master key is; by default under `$XDG_CONFIG_HOME`.
    pub master_key_file: Option<PathBuf>,
    /// A program and arguments that wrap and unwrap instead of a key of our own; empty for none.
    pub master_key_command: Vec<String>,
    /// How long streams that a device's first push makes keep their footage.
    pub device_retention: Duration,
    /// Streams that are pulled from cameras because the file says so.
    pub sources: BTreeMap<StreamName, NewSource>,
    /// Networks that sources may be pulled from; none for every address but link-local ones.
    pub pull_allow: Vec<Network>,
    /// Certificates in PEM that sign those of `rtsps` sources; none to take any.
    pub pull_ca: Option<PathBuf>,
    /// Where cameras are looked for: a multicast group, or a device.
    pub discovery: SocketAddr,
    /// Where changes of streams' states are posted.
    pub webhooks: Vec<Webhook>,
    /// Networks that webhooks and delivery streams may reach; none for every address but link-local ones.
    pub outbound_allow: Vec<Network>,
    /// Certificates in PEM that sign those of destinations; none for those that the system trusts.
    pub firehose_ca: Option<PathBuf>,
    /// S3 stores of some buckets.
    pub firehose_stores: Vec<StoreSettings>,
    /// Memory for what is being delivered.
    pub firehose_memory: Memory,
    /// Free space below which the oldest footage goes.
    pub free_floor: Share,
    /// Free space below which no new data is taken.
    pub reserve: Share,
    /// Memory for the newest records of data streams.
    pub tail_ring: Memory,
    /// Which clock names producer timestamps.
    pub timestamps: TimestampSource,
    /// The HTTP listener.
    pub http: SocketAddr,
    /// What clients call the HTTP listener.
    pub http_public_url: Option<BaseUrl>,
    /// The HTTPS listener.
    pub https: SocketAddr,
    /// What clients call the HTTPS listener.
    pub https_public_url: Option<BaseUrl>,
    /// The RTSP listener.
    pub rtsp: SocketAddr,
    /// The RTSPS listener.
    pub rtsps: SocketAddr,
    /// The WebRTC listener: one number for UDP and TCP.
    pub webrtc: SocketAddr,
    /// The addresses that ICE candidates carry.
    pub webrtc_public_addresses: Vec<IpAddr>,
    /// A certificate chain in PEM, instead of one of the own CA.
    pub tls_certificate: Option<PathBuf>,
    /// Its key in PEM.
    pub tls_key: Option<PathBuf>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are: a `tracing` filter.
    pub log_level: String,
    /// What a client may use.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            data: default_data(),
            demo: false,
            roles: Roles::All,
            account: Account::default(),
            region: Region::default(),
            master_key_file: None,
            master_key_command: Vec::new(),
            device_retention: Duration::from_hours(7 * 24),
            sources: BTreeMap::new(),
            pull_allow: Vec::new(),
            pull_ca: None,
            discovery: ingest::onvif::GROUP,
            webhooks: Vec::new(),
            outbound_allow: Vec::new(),
            firehose_ca: None,
            firehose_stores: Vec::new(),
            firehose_memory: Memory(512 * 1024 * 1024),
            free_floor: Share::Percent(5),
            reserve: Share::Percent(1),
            tail_ring: Memory(256 * 1024 * 1024),
            timestamps: TimestampSource::Auto,
            http: loopback(4567),
            http_public_url: None,
            https: everywhere(4568),
            https_public_url: None,
            rtsp: everywhere(8554),
            rtsps: everywhere(8322),
            webrtc: everywhere(8189),
            webrtc_public_addresses: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What no single value shows.
    ///
    /// # Errors
    /// [`ConfigError::Together`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err(ConfigError::Together("tls.certificate and tls.key need each other: set both"));
        }
        if self.master_key_file.is_some() && !self.master_key_command.is_empty() {
            return Err(ConfigError::Together(
                "master_key_file and master_key_command exclude each other: set one of them",
            ));
        }
        if self.limits.fragment_target > self.limits.fragment_max {
            return Err(ConfigError::Together("limits.fragment_target must not exceed limits.fragment_max"));
        }
        if cfg!(not(feature = "gstreamer")) && self.demo {
            return Err(ConfigError::Together(
                "this build has no demo camera: build with `make build`, or do without --demo",
            ));
        }
        Ok(())
    }
}

/// `$XDG_DATA_HOME/millrace`, else `~/.local/share/millrace`, else `./millrace-data`.
fn default_data() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("millrace-data"), |dir| dir.join("millrace"))
}
