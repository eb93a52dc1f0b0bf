//! What can go wrong in the index.

use std::path::PathBuf;

/// Why the index could not answer, or could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The search expression cannot be read, or asks for something that is not offered.
    #[error("q: {0}")]
    Query(String),
    /// The page token was not made here, or was made for another request.
    #[error(transparent)]
    Cursor(#[from] base::PageError),
    /// The request cannot be answered as it stands.
    #[error("{0}")]
    Invalid(&'static str),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] fragment_log::LogError),
    /// The sorted view could not be read or written.
    #[error("fragments.sqlite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The search view could not be read or written.
    #[error("search index: {0}")]
    Search(#[from] tantivy::TantivyError),
    /// A row of the sorted view does not read back: the file is damaged.
    #[error("fragments.sqlite: row of stream {stream}, fragment {number}: {what}; run `millrace reindex`")]
    Row {
        /// The stream's id.
        stream: u64,
        /// The fragment's number.
        number: u64,
        /// What did not fit.
        what: &'static str,
    },
    /// A file or folder of the index could not be made, read or removed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The index is shutting down.
    #[error("the index is stopped")]
    Stopped,
}

impl IndexError {
    /// Whether a file of the sorted view is damaged, so that only a rebuild helps.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Row { .. } => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ),
            Self::Query(_)
            | Self::Cursor(_)
            | Self::Invalid(_)
            | Self::Log(_)
            | Self::Search(_)
            | Self::Io { .. }
            | Self::Stopped => false,
        }
    }
}
