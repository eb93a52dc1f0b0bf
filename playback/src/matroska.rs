//! Matroska delivery: GetMedia, GetMediaForFragmentList.

use std::sync::Arc;

use base::{Clock, FragmentNumber, StreamId};
use bytes::Bytes;
use fragment_log::Log;
use futures::{StreamExt, TryStreamExt, stream};
use indexer::{FragmentEntry, Indexer};

use crate::read::Place;
use crate::{ByteStream, Playback, PlaybackError};

/// Fragments in memory while a list is delivered: one on its way out, one being read.
const READ_AHEAD: usize = 2;

impl Playback {
    /// The fragments as GetMediaForFragmentList delivers them: one Matroska file after another, in the order
    /// asked, two fragments in memory at most.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragment`] naming the first that is not (or no longer) there.
    pub async fn matroska(
        &self,
        stream: StreamId,
        numbers: &[FragmentNumber],
    ) -> Result<ByteStream, PlaybackError> {
        let found = self.indexer.by_numbers(stream, numbers).await?;
        let entries: Vec<FragmentEntry> = numbers
            .iter()
            .zip(found)
            .map(|(number, entry)| entry.ok_or(PlaybackError::NoFragment(*number)))
            .collect::<Result<_, _>>()?;
        let source = Source::of(self);
        let deliver = move |entry| {
            let source = source.clone();
            async move { source.file(entry).await }
        };
        let files = stream::iter(entries).map(deliver).buffered(READ_AHEAD);
        Ok(Box::pin(files.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten()))
    }

    /// One fragment as GetMedia delivers it: a Matroska file, as a list of pieces.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragment`] where it is no longer there.
    pub async fn matroska_file(&self, entry: FragmentEntry) -> Result<Vec<Bytes>, PlaybackError> {
        Source::of(self).file(entry).await
    }
}

/// Where fragments are read, for as long as a delivery lasts.
#[derive(Clone)]
struct Source {
    log: Arc<Log>,
    indexer: Arc<Indexer>,
    clock: Arc<dyn Clock>,
}

impl Source {
    fn of(playback: &Playback) -> Self {
        let Playback { log, indexer, clock, .. } = playback;
        Self { log: Arc::clone(log), indexer: Arc::clone(indexer), clock: Arc::clone(clock) }
    }

    async fn file(&self, mut entry: FragmentEntry) -> Result<Vec<Bytes>, PlaybackError> {
        entry.meta.tags = self.indexer.tags(&entry).await?;
        let place = Place::of(&entry);
        let file = place.file(&self.log).await?;
        let behind_now = self.clock.now().since(entry.meta.server_timestamp).as_millis();
        let behind_now_ms = u64::try_from(behind_now).unwrap_or(u64::MAX);
        media::mkv::delivery(&file, &entry.meta, behind_now_ms).map_err(|source| place.broken(source))
    }
}
