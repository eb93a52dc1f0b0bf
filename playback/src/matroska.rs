//! Matroska delivery: GetMediaForFragmentList.

use std::sync::Arc;

use base::{FragmentNumber, StreamId};
use futures::{StreamExt, TryStreamExt, stream};
use indexer::FragmentEntry;

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
        let now = self.clock.now();
        let log = Arc::clone(&self.log);
        let deliver = move |entry: FragmentEntry| {
            let log = Arc::clone(&log);
            async move {
                let place = Place::of(&entry);
                let file = place.file(&log).await?;
                let behind_now = now.since(entry.meta.server_timestamp).as_millis();
                let behind_now_ms = u64::try_from(behind_now).unwrap_or(u64::MAX);
                media::mkv::delivery(&file, &entry.meta, behind_now_ms).map_err(|source| place.broken(source))
            }
        };
        let files = stream::iter(entries).map(deliver).buffered(READ_AHEAD);
        Ok(Box::pin(files.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten()))
    }
}
