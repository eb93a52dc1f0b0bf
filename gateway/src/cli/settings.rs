//! The settings as flags and environment variables.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::error::CliError;
use crate::config::settings::{SETTINGS, Setting};
use crate::config::{Config, ConfigError};

/// Settings that were given, and where. Flags are made from the list of settings.
#[derive(Clone, Default)]
pub(super) struct Overrides(Vec<(&'static Setting, String, Place)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Flag,
    Variable,
}

impl Overrides {
    /// Defaults, then the file, then these.
    pub fn config(&self, file: Option<PathBuf>) -> Result<Config, CliError> {
        let mut config = Config::default();
        if let Some(file) = file {
            config.read(&file)?;
        }
        for (setting, text, place) in &self.0 {
            (setting.field)(&mut config).set(text).map_err(|why| ConfigError::Value {
                place: match place {
                    Place::Flag => format!("--{}", setting.flag),
                    Place::Variable => setting.variable(),
                },
                value: text.clone(),
                why,
            })?;
        }
        config.check()?;
        Ok(config)
    }
}

/// The environment variable of each setting, for as long as clap holds them.
static VARIABLES: LazyLock<Vec<String>> = LazyLock::new(|| SETTINGS.iter().map(Setting::variable).collect());

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        let mut defaults = Config::default();
        SETTINGS.iter().zip(VARIABLES.iter()).fold(command, |command, (setting, variable)| {
            command.arg(argument(setting, variable, &mut defaults))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &'static Setting, variable: &'static str, defaults: &mut Config) -> Arg {
    let value = (setting.field)(defaults);
    let shown = value.show();
    let default = if shown.is_empty() { String::new() } else { format!(" [default: {shown}]") };
    let argument = Arg::new(setting.key)
        .long(setting.flag)
        .value_name(setting.value)
        .env(variable)
        .help(format!("{}{default}", setting.help));
    if setting.value == "BOOL" {
        // `--demo` alone means true.
        return argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    argument
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let place = match matches.value_source(setting.key)? {
                ValueSource::CommandLine => Place::Flag,
                ValueSource::EnvVariable => Place::Variable,
                _ => return None,
            };
            let text = matches.get_one::<String>(setting.key)?;
            Some((setting, text.clone(), place))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
