//! Reading the file.

use std::path::Path;

use super::settings::SETTINGS;
use super::{Config, ConfigError};
use super::{sources, stores, webhooks};

impl Config {
    /// Takes what a file says.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Toml`], [`ConfigError::UnknownKey`], [`ConfigError::Value`].
    pub fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        self.parse(path, &text)
    }

    /// Takes what a file's text says; `path` is for messages.
    pub(super) fn parse(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        // Only the line's number is told: the line may hold a password.
        let unread = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.lines().count().max(1);
            ConfigError::Toml { path: path.into(), line, why: error.message().to_owned() }
        };
        let table: toml::Table = text.parse().map_err(unread)?;
        self.take(path, "", &table)
    }

    fn take(&mut self, path: &Path, prefix: &str, table: &toml::Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            if key == sources::KEY {
                self.take_sources(path, value)?;
                continue;
            }
            if key == webhooks::KEY {
                self.take_webhooks(path, value)?;
                continue;
            }
            if key == stores::KEY {
                self.take_stores(path, value)?;
                continue;
            }
            let is_table = SETTINGS.iter().any(|setting| setting.key.starts_with(&format!("{key}.")));
            if let (toml::Value::Table(inner), true) = (value, is_table) {
                self.take(path, &format!("{key}."), inner)?;
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                return Err(ConfigError::UnknownKey { path: path.into(), nearest: nearest(&key), key });
            };
            let place = || format!("{}: {key}", path.display());
            let field = (setting.field)(self);
            let taken = match value {
                toml::Value::Array(entries) => field.set_list(entries.iter().map(as_text).collect()),
                _ => field.set(&as_text(value)),
            };
            taken.map_err(|why| ConfigError::Value { place: place(), value: as_text(value), why })?;
        }
        Ok(())
    }
}

/// A value as a flag would carry it; a list as its entries with commas between.
fn as_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(entries) => entries.iter().map(as_text).collect::<Vec<_>>().join(","),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => value.to_string(),
    }
}

/// The key that takes the fewest edits to reach, if that is few.
fn nearest(key: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| (edits(key, setting.key), setting.key))
        .min()
        .filter(|(edits, _)| *edits <= 2 + key.len() / 4)
        .map(|(_, key)| key)
}

/// The Levenshtein distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
