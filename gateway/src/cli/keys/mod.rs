//! `millrace keys`: beside a running server through its API, else on the data folder itself.

mod credentials;
mod encryption;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, StreamName, SystemClock, SystemEntropy};
use catalog::Catalog;
use clap::Subcommand;
use fragment_log::{Log, LogError};

use super::client::Client;
use super::error::CliError;
use super::{Folder, print};
use crate::config::Config;
use crate::server::{ADDRESSES, ServerError, open_catalog, open_log};

/// What to do with credentials and keys.
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make an access key, or with --stream a device credential; shown once
    #[command(after_help = "\
Examples:
  millrace keys create                                            an access key for API clients
  millrace keys create --policy orders.json                       one that may do what an IAM policy says
  millrace keys create --stream front-door --allow publish,create     a camera
  millrace keys create --stream 'yard-*' --allow play --json          a viewer
  millrace keys create --access-key-id AKIDEXAMPLE --secret-file secret.txt")]
    Create(credentials::Create),
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
    /// Change the master key: the key table is wrapped anew, footage stays as it is
    #[command(after_help = "\
Examples:
  millrace keys rotate-master                             a new key in the master key's file
  millrace keys rotate-master --new-key-file new.key      this key, in the master key's file if there is one
  millrace keys rotate-master --new-master-key-command 'kms-wrap --key video'

Keep the old key until it has succeeded, and as long as you keep backups of the key table that need it.")]
    RotateMaster(encryption::RotateMaster),
    /// Give a stream a new key for what it records from now on; older footage stays readable
    #[command(after_help = "Example:\n  millrace keys rotate-stream --stream front-door")]
    RotateStream {
        #[command(flatten)]
        folder: Folder,
        /// The stream's name
        #[arg(long, value_name = "NAME", value_parser = StreamName::new)]
        stream: StreamName,
    },
    /// Copy the key table to a file, which only the master key opens; also beside a running server
    #[command(
        after_help = "Example:\n  millrace keys backup --data /var/lib/millrace --out /backup/millrace.keys"
    )]
    Backup {
        #[command(flatten)]
        folder: Folder,
        /// The file to write, in place of any older one
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a backup in the place of the key table of a stopped data folder
    #[command(
        after_help = "Example:\n  millrace keys restore --data /var/lib/millrace --from /backup/millrace.keys"
    )]
    Restore {
        #[command(flatten)]
        folder: Folder,
        /// A file that `millrace keys backup` has written
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Even where it is older than the key table that is there, whose newer keys are lost then
        #[arg(long)]
        force: bool,
    },
}

/// Does it where the catalog is.
pub(super) fn run(command: KeysCommand) -> Result<ExitCode, CliError> {
    match command {
        KeysCommand::Create(create) => {
            let wanted = create.wanted()?;
            let made = Keys::open(create.folder.config()?)?.create(wanted)?;
            print(&if create.json { format!("{made}\n") } else { credentials::lines(&made) })
        }
        KeysCommand::List { folder, json } => {
            let found = Keys::open(folder.existing()?)?.list()?;
            print(&if json { format!("{found}\n") } else { credentials::table(&found) })
        }
        KeysCommand::Revoke { folder, id } => {
            Keys::open(folder.existing()?)?.revoke(&id)?;
            print(&format!("{id} is revoked\n"))
        }
        KeysCommand::RotateMaster(rotate) => rotate.run(),
        KeysCommand::RotateStream { folder, stream } => {
            let epoch = Keys::open(folder.existing()?)?.rotate_stream(&stream)?;
            print(&format!("{stream} records under its key number {epoch} from now on\n"))
        }
        KeysCommand::Backup { folder, out } => encryption::back_up(folder, &out),
        KeysCommand::Restore { folder, from, force } => encryption::restore(folder, &from, force),
    }
}

/// Where the catalog is.
enum Keys {
    /// In a server that runs.
    Running(Client),
    /// In the folder, which nobody else has open.
    Stopped { log: Arc<Log>, catalog: Arc<Catalog>, runtime: tokio::runtime::Runtime },
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
}

impl Drop for Keys {
    /// What was written stands in the log already; this seals it, so that the next start is quick.
    fn drop(&mut self) {
        if let Self::Stopped { log, .. } = self {
            log.close();
        }
    }
}
