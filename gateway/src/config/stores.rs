//! `[[firehose.stores]]`: where buckets are that delivery streams store to.

use std::path::Path;

use ::firehose::{StoreCredentials, StoreSettings};
use catalog::{Secret, StreamGlob};
use outbound::Url;
use serde::Deserialize;

use super::{Config, ConfigError};

/// The table's name.
pub(super) const KEY: &str = "firehose.stores";

/// What the example file says about it.
pub(super) const EXAMPLE: &str = "
# S3 stores of delivery streams, by the names of their buckets: as many of these tables as there are, after all others;
# the first that matches is taken. What is not said is as the AWS SDK finds it, which also goes for other buckets.
# [[firehose.stores]]
# buckets = \"lake-*\"
# endpoint = \"http://10.0.0.7:9000\"
# region = \"us-east-1\"
# access_key_id = \"…\"
# secret_access_key = \"…\"
# path_style = true
";

/// Tables that there may be: each has a client.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    buckets: StreamGlob,
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<Secret>,
    path_style: Option<bool>,
}

impl Config {
    /// Takes the tables. Errors name the table by its number and repeat nothing of its secret.
    pub(super) fn take_stores(&mut self, path: &Path, tables: &toml::Value) -> Result<(), ConfigError> {
        let refuse = |number: usize, why| {
            let (place, value) = (path.display().to_string(), format!("[[{KEY}]] {number}"));
            ConfigError::Value { place, value, why }
        };
        let toml::Value::Array(tables) = tables else {
            return Err(refuse(1, format!("is not a list of tables: write [[{KEY}]] above each")));
        };
        if tables.len() > MOST {
            return Err(refuse(MOST + 1, format!("is one more than there may be: {MOST}")));
        }
        let read = |(number, table)| read(table).map_err(|why| refuse(number, why));
        self.firehose_stores = (1..).zip(tables).map(read).collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn read(table: &toml::Value) -> Result<StoreSettings, String> {
    let Entry { buckets, endpoint, region, access_key_id, secret_access_key, path_style } = table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| format!("cannot be taken: {}", error.message()))?;
    if let Some(endpoint) = &endpoint {
        Url::parse(endpoint).map_err(|error| format!("cannot be taken: endpoint: it {error}"))?;
    }
    let credentials = match (access_key_id, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Some(StoreCredentials { access_key_id, secret_access_key })
        }
        (None, None) => None,
        _ => return Err("cannot be taken: access_key_id and secret_access_key go together".to_owned()),
    };
    Ok(StoreSettings { buckets, endpoint, region, credentials, path_style })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<Vec<StoreSettings>, String> {
        let mut config = Config::default();
        let parsed = config.parse(Path::new("f.toml"), text);
        parsed.map(|()| config.firehose_stores).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_can_be_uncommented() {
        let text: String =
            EXAMPLE.lines().skip(3).map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect();
        let stores = taken(&text).unwrap();
        assert!(stores[0].has("lake-1") && !stores[0].has("pond"));
        assert_eq!((stores[0].path_style, stores[0].region.as_deref()), (Some(true), Some("us-east-1")));
        let beside = taken("[firehose]\nmemory = \"64 MiB\"\n[[firehose.stores]]\nbuckets = \"*\"").unwrap();
        assert_eq!((beside.len(), &beside[0].credentials), (1, &None));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (table, hint) in [
            ("endpoint = \"http://a\"", "buckets"),
            ("buckets = \"a b\"", "stream pattern"),
            ("buckets = \"*\"\nendpoint = \"ftp://canary\"", "http://"),
            ("buckets = \"*\"\nsecret_access_key = \"canary\"", "go together"),
            ("buckets = \"*\"\nport = 1", "port"),
        ] {
            let why = taken(&format!("[[firehose.stores]]\n{table}")).unwrap_err();
            assert!(why.contains(hint) && !why.contains("canary"), "{why}");
        }
        let stores = taken(
            "[[firehose.stores]]\nbuckets = \"*\"\naccess_key_id = \"a\"\nsecret_access_key = \"canary\"",
        );
        assert!(!format!("{stores:?}").contains("canary"), "{stores:?}");
    }
}
