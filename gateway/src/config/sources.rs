//! `[[sources]]`: streams that are pulled from cameras because the file says so.

use std::collections::BTreeMap;
use std::path::Path;

use base::{StreamName, TimestampSource};
use catalog::{NewSource, Secret, SourceTransport};
use ingest::pull::SourceUrl;
use serde::Deserialize;

use super::{Config, ConfigError};

/// The table's name.
pub(super) const KEY: &str = "sources";

/// What the example file says about it.
pub(super) const EXAMPLE: &str = "
# Streams that are pulled from cameras: as many of these tables as there are, after all others. SIGHUP reads them
# again. Keep the file to those who may know the passwords.
# [[sources]]
# stream = \"front-door\"
# url = \"rtsp://USER:PASSWORD@10.0.0.5/live\"
# transport = \"auto\"
# timestamps = \"auto\"
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    stream: String,
    url: Secret,
    #[serde(default)]
    transport: SourceTransport,
    #[serde(default)]
    timestamps: TimestampSource,
}

impl Config {
    /// Takes the tables. Errors name the table by its number and repeat nothing of its URL.
    pub(super) fn take_sources(&mut self, path: &Path, tables: &toml::Value) -> Result<(), ConfigError> {
        let refuse = |number: usize, why| {
            let (place, value) = (path.display().to_string(), format!("[[{KEY}]] {number}"));
            ConfigError::Value { place, value, why }
        };
        let toml::Value::Array(tables) = tables else {
            return Err(refuse(1, "is not a list of tables: write [[sources]] above each".into()));
        };
        let mut sources = BTreeMap::new();
        for (number, table) in (1..).zip(tables) {
            let (name, source) = read(table).map_err(|why| refuse(number, why))?;
            if sources.insert(name, source).is_some() {
                return Err(refuse(number, "names a stream that another one names, too".into()));
            }
        }
        self.sources = sources;
        Ok(())
    }
}

fn read(table: &toml::Value) -> Result<(StreamName, NewSource), String> {
    let Entry { stream, url, transport, timestamps } = table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| format!("cannot be taken: {}", error.message()))?;
    let name = StreamName::new(&stream).map_err(|error| format!("cannot be taken: stream: {error}"))?;
    SourceUrl::parse(url.expose()).map_err(|error| format!("cannot be taken: url: {error}"))?;
    Ok((name, NewSource { url, transport, timestamps }))
}
