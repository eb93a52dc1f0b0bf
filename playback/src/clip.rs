//! Clips: whole fragments as one MP4 file, any byte range of which is made when it is asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base::{FragmentMeta, RunId, StreamId, TrackMeta};
use bytes::Bytes;
use fragment_log::Log;
use futures::{StreamExt, TryStreamExt, stream};
use indexer::{FragmentEntry, Window};
use media::Track;
use media::clip::{ClipLayout, cut};
use media::mkv::StoredFragment;

use crate::audio::{Converter, aac_track};
use crate::presented::{converted_tracks, presented_fragment};
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
    audio: Option<Arc<ConvertedAudio>>,
    etag: String,
}

/// What it takes to make the clip's AAC.
struct ConvertedAudio {
    converter: Converter,
    /// The fragment before the clip's first one.
    before: Option<Place>,
    /// Of each fragment.
    sources: Vec<Source>,
}

/// A fragment's run, and its tracks that become AAC.
type Source = (RunId, Box<[TrackMeta]>);

impl Playback {
    /// One fragmented MP4 of the whole fragments that start in the window; the same bytes every time. Audio
    /// that players do not take is left out.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragments`], [`PlaybackError::TooLong`], [`PlaybackError::Unplayable`].
    pub async fn clip(&self, stream: StreamId, window: Window) -> Result<Clip, PlaybackError> {
        let (mut metas, mut places, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        let (mut after, mut before) = (None, None);
        loop {
            let page = self.indexer.range(stream, window, after, PAGE).await?;
            let whole = page.len() < PAGE;
            after = page.last().map(|last| last.meta.number);
            if let Some(first) =
                page.first().filter(|first| places.is_empty() && !converted_tracks(&first.meta).is_empty())
            {
                before = self.before(first).await?;
            }
            for FragmentEntry { stream, meta, pieces, .. } in page {
                places.push(Place { stream, number: meta.number, pieces: pieces.into() });
                sources.push((meta.run_id, converted_tracks(&meta).into()));
                metas.push(presented_fragment(&meta)?);
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
        let converted = sources.iter().any(|(_, tracks): &Source| !tracks.is_empty());
        let etag = format!(
            "{LAYOUT_VERSION}-{stream}-{}-{}-{}{}",
            first.number.to_u64(),
            last.number.to_u64(),
            places.len(),
            if converted { "-aac" } else { "" }
        );
        let made = sources.iter().flat_map(|(_, tracks)| tracks).filter_map(aac_track);
        let inits = self.inits(made, &metas, &places).await?;
        let layout = ClipLayout::new(&inits, &metas).map_err(|source| first.broken(source))?;
        let before = before.as_ref().map(Place::of);
        let audio = ConvertedAudio { converter: self.converter.clone(), before, sources };
        Ok(Clip {
            log: Arc::clone(&self.log),
            layout: Arc::new(layout),
            places: places.into(),
            audio: converted.then(|| Arc::new(audio)),
            etag,
        })
    }

    /// A track for every different init segment of the fragments: those that are made here, and the others,
    /// each read from the first that has it.
    async fn inits(
        &self,
        made: impl Iterator<Item = Track>,
        metas: &[FragmentMeta],
        places: &[Place],
    ) -> Result<Vec<Arc<Track>>, PlaybackError> {
        let mut known: BTreeMap<(u8, u64), Arc<Track>> =
            made.map(|track| ((track.number, track.init_id()), Arc::new(track))).collect();
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
        let stored = place.fragment(&self.log).await?;
        let fragment = match &self.audio {
            Some(audio) => self.with_aac(audio, index, stored).await?,
            None => stored,
        };
        let pieces = self.layout.fragment_bytes(index, &fragment).map_err(|source| place.broken(source))?;
        Ok(cut(pieces, self.layout.span(index).start, &range))
    }

    /// The fragment, its plain samples replaced by AAC.
    async fn with_aac(
        &self,
        audio: &ConvertedAudio,
        index: usize,
        stored: Arc<StoredFragment>,
    ) -> Result<Arc<StoredFragment>, PlaybackError> {
        let (run, tracks) = &audio.sources[index];
        if tracks.is_empty() {
            return Ok(stored);
        }
        let before = match index.checked_sub(1) {
            Some(previous) => Some(&self.places[previous]).filter(|_| audio.sources[previous].0 == *run),
            None => audio.before.as_ref(),
        };
        let before = match before {
            Some(place) => Some(place.fragment(&self.log).await?),
            None => None,
        };
        let key = (self.places[index].stream, self.places[index].number);
        let mut made = audio.converter.convert(key, before, Arc::clone(&stored), tracks.to_vec()).await?;
        let kept = |number: u8| !tracks.iter().any(|track| track.number == number);
        made.tracks.extend(stored.tracks.iter().filter(|track| kept(track.number)).cloned());
        made.frames.extend(stored.frames.iter().filter(|frame| kept(frame.track)).cloned());
        Ok(Arc::new(made))
    }
}
