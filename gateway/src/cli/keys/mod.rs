//! `millrace keys`: beside a running server through its API, else on the data folder itself.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, SystemClock, SystemEntropy};
use catalog::{Allow, Catalog, Secret, StreamGlob};
use clap::{Args, Subcommand};
use fragment_log::LogError;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::{Folder, print};
use crate::config::Config;
use crate::server::{ADDRESSES, ServerError, open_catalog, open_log};

/// What to do with credentials.
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make an access key, or with --stream a device credential; shown once
    #[command(after_help = "\
Examples:
  millrace keys create                                            an access key for API clients
  millrace keys create --stream front-door --allow publish,create     a camera
  millrace keys create --stream 'yard-*' --allow play --json          a viewer
  millrace keys create --access-key-id AKIDEXAMPLE --secret-file secret.txt")]
    Create(Create),
    /// List credentials, without their secrets
    List {
        #[command(flatten)]
        folder: Folder,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke an access key by its id, or a device credential by its username; for good
    #[command(after_help = "Example:\n  millrace keys revoke AKIAEXAMPLE234567ABC")]
    Revoke {
        #[command(flatten)]
        folder: Folder,
        /// An access key's id or a device's username
        id: String,
    },
}

#[derive(Args)]
pub(super) struct Create {
    #[command(flatten)]
    folder: Folder,
    /// Make a device credential for the streams that match: * and ? are wildcards
    #[arg(long, value_name = "GLOB", requires = "allow")]
    stream: Option<String>,
    /// What the device may: a list of publish, play, create (the first push makes the stream)
    #[arg(long, value_name = "RIGHTS", requires = "stream")]
    allow: Option<String>,
    /// A chosen access key id
    #[arg(long, value_name = "ID", requires = "secret_file", conflicts_with = "stream")]
    access_key_id: Option<String>,
    /// A file that holds the chosen secret
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    secret_file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Does it where the catalog is.
pub(super) fn run(command: KeysCommand) -> Result<ExitCode, CliError> {
    match command {
        KeysCommand::Create(create) => {
            let wanted = create.wanted()?;
            let made = Keys::open(create.folder.config()?)?.create(wanted)?;
            print(&if create.json { format!("{made}\n") } else { lines(&made) })
        }
        KeysCommand::List { folder, json } => {
            let found = Keys::open(folder.existing()?)?.list()?;
            print(&if json { format!("{found}\n") } else { table(&found) })
        }
        KeysCommand::Revoke { folder, id } => {
            Keys::open(folder.existing()?)?.revoke(&id)?;
            print(&format!("{id} is revoked\n"))
        }
    }
}

/// A credential to be made.
enum Wanted {
    AccessKey(Option<(String, Secret)>),
    Device(StreamGlob, Allow),
}

impl Create {
    fn wanted(&self) -> Result<Wanted, CliError> {
        if let (Some(glob), Some(allow)) = (&self.stream, &self.allow) {
            return Ok(Wanted::Device(glob.parse()?, allow.parse()?));
        }
        let (Some(id), Some(path)) = (&self.access_key_id, &self.secret_file) else {
            return Ok(Wanted::AccessKey(None));
        };
        let secret =
            std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.clone(), source })?;
        Ok(Wanted::AccessKey(Some((id.clone(), Secret::new(secret.trim())))))
    }
}

/// Where the catalog is.
enum Keys {
    /// In a server that runs.
    Running(Client),
    /// In the folder, which nobody else has open.
    Stopped { log: Arc<fragment_log::Log>, catalog: Arc<Catalog>, runtime: tokio::runtime::Runtime },
}

impl Keys {
    fn open(config: Config) -> Result<Self, CliError> {
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
            (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let log = match open_log(&config, &clock, &entropy) {
            Err(ServerError::Log(LogError::Locked(_))) => return Ok(Self::Running(Client::new(&config)?)),
            // A running server has the key, where this command may not.
            Err(ServerError::Log(LogError::MasterKey(_)) | ServerError::NoMasterKeyPlace)
                if config.data.join(ADDRESSES).exists() =>
            {
                return Ok(Self::Running(Client::new(&config)?));
            }
            opened => opened?,
        };
        let catalog = open_catalog(&config, &log, &clock, &entropy)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self::Stopped { log, catalog, runtime })
    }

    fn create(&self, wanted: Wanted) -> Result<Value, CliError> {
        match (self, wanted) {
            (Self::Running(client), Wanted::AccessKey(chosen)) => {
                let body = chosen.map_or_else(
                    || json!({}),
                    |(id, secret)| json!({ "access_key_id": id, "secret_access_key": secret.expose() }),
                );
                client.call(Method::POST, "/v1/keys", Some(&body))
            }
            (Self::Running(client), Wanted::Device(glob, allow)) => {
                let allow: Vec<String> = allow.to_string().split(',').map(str::to_owned).collect();
                client.call(
                    Method::POST,
                    "/v1/devices",
                    Some(&json!({ "stream": glob.as_str(), "allow": allow })),
                )
            }
            (Self::Stopped { catalog, runtime, .. }, Wanted::AccessKey(chosen)) => {
                let key = runtime.block_on(catalog.create_access_key(chosen))?;
                Ok(json!({ "access_key_id": key.id, "secret_access_key": key.secret.expose() }))
            }
            (Self::Stopped { catalog, runtime, .. }, Wanted::Device(glob, allow)) => {
                let made = runtime.block_on(catalog.create_device(glob, allow))?;
                Ok(json!({
                    "username": made.username,
                    "password": made.password.expose(),
                    "token": made.token.expose(),
                }))
            }
        }
    }

    fn list(&self) -> Result<Value, CliError> {
        match self {
            Self::Running(client) => client.call(Method::GET, "/v1/keys", None),
            Self::Stopped { catalog, .. } => Ok(crate::native::credentials(catalog)),
        }
    }

    fn revoke(&self, id: &str) -> Result<(), CliError> {
        match self {
            Self::Running(client) => client.call(Method::DELETE, &format!("/v1/keys/{id}"), None).map(drop),
            Self::Stopped { catalog, runtime, .. } if catalog.device_by_username(id).is_some() => {
                Ok(runtime.block_on(catalog.revoke_device(id))?)
            }
            Self::Stopped { catalog, runtime, .. } => Ok(runtime.block_on(catalog.revoke_access_key(id))?),
        }
    }
}

impl Drop for Keys {
    /// What was written stands in the log already; this seals it, so that the next start is quick.
    fn drop(&mut self) {
        if let Self::Stopped { log, .. } = self {
            log.close();
        }
    }
}

/// `name: value` of each member.
fn lines(made: &Value) -> String {
    made.as_object().into_iter().flatten().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}: {}", value.as_str().unwrap_or_default());
        text
    })
}

/// One line for each credential that stands or stood.
fn table(found: &Value) -> String {
    let entries = |name: &str| found[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = |entry: &Value| if entry["revoked"].is_null() { "" } else { "  revoked" };
    let mut out = String::new();
    for key in entries("access_keys") {
        let root = if key["root"] == true { "  root" } else { "" };
        let _ = writeln!(out, "{}  access key{root}{}", text(&key["access_key_id"]), state(&key));
    }
    for device in entries("devices") {
        let allow: Vec<String> = device["allow"].as_array().into_iter().flatten().map(text).collect();
        let (name, glob) = (text(&device["username"]), text(&device["stream"]));
        let _ = writeln!(out, "{name}  device  {glob}  {}{}", allow.join(","), state(&device));
    }
    out
}
