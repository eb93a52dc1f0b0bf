//! `[[webhooks]]`: where changes of streams' states are posted.

use std::path::Path;

use catalog::{Secret, StreamGlob};
use outbound::Url;
use serde::Deserialize;

use super::{Config, ConfigError};
use crate::webhooks::{Webhook, key_bytes};

/// The table's name.
pub(super) const KEY: &str = "webhooks";

/// What the example file says about it.
pub(super) const EXAMPLE: &str = "
# URLs that changes of streams' states are posted to, signed with the secret as Standard Webhooks are: as many of these
# tables as there are, after all others. SIGHUP reads them again.
# [[webhooks]]
# url = \"https://alerts.example/millrace\"
# secret = \"whsec_BASE64\"
# streams = \"*\"
";

/// Tables that there may be: each has a task and a queue.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: Secret,
    secret: Option<Secret>,
    #[serde(default = "StreamGlob::all")]
    streams: StreamGlob,
}

impl Config {
    /// Takes the tables. Errors name the table by its number and repeat nothing of its URL and secret.
    pub(super) fn take_webhooks(&mut self, path: &Path, tables: &toml::Value) -> Result<(), ConfigError> {
        let refuse = |number: usize, why| {
            let (place, value) = (path.display().to_string(), format!("[[{KEY}]] {number}"));
            ConfigError::Value { place, value, why }
        };
        let toml::Value::Array(tables) = tables else {
            return Err(refuse(1, "is not a list of tables: write [[webhooks]] above each".into()));
        };
        if tables.len() > MOST {
            return Err(refuse(MOST + 1, format!("is one more than there may be: {MOST}")));
        }
        let read = |(number, table)| read(table).map_err(|why| refuse(number, why));
        self.webhooks = (1..).zip(tables).map(read).collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn read(table: &toml::Value) -> Result<Webhook, String> {
    let Entry { url, secret, streams } = table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| format!("cannot be taken: {}", error.message()))?;
    let url = Url::parse(url.expose()).map_err(|error| format!("cannot be taken: url: it {error}"))?;
    if secret.as_ref().is_some_and(|secret| key_bytes(secret).is_none()) {
        return Err("cannot be taken: secret: it is empty, or not base64 behind whsec_".to_owned());
    }
    Ok(Webhook { url, secret, streams })
}
