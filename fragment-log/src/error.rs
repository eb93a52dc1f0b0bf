//! What can go wrong in the log.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{StreamId, Timestamp};

use crate::format::FormatError;
use crate::{LaneId, Location};

/// Why the log could not do what was asked. Cheap to clone: everyone who waited for a failed batch
/// gets the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The disk is full. Nothing of what was asked was kept; it works again as soon as there is space.
    #[error("the disk is full: cannot write {} until space is freed", .file.display())]
    Full {
        /// What was to be written.
        file: PathBuf,
    },
    /// The master key is missing, malformed or not the one that the key table was wrapped with.
    #[error("master key: {0}")]
    MasterKey(String),
    /// Another process has the data folder open.
    #[error("{} is in use by another process: stop it first, or use another data folder", .0.display())]
    Locked(PathBuf),
    /// The data folder was written by another version.
    #[error("{}: this is format {found:?}, and this program reads format 1", .file.display())]
    Format {
        /// The file that tells the version.
        file: PathBuf,
        /// What it says.
        found: String,
    },
    /// Stored bytes fail their checksum or their authentication tag.
    #[error("{} is damaged at byte {offset}{}: {what}", .file.display(), about(*.stream, *.time))]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Whose data, where that could still be read.
        stream: Option<StreamId>,
        /// The data's server time, where that could still be read.
        time: Option<Timestamp>,
        /// Which check failed.
        what: &'static str,
    },
    /// The stream has no key: it was never created, or it was deleted and its key destroyed.
    #[error("stream {0} has no key: it was deleted or never created")]
    NoKey(StreamId),
    /// The lane takes no more appends until the log is opened again.
    #[error("lane {lane} is stopped ({why}): restart to recover it")]
    Stopped {
        /// The stopped lane.
        lane: LaneId,
        /// What stopped it.
        why: String,
    },
    /// One append is larger than the log takes.
    #[error("an append of {size} {unit} is larger than {limit}: cut it")]
    TooLarge {
        /// Its size.
        size: usize,
        /// What is counted.
        unit: &'static str,
        /// The largest size taken.
        limit: usize,
    },
    /// The log holds data, but the table of the keys that sealed it is missing.
    #[error("{} is missing while the log holds data: restore it from a backup", .0.display())]
    NoKeyTable(PathBuf),
    /// A backup of the key table is older than the table that is there.
    #[error(
        "the backup is of generation {backup}, and the key table of generation {stored}: {} would be lost, and \
         all that they sealed; force it only where the newer table is lost anyway",
        made_since(*.lost)
    )]
    OlderKeyTable {
        /// The backup's generation.
        backup: u64,
        /// The present table's generation.
        stored: u64,
        /// Keys that only the present table has, where it opens.
        lost: Option<usize>,
    },
    /// The segment was removed, or never was, or the frame's space was given back.
    #[error("data in segment {} of lane {} is gone: it has expired", .0.segment, .0.lane)]
    Gone(Location),
    /// The segment is still being written, so that it cannot be removed.
    #[error("segment {segment} of lane {lane} is still being written")]
    InUse {
        /// The segment's lane.
        lane: LaneId,
        /// Its number.
        segment: u64,
    },
    /// The operating system refused a file operation.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
}

fn about(stream: Option<StreamId>, time: Option<Timestamp>) -> String {
    let stream = stream.map(|stream| format!(", stream {stream}")).unwrap_or_default();
    let time = time.map(|time| format!(", {time}")).unwrap_or_default();
    stream + &time
}

fn made_since(lost: Option<usize>) -> String {
    lost.map_or_else(|| "the keys made since".to_owned(), |lost| format!("{lost} keys made since"))
}

impl LogError {
    /// For `map_err` on a file operation.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { file: path.to_owned() },
            _ => Self::Io { doing, path: path.to_owned(), source: Arc::new(source) },
        }
    }

    /// For `map_err` on a stored form: what was read at `offset` of `file` is not what it should be.
    pub(crate) fn corrupt(file: &Path, offset: u64) -> impl FnOnce(FormatError) -> Self {
        move |FormatError(what)| Self::Corrupt {
            file: file.to_owned(),
            offset,
            stream: None,
            time: None,
            what,
        }
    }
}
