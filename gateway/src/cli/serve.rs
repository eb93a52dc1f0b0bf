//! `millrace serve`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::SystemEntropy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::host_clock::HostClock;
use super::settings::Overrides;
use super::{logging, print};
use crate::config::Config;
use crate::server::Server;

/// Runs until a signal ends it.
pub(super) fn run(file: Option<PathBuf>, settings: &Overrides) -> Result<ExitCode, CliError> {
    let config = settings.config(file.clone())?;
    logging::start(&config)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, file, settings));
    // What still reads from the disk must not hold the process.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, file: Option<PathBuf>, settings: &Overrides) -> Result<ExitCode, CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (data, demo) = (config.data.clone(), config.demo);
    let server = Server::start(config, HostClock::watched().await, Arc::new(SystemEntropy)).await?;
    let at = server.addresses();
    tracing::info!(
        http = %at.http,
        https = %at.https,
        rtsp = %at.rtsp,
        rtsps = %at.rtsps,
        webrtc = %at.webrtc,
        data = %data.display(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    // For a person at a terminal; a service's standard output is a log, and a link is a secret.
    if demo || std::io::stdout().is_terminal() {
        let link = server.sign_in_link().unwrap_or_default();
        let credentials = data.join("credentials");
        print(&format!(
            "\n  Open {link}\n  It signs you in once, within ten minutes. Later: {}\n  with the access key in {}\n\n",
            server.url(),
            credentials.display()
        ))?;
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(&server, file.clone(), settings),
        }
    }
    tracing::info!("stopping: storing what is open");
    server.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Takes the sources and webhooks of the configuration file as it is now; all else stays until the next start.
fn reload(server: &Server, file: Option<PathBuf>, settings: &Overrides) {
    match settings.config(file) {
        Ok(config) => {
            tracing::info!(
                sources = config.sources.len(),
                webhooks = config.webhooks.len(),
                "configuration read again: sources and webhooks taken, all else at the next start"
            );
            server.configure_sources(config.sources);
            server.configure_webhooks(config.webhooks);
        }
        Err(error) => tracing::error!(%error, "configuration not taken: all stays as it was"),
    }
}

/// Every connection and every open segment takes a descriptor; the soft limit is often 1,024.
fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(?current, ?maximum, %error, "the file-descriptor limit could not be raised");
    }
}
