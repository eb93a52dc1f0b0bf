//! HLS segments: fragmented MP4, made from a stored fragment when it is asked for.

use std::borrow::Cow;
use std::sync::Arc;

use base::{FragmentNumber, StreamId, Timestamp, TrackMeta};
use bytes::Bytes;
use indexer::{ClockKind, FragmentEntry, Window};
use media::fmp4::{self, Part};
use media::mkv::StoredFragment;

use crate::hls::InitRef;
use crate::presented::{Form, converted_tracks, form, presented, unplayable};
use crate::read::Place;
use crate::{Playback, PlaybackError};

/// Index entries looked at per step, while searching the fragment that an init segment comes from.
const INIT_PAGE: usize = 64;

/// Index entries of a run that are looked at before an init segment counts as gone.
const INIT_SEARCH: usize = 5000;

/// How far back the fragment is sought that a fragment follows, in milliseconds: three of the longest.
const BEFORE_MS: i64 = 60_000;

/// Index entries looked at for that: more than begin in that time (AWS allows five a second).
const BEFORE_PAGE: usize = 1000;

impl Playback {
    /// The init segment (ISO/IEC 14496-12 `ftyp` + `moov`) of one track.
    ///
    /// # Errors
    /// [`PlaybackError::NoInit`] when no fragment that is still kept uses it.
    pub async fn init_segment(
        &self,
        stream: StreamId,
        track: u8,
        init: InitRef,
    ) -> Result<Bytes, PlaybackError> {
        let entry = self.first_with(stream, track, init).await?.ok_or(PlaybackError::NoInit(init))?;
        let (_, fragment) = self.presented(&entry, track).await?;
        let track = fragment.track(track).ok_or(PlaybackError::NoTrack(track))?;
        fmp4::init_segment(&[track]).map_err(|source| Place::of(&entry).broken(source))
    }

    /// The media segment (`moof` + `mdat`) of one track of one fragment, as a gather list.
    ///
    /// # Errors
    /// [`PlaybackError::NoFragment`], [`PlaybackError::NoTrack`], [`PlaybackError::Unplayable`].
    pub async fn media_segment(
        &self,
        stream: StreamId,
        track: u8,
        number: FragmentNumber,
    ) -> Result<Vec<Bytes>, PlaybackError> {
        let found = self.indexer.by_numbers(stream, &[number]).await?;
        let entry = found.into_iter().next().flatten().ok_or(PlaybackError::NoFragment(number))?;
        let (meta, fragment) = self.presented(&entry, track).await?;
        let frames = fragment.frames_of(track);
        let track = fragment.track(track).ok_or(PlaybackError::NoTrack(track))?;
        let base_decode_time = fmp4::base_decode_time(entry.meta.run_origin, track.timescale, meta.start);
        // ISO/IEC 14496-12 §8.8.5: numbers increase; they are 32 bits wide and may wrap.
        let sequence = (entry.meta.media_sequence & u64::from(u32::MAX)) as u32;
        fmp4::media_segment(sequence, &[Part { track, base_decode_time, frames: &frames }])
            .map_err(|source| Place::of(&entry).broken(source))
    }

    /// A track as players get it, and a fragment that holds it in that form.
    async fn presented<'a>(
        &self,
        entry: &'a FragmentEntry,
        track: u8,
    ) -> Result<(Cow<'a, TrackMeta>, Arc<StoredFragment>), PlaybackError> {
        let meta = entry.meta.tracks.iter().find(|one| one.number == track);
        let meta = meta.ok_or(PlaybackError::NoTrack(track))?;
        let fragment = match form(meta) {
            Form::Stored => self.cached(entry).await?,
            Form::Aac => self.converted(entry).await?,
            Form::None(_) => return Err(unplayable(meta)),
        };
        let meta = presented(meta).ok_or(PlaybackError::NoTrack(track))?;
        Ok((meta, fragment))
    }

    /// The audio of the fragment that becomes AAC.
    async fn converted(&self, entry: &FragmentEntry) -> Result<Arc<StoredFragment>, PlaybackError> {
        let key = (entry.stream, entry.meta.number);
        let tracks = converted_tracks(&entry.meta);
        let bytes = tracks.iter().filter_map(presented).map(|track| track.bytes).sum();
        let make = async {
            let before = match self.before(entry).await? {
                Some(before) => Some(self.cached(&before).await?),
                None => None,
            };
            let fragment = self.cached(entry).await?;
            self.converter.convert(key, before, fragment, tracks).await.map(Arc::new)
        };
        self.converted.get(key, bytes, make).await
    }

    /// The fragment that a fragment of the same run follows, where that is still kept.
    pub(crate) async fn before(&self, entry: &FragmentEntry) -> Result<Option<FragmentEntry>, PlaybackError> {
        let end = entry.meta.server_timestamp;
        let start = Timestamp::from_millis(end.millis().saturating_sub(BEFORE_MS));
        let window = Window { clock: ClockKind::Server, start: Some(start), end: Some(end) };
        let found = self.indexer.range(entry.stream, window, None, BEFORE_PAGE).await?;
        let earlier = |one: &FragmentEntry| one.meta.number < entry.meta.number;
        let before = found.into_iter().rfind(earlier);
        Ok(before.filter(|before| before.meta.run_id == entry.meta.run_id))
    }

    /// The fragment, from the cache or the log.
    async fn cached(&self, entry: &FragmentEntry) -> Result<Arc<StoredFragment>, PlaybackError> {
        let key = (entry.stream, entry.meta.number);
        let place = Place::of(entry);
        self.fragments.get(key, entry.meta.size_bytes, place.fragment(&self.log)).await
    }

    /// The first fragment of the run, of those still kept, that needs this init segment.
    async fn first_with(
        &self,
        stream: StreamId,
        track: u8,
        init: InitRef,
    ) -> Result<Option<FragmentEntry>, PlaybackError> {
        let everything = Window { clock: ClockKind::Server, start: None, end: None };
        let mut after = init.run.0.to_u64().checked_sub(1).map(FragmentNumber::from_u64);
        for _ in 0..INIT_SEARCH / INIT_PAGE {
            let page = self.indexer.range(stream, everything, after, INIT_PAGE).await?;
            let Some(last) = page.last() else { return Ok(None) };
            let run_over = last.meta.run_id > init.run;
            after = Some(last.meta.number);
            let uses = |entry: &FragmentEntry| {
                let track = entry.meta.tracks.iter().find(|one| one.number == track && one.frames > 0);
                let track = track.and_then(presented);
                entry.meta.run_id == init.run && track.is_some_and(|one| one.init_id == init.init_id)
            };
            if let Some(found) = page.into_iter().find(uses) {
                return Ok(Some(found));
            }
            if run_over {
                return Ok(None);
            }
        }
        Ok(None)
    }
}
