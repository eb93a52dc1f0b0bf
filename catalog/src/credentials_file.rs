//! `DATA/credentials`: the root access key, where AWS clients can read it.
//!
//! The form is that of AWS's shared credentials file, with one section `[default]`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::{AccessKey, Secret};

/// Only the owner may read it.
const MODE: u32 = 0o600;

/// Makes the file name `key`, unless it names it, or one that `stands`, already. Mode 0600 either way.
pub(crate) fn ensure(
    path: &Path,
    key: &AccessKey,
    stands: impl FnOnce(&str, &Secret) -> bool,
) -> io::Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if parse(&text).is_some_and(|(id, secret)| stands(id, &secret)) => {
            fs::set_permissions(path, Permissions::from_mode(MODE))
        }
        Ok(_) => write(path, key),
        Err(error) if error.kind() == ErrorKind::NotFound => write(path, key),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<(&str, Secret)> {
    let setting = |name: &str| {
        let mut lines = text.lines().skip_while(|line| line.trim() != "[default]").skip(1);
        lines.find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    Some((setting("aws_access_key_id")?, Secret::new(setting("aws_secret_access_key")?)))
}

/// Whole or not at all: written aside, synced, then renamed.
fn write(path: &Path, key: &AccessKey) -> io::Result<()> {
    let partial = path.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&partial)?;
    writeln!(file, "[default]")?;
    writeln!(file, "aws_access_key_id = {}", key.id)?;
    writeln!(file, "aws_secret_access_key = {}", key.secret.expose())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{SystemEntropy, Timestamp};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn written_once_and_again_when_lost_or_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let key = AccessKey::generate(&SystemEntropy, true, Timestamp::from_millis(0));
        let names_it = |id: &str, secret: &Secret| id == key.id && *secret == key.secret;

        ensure(&path, &key, names_it).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text), Some((key.id.as_str(), key.secret.clone())));
        assert_eq!(mode(&path), MODE);

        let commented = format!("# mine\n{text}region = here\n");
        fs::write(&path, &commented).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        ensure(&path, &key, names_it).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), commented, "a good file is left alone");
        assert_eq!(mode(&path), MODE);

        fs::write(&path, "[default]\naws_access_key_id = gone\naws_secret_access_key = gone\n").unwrap();
        ensure(&path, &key, names_it).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);

        fs::remove_file(&path).unwrap();
        ensure(&path, &key, names_it).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }
}
