//! Damage that shows while the index is in use: noted in a file, so that the next start rebuilds.

use std::io;
use std::path::{Path, PathBuf};

use crate::IndexError;

/// Under `DATA/index/`.
const FILE: &str = "damaged";

/// Notes that only a rebuild helps, where the error says so.
pub(crate) fn note(dir: &Path, error: &IndexError) {
    if error.is_damage() && !found(dir) {
        tracing::error!(%error, "the index is damaged: it will be rebuilt at the next start");
        // A disk that does not take this either shows the damage again.
        let _ = std::fs::write(file(dir), b"");
    }
}

/// Whether damage was noted.
pub(crate) fn found(dir: &Path) -> bool {
    file(dir).exists()
}

/// The views are made anew.
pub(crate) fn forget(dir: &Path) -> io::Result<()> {
    if found(dir) { std::fs::remove_file(file(dir)) } else { Ok(()) }
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}
