//! The master key: 32 bytes that never enter the data folder.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::LogError;

/// Wraps the table key. Kept outside the data folder, as base64 of 32 bytes.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// Where the key is by default: `$XDG_CONFIG_HOME/millrace/master.key`, or under `~/.config`.
    /// `None` where the environment names neither folder.
    pub fn default_path() -> Option<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        config.or_else(home).map(|dir| dir.join("millrace").join("master.key"))
    }

    /// The key for the data folder `data`: the text of `MILLRACE_MASTER_KEY` where it is given, else
    /// the file, which is made on the first start, that is while `data` has no key table.
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
        let first_start = fs::read_dir(data.join("keys")).map_or(true, |mut names| names.next().is_none());
        if first_start && !file.exists() {
            return Self::create(file, entropy);
        }
        Self::load(file)
    }

    /// Reads the base64 of 32 bytes; space around it is ignored.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// Reads a key file.
    pub fn load(file: &Path) -> Result<Self, LogError> {
        let text = fs::read_to_string(file).map_err(|error| {
            LogError::MasterKey(format!("cannot read the master key file {}: {error}", file.display()))
        })?;
        Self::from_base64(&text).ok_or_else(|| {
            LogError::MasterKey(format!("{} is not a master key: base64 of 32 bytes", file.display()))
        })
    }

    /// Makes a new key in a new file, mode 0600, durable before it is used.
    pub fn create(file: &Path, entropy: &dyn Entropy) -> Result<Self, LogError> {
        let key: [u8; 32] = entropy.bytes();
        write_new(file, &STANDARD.encode(key)).map_err(|error| {
            LogError::MasterKey(format!("cannot make the master key file {}: {error}", file.display()))
        })?;
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Whole or not at all, so that a crash leaves no half of a key under the key's name.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let dir = file.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let partial = file.with_extension("tmp");
    let mut out =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    writeln!(out, "{text}")?;
    out.sync_all()?;
    // A link, unlike a rename, refuses to replace a key that someone else made meanwhile.
    fs::hard_link(&partial, file)?;
    fs::remove_file(&partial)?;
    fs::File::open(dir)?.sync_all()
}
