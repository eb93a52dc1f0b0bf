//! Fragments out of the log, verified, opened and parsed.

use std::sync::Arc;

use base::{FragmentNumber, StreamId};
use bytes::Bytes;
use fragment_log::{Location, Log};
use indexer::FragmentEntry;
use media::mkv::{self, StoredFragment};

use crate::PlaybackError;

/// Which fragment, and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) number: FragmentNumber,
    pub(crate) pieces: Box<[Location]>,
}

impl Place {
    pub(crate) fn of(entry: &FragmentEntry) -> Self {
        Self { stream: entry.stream, number: entry.meta.number, pieces: entry.pieces.as_slice().into() }
    }

    /// The fragment's Matroska file.
    pub(crate) async fn file(&self, log: &Log) -> Result<Bytes, PlaybackError> {
        log.read_all(&self.pieces).await.map_err(|source| match source {
            fragment_log::LogError::Gone(_) | fragment_log::LogError::NoKey(_) => {
                PlaybackError::NoFragment(self.number)
            }
            source => PlaybackError::Log { stream: self.stream, number: self.number, source },
        })
    }

    /// The fragment, its frames being slices of its file.
    pub(crate) async fn fragment(&self, log: &Log) -> Result<Arc<StoredFragment>, PlaybackError> {
        let file = self.file(log).await?;
        mkv::read_fragment(&file).map(Arc::new).map_err(|source| self.broken(source))
    }

    /// For `map_err` on what is made of the fragment.
    pub(crate) fn broken(&self, source: media::MediaError) -> PlaybackError {
        PlaybackError::Media { stream: self.stream, number: self.number, source }
    }
}
