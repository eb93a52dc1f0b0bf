//! The master key, the keys of streams, and the backup of the table that holds them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::{Entropy, StreamName, SystemEntropy};
use catalog::CatalogError;
use clap::Args;
use fragment_log::io::DiskIo;
use fragment_log::{Keyring, MasterKey, Options};
use http::Method;
use serde_json::{Value, json};

use super::{CliError, Folder, Keys, print};
use crate::config::words;
use crate::native::master_key_place;
use crate::server::master_key;

#[derive(Args)]
pub(in crate::cli) struct RotateMaster {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    new: NewMaster,
}

/// At most one of them: without any, a new key is made for the old one's file, or its command wraps
/// anew.
#[derive(Args)]
#[group(multiple = false)]
struct NewMaster {
    /// A file with the new key, base64 of 32 bytes
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// An environment variable with the new key, base64 of 32 bytes
    #[arg(long, value_name = "NAME")]
    new_master_key_env: Option<String>,
    /// A command that keeps the master key from now on; for a stopped data folder
    #[arg(long, value_name = "COMMAND")]
    new_master_key_command: Option<String>,
}

/// What is to wrap the key table.
enum Next {
    /// A new key where the old one is, or the same command.
    Made,
    /// Base64 of 32 bytes.
    Key(String),
    /// A program and its arguments.
    Command(Vec<String>),
}

impl RotateMaster {
    pub(super) fn run(self) -> Result<ExitCode, CliError> {
        let next = self.new.next()?;
        let told = Keys::open(self.folder.existing()?)?.rotate_master(next)?;
        let what_next = match (told["place"].as_str(), told["file"].as_str()) {
            (Some("file"), Some(file)) => format!("{file} holds the new one: keep a copy of it elsewhere"),
            (Some("command"), _) => "master_key_command has to name its command from now on".to_owned(),
            _ => "the next start needs the new one: give it to the server in the old one's place".to_owned(),
        };
        print(&format!(
            "the master key is changed; {what_next}.\n\
             Make a new backup of the key table (millrace keys backup): older ones open only with the old key.\n"
        ))
    }
}

impl NewMaster {
    fn next(&self) -> Result<Next, CliError> {
        let (text, place) = match (&self.new_key_file, &self.new_master_key_env, &self.new_master_key_command)
        {
            (Some(path), ..) => {
                let text = std::fs::read_to_string(path);
                (text.map_err(|source| CliError::File { path: path.clone(), source })?, "--new-key-file")
            }
            (_, Some(name), _) => {
                let unset = |_| CliError::Arguments(format!("--new-master-key-env: {name} is not set"));
                (std::env::var(name).map_err(unset)?, "--new-master-key-env")
            }
            (_, _, Some(command)) => return Ok(Next::Command(words(command))),
            (None, None, None) => return Ok(Next::Made),
        };
        match MasterKey::from_base64(&text) {
            Some(_) => Ok(Next::Key(text)),
            None => {
                Err(CliError::Arguments(format!("{place}: this is not a master key: base64 of 32 bytes")))
            }
        }
    }
}

impl Keys {
    fn rotate_master(&self, next: Next) -> Result<Value, CliError> {
        match (self, next) {
            // Whoever may speak to a server may not start programs with it.
            (Self::Running(_), Next::Command(_)) => Err(CliError::Arguments(
                "--new-master-key-command needs a stopped data folder: stop its server first".to_owned(),
            )),
            (Self::Running(client), Next::Made) => {
                client.call(Method::POST, "/v1/master-key", Some(&json!({})))
            }
            (Self::Running(client), Next::Key(key)) => {
                client.call(Method::POST, "/v1/master-key", Some(&json!({ "key": key })))
            }
            (Self::Stopped { log, .. }, next) => {
                let next = match next {
                    Next::Made => None,
                    Next::Key(text) => MasterKey::from_base64(&text),
                    Next::Command(words) => Some(MasterKey::from_command(&words).ok_or_else(|| {
                        CliError::Arguments("--new-master-key-command names no program".to_owned())
                    })?),
                };
                Ok(master_key_place(&log.keys().rotate_master_key(next)?))
            }
        }
    }

    /// The stream's new epoch.
    pub(super) fn rotate_stream(&self, stream: &StreamName) -> Result<u64, CliError> {
        match self {
            Self::Running(client) => {
                let told = client.call(Method::POST, &format!("/v1/streams/{stream}/key"), None)?;
                Ok(told["epoch"].as_u64().unwrap_or_default())
            }
            Self::Stopped { log, catalog, .. } => {
                let found = catalog.stream(stream);
                let found = found.ok_or_else(|| CatalogError::NoSuchStream(stream.to_string()))?;
                Ok(log.keys().rotate_stream_key(found.id)?.into())
            }
        }
    }
}

/// Copies the key table, beside a running server or without.
pub(super) fn back_up(folder: Folder, out: &Path) -> Result<ExitCode, CliError> {
    let generation = Keyring::back_up(&DiskIo, &folder.existing()?.data, out)?;
    let out = out.display();
    print(&format!(
        "{out} is the key table, generation {generation}. Only the master key opens it: keep that elsewhere.\n"
    ))
}

/// Puts a backup in the place of the key table.
pub(super) fn restore(folder: Folder, from: &Path, force: bool) -> Result<ExitCode, CliError> {
    let config = folder.existing()?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let options = Options::new(&config.data, master_key(&config, &entropy)?);
    let restored = Keyring::restore(&options, from, force)?;
    let lost = match restored.lost {
        Some(0) => String::new(),
        Some(lost) => format!("; {lost} that were there are gone, and what they sealed is lost"),
        None => "; what was there could not be opened".to_owned(),
    };
    print(&format!("generation {} is restored: {} keys{lost}\n", restored.generation, restored.keys))
}
