//! The master key: 32 bytes that never enter the data folder, or a command that has such a key.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::LogError;

use super::Secret;
use super::command::Command;
use super::wrap::Wrap;

/// Wraps the table key. Kept outside the data folder, as base64 of 32 bytes, or by a command.
#[derive(Clone)]
pub struct MasterKey {
    pub(super) wrap: Wrap,
    /// The file that holds it: a rotation puts the new key there.
    file: Option<PathBuf>,
}

/// Where a master key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeyPlace {
    /// In this file.
    File(PathBuf),
    /// With a command.
    Command,
    /// With whoever gave it, such as the environment.
    Caller,
}

impl MasterKey {
    /// Where the key is by default: `$XDG_CONFIG_HOME/millrace/master.key`, or under `~/.config`.
    /// `None` where the environment names neither folder.
    pub fn default_path() -> Option<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        config.or_else(home).map(|dir| dir.join("millrace").join("master.key"))
    }

    /// The key for the data folder `data`: the text of `MILLRACE_MASTER_KEY` where it is given, else
    /// the file, which is made on the first start, that is while `data` has neither keys nor a log.
    pub fn resolve(
        variable: Option<&str>,
        file: &Path,
        data: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Self, LogError> {
        if let Some(text) = variable {
            return Self::from_base64(text).ok_or_else(|| {
                LogError::MasterKey("MILLRACE_MASTER_KEY is not the base64 of 32 bytes".to_owned())
            });
        }
        let empty =
            |name: &str| fs::read_dir(data.join(name)).map_or(true, |mut names| names.next().is_none());
        if empty("keys") && empty("log") && !file.exists() {
            return Self::create(file, entropy);
        }
        Self::load(file)
    }

    /// Reads the base64 of 32 bytes; space around it is ignored.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
        Some(Self { wrap: Wrap::Key(Secret(bytes)), file: None })
    }

    /// A command that wraps and unwraps: called with these words and `wrap` or `unwrap`; `None` where
    /// there is no word. `docs/keys.md` says what it has to do.
    pub fn from_command(words: &[String]) -> Option<Self> {
        Some(Self { wrap: Wrap::Command(Arc::new(Command::new(words)?)), file: None })
    }

    /// Reads a key file.
    pub fn load(file: &Path) -> Result<Self, LogError> {
        let text = fs::read_to_string(file).map_err(|error| {
            LogError::MasterKey(format!("cannot read the master key file {}: {error}", file.display()))
        })?;
        let key = Self::from_base64(&text).ok_or_else(|| {
            LogError::MasterKey(format!("{} is not a master key: base64 of 32 bytes", file.display()))
        })?;
        Ok(key.kept_in(file))
    }

    /// The same key, which this file holds: a rotation puts the next one there.
    pub fn kept_in(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// Makes a new key in a new file, mode 0600, durable before it is used.
    pub fn create(file: &Path, entropy: &dyn Entropy) -> Result<Self, LogError> {
        let key = Secret(entropy.bytes());
        write_new(file, &text(&key)).map_err(|error| {
            LogError::MasterKey(format!("cannot make the master key file {}: {error}", file.display()))
        })?;
        Ok(Self { wrap: Wrap::Key(key), file: Some(file.to_owned()) })
    }

    /// Where it is kept.
    pub fn place(&self) -> MasterKeyPlace {
        match (&self.file, &self.wrap) {
            (Some(file), _) => MasterKeyPlace::File(file.clone()),
            (None, Wrap::Command(_)) => MasterKeyPlace::Command,
            (None, Wrap::Key(_)) => MasterKeyPlace::Caller,
        }
    }

    /// The key after this one: `next`, kept where this one is if that is a file; else a new one for
    /// that file, or the same command, which wraps with whatever key it now has.
    pub(super) fn successor(&self, next: Option<Self>, entropy: &dyn Entropy) -> Result<Self, LogError> {
        let refused = |why: &str| Err(LogError::MasterKey(why.to_owned()));
        match (next.map(|next| next.wrap), &self.wrap, &self.file) {
            (Some(Wrap::Key(key)), Wrap::Key(old), _) if key == *old => {
                refused("the new one is the one in use")
            }
            (Some(wrap @ Wrap::Key(_)), _, file) => Ok(Self { wrap, file: file.clone() }),
            (Some(wrap @ Wrap::Command(_)), ..) => Ok(Self { wrap, file: None }),
            (None, Wrap::Command(_), _) => Ok(self.clone()),
            (None, Wrap::Key(_), file @ Some(_)) => {
                Ok(Self { wrap: Wrap::Key(Secret(entropy.bytes())), file: file.clone() })
            }
            (None, Wrap::Key(_), None) => refused("the old one is not kept in a file: name the new one"),
        }
    }

    /// The file that is to hold it, and the text to write there.
    pub(super) fn file(&self) -> Option<(&Path, String)> {
        match (&self.wrap, &self.file) {
            (Wrap::Key(key), Some(file)) => Some((file, text(key))),
            (Wrap::Command(_), _) | (_, None) => None,
        }
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

fn text(key: &Secret) -> String {
    STANDARD.encode(key.0) + "\n"
}

/// Whole or not at all, so that a crash leaves no half of a key under the key's name.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let dir = file.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let partial = file.with_extension("tmp");
    let mut out =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    // A link, unlike a rename, refuses to replace a key that someone else made meanwhile.
    fs::hard_link(&partial, file)?;
    fs::remove_file(&partial)?;
    fs::File::open(dir)?.sync_all()
}
