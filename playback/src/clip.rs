//! Clips: whole fragments as one MP4 file, any byte range of which is made when it is asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base::{FragmentMeta, StreamId};
use bytes::Bytes;
use fragment_log::Log;
use futures::{StreamExt, TryStreamExt, stream};
use indexer::{FragmentEntry, Window};
use media::Track;
use media::clip::{ClipLayout, cut};

use crate::read::Place;
use crate::{ByteStream, Playback, PlaybackError};

/// Fragments of one clip: a day of two-second ones.
const MOST_FRAGMENTS: usize = 43_200;

/// Different init segments of one clip (GetHLSStreamingSessionURL: 500 changes of codec private data).
const MOST_INITS: usize = 500;

/// Index entries read at a time: a window by producer time is sorted anew for every page.
const PAGE: usize = 10_000;

/// Changes whenever [`ClipLayout`] lays the same fragments out in other bytes.
const LAYOUT_VERSION: u32 = 1;

/// Fragments in memory while a clip is read: one on its way out, one being read.
const READ_AHEAD: usize = 2;

/// A clip that is laid out and not yet read.
#[derive(Clone)]
pub struct Clip {
    log: Arc<Log>,
    layout: Arc<ClipLayout>,
    places: Arc<[Place]>,
    etag: String,
}

impl Playback {
    /// One fragmented MP4 of the whole fragments that start in the window; the same bytes every time.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`], [`PlaybackError::TooLong`].
    pub async fn clip(&self, stream: StreamId, window: Window) -> Result<Clip, PlaybackError> {
        let (mut metas, mut places) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = self.indexer.range(stream, window, after, PAGE).await?;
            let whole = page.len() < PAGE;
            after = page.last().map(|last| last.meta.number);
            for FragmentEntry { stream, meta, pieces, .. } in page {
                places.push(Place { stream, number: meta.number, pieces: pieces.into() });
                metas.push(meta);
            }
            if places.len() > MOST_FRAGMENTS {
                return Err(PlaybackError::TooLong { limit: MOST_FRAGMENTS });
            }
            if whole {
                break;
            }
        }
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Err(PlaybackError::NoFragments);
        };
        let etag = format!(
            "{LAYOUT_VERSION}-{stream}-{}-{}-{}",
            first.number.to_u64(),
            last.number.to_u64(),
            places.len()
        );
        let inits = self.inits(&metas, &places).await?;
        let layout = ClipLayout::new(&inits, &metas).map_err(|source| first.broken(source))?;
        Ok(Clip { log: Arc::clone(&self.log), layout: Arc::new(layout), places: places.into(), etag })
    }

    /// A track for every different init segment of the fragments, each read from the first that has it.
    async fn inits(
        &self,
        metas: &[FragmentMeta],
        places: &[Place],
    ) -> Result<Vec<Arc<Track>>, PlaybackError> {
        let mut known: BTreeMap<(u8, u64), Arc<Track>> = BTreeMap::new();
        for (meta, place) in metas.iter().zip(places) {
            let wanted = meta.tracks.iter().filter(|track| track.frames > 0);
            if wanted.into_iter().all(|track| known.contains_key(&(track.number, track.init_id))) {
                continue;
            }
            for track in &place.fragment(&self.log).await?.tracks {
                known.insert((track.number, track.init_id()), Arc::clone(track));
            }
            if known.len() > MOST_INITS {
                return Err(PlaybackError::TooManyInits { limit: MOST_INITS });
            }
        }
        Ok(known.into_values().collect())
    }
}

impl Clip {
    /// Size of the whole file in bytes, known before any media is read.
    pub fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// Changes whenever the bytes would: a strong entity tag (RFC 9110 §8.8.3), without quotes.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The bytes of a range of the file, with two fragments in memory at most. What lies beyond the file's
    /// end is left out.
    pub fn bytes(&self, range: Range<u64>) -> ByteStream {
        let head = cut(vec![self.layout.head().clone()], 0, &range);
        let clip = self.clone();
        let media = stream::iter(self.layout.locate(&range))
            .map(move |index| clip.clone().part(index, range.clone()))
            .buffered(READ_AHEAD)
            .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
            .try_flatten();
        Box::pin(stream::iter(head.into_iter().map(Ok)).chain(media))
    }

    async fn part(self, index: usize, range: Range<u64>) -> Result<Vec<Bytes>, PlaybackError> {
        let place = &self.places[index];
        let fragment = place.fragment(&self.log).await?;
        let pieces = self.layout.fragment_bytes(index, &fragment).map_err(|source| place.broken(source))?;
        Ok(cut(pieces, self.layout.span(index).start, &range))
    }
}
