//! The command line.

mod client;
mod config;
mod error;
mod host_clock;
mod index;
mod keys;
mod logging;
mod serve;
mod settings;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, words};
use error::CliError;
use settings::Overrides;

/// Kinesis Video Streams on your own machines.
#[derive(Parser)]
#[command(name = "millrace", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  millrace serve --demo                                    try it: prints a link that signs you in
  millrace serve --data /var/lib/millrace --http 0.0.0.0:4567
  millrace keys create --stream 'yard-*' --allow publish,create
  millrace tail orders --from 5m                           a data stream's records, as they arrive
  millrace config example > millrace.toml                  every setting, commented";

#[derive(Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = "\
Examples:
  millrace serve --demo
  millrace serve --config /etc/millrace.toml
  millrace serve --data /srv/video --https-public-url https://video.example:4568
  MILLRACE_HTTP=127.0.0.1:0 millrace serve                 any free port: see addresses.json in the data folder

SIGTERM and SIGINT end it: open fragments are stored, then it exits with 0.")]
    Serve {
        /// A TOML file, as `millrace config example` prints it
        #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Overrides,
    },
    /// Check a configuration without starting anything
    #[command(after_help = "Example:\n  millrace check-config --config /etc/millrace.toml")]
    CheckConfig {
        /// A TOML file, as `millrace config example` prints it
        #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Overrides,
    },
    /// About the configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Credentials and encryption keys: beside a running server or on a stopped data folder
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Print the records of a data stream as they arrive
    #[command(after_help = tail::EXAMPLES)]
    Tail {
        #[command(flatten)]
        options: tail::Options,
    },
    /// Check every stored byte, also beside a running server
    #[command(after_help = "\
Examples:
  millrace verify --data /var/lib/millrace
  millrace verify --data /backup/millrace --no-keys        checksums only, without the master key
  millrace verify --data /var/lib/millrace --repair        stop the server first

Each damaged place is a line: file, byte, length, stream, time. Ends that a crash had left unfinished
are told and not counted. Exits with 0 where all is whole, 1 where something is damaged, 2 where the check
could not run. --repair deletes nothing: damaged bytes are copied to .damaged files beside their own.")]
    Verify {
        #[command(flatten)]
        options: verify::Options,
    },
    /// Build every index again from the log of a stopped data folder
    #[command(after_help = "Example:\n  millrace reindex --data /var/lib/millrace")]
    Reindex {
        #[command(flatten)]
        folder: Folder,
    },
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the commented default file
    #[command(after_help = "Example:\n  millrace config example > millrace.toml")]
    Example,
}

/// Where the data folder is.
#[derive(Args)]
struct Place {
    /// A TOML file, for where the data folder and the master key are
    #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
    config: Option<PathBuf>,
    /// The data folder
    #[arg(long, value_name = "DIR", env = "MILLRACE_DATA")]
    data: Option<PathBuf>,
}

impl Place {
    fn config(self) -> Result<Config, CliError> {
        let mut config = Config::default();
        if let Some(file) = self.config {
            config.read(&file)?;
        }
        config.data = self.data.unwrap_or(config.data);
        Ok(config)
    }
}

/// Where the data folder is and what opens it.
#[derive(Args)]
struct Folder {
    #[command(flatten)]
    place: Place,
    /// The master key's file; MILLRACE_MASTER_KEY (base64 of 32 bytes) overrides it
    #[arg(long, value_name = "FILE", env = "MILLRACE_MASTER_KEY_FILE")]
    master_key_file: Option<PathBuf>,
    /// The command that keeps the master key, words with spaces between
    #[arg(
        long,
        value_name = "COMMAND",
        env = "MILLRACE_MASTER_KEY_COMMAND",
        conflicts_with = "master_key_file"
    )]
    master_key_command: Option<String>,
}

impl Folder {
    fn config(self) -> Result<Config, CliError> {
        let mut config = self.place.config()?;
        if let Some(file) = self.master_key_file {
            config.master_key_file = Some(file);
            config.master_key_command.clear();
        }
        if let Some(command) = self.master_key_command {
            config.master_key_command = words(&command);
        }
        Ok(config)
    }

    /// The same, for commands that must not make a new data folder.
    fn existing(self) -> Result<Config, CliError> {
        let config = self.config()?;
        if config.data.join("log").is_dir() {
            return Ok(config);
        }
        Err(CliError::NoDataFolder(config.data))
    }
}

/// Does what the arguments say, and returns what the process exits with: 0, 1 for a failure or damage,
/// 2 for arguments that are not understood.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::command().try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found));
    let result = match cli {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            // A reader that went away is no failure of ours.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    result.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "millrace: {error}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Serve { config, settings } => serve::run(config, &settings),
        Command::CheckConfig { config, settings } => config::check(config, &settings),
        Command::Config { command: ConfigCommand::Example } => print(&crate::config::example()),
        Command::Keys { command } => keys::run(command),
        Command::Tail { options } => tail::run(options),
        Command::Verify { options } => verify::run(options),
        Command::Reindex { folder } => index::reindex(&folder.existing()?),
        Command::Version => print(&format!("millrace {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// To standard output. A reader that went away is no failure of ours.
fn print(text: &str) -> Result<ExitCode, CliError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}
