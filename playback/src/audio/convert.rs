//! A fragment's plain samples as AAC frames.

use std::sync::Arc;

use base::{FragmentNumber, StreamId, TrackMeta};
use bytes::Bytes;
use media::mkv::StoredFragment;
use media::{Frame, Track};
use tokio::sync::Semaphore;

use super::access_unit::padded;
use super::grid::{FRAME, Span};
use super::samples::Samples;
use super::{aac_track, encoder, frame_bytes};
use crate::PlaybackError;

/// Frames before the first one that is kept: what the encoder has heard by then is what it would have heard
/// had it been running all the time.
const WARM_UP: i64 = 2;

/// Makes AAC, a few fragments at a time: as many as there are processors.
#[derive(Clone, Debug)]
pub(crate) struct Converter {
    permits: Arc<Semaphore>,
}

impl Default for Converter {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(processors)) }
    }
}

impl Converter {
    /// The AAC of these tracks of a fragment, which `before` precedes in the run.
    ///
    /// # Errors
    /// [`PlaybackError::Conversion`].
    pub(crate) async fn convert(
        &self,
        (stream, number): (StreamId, FragmentNumber),
        before: Option<Arc<StoredFragment>>,
        fragment: Arc<StoredFragment>,
        tracks: Vec<TrackMeta>,
    ) -> Result<StoredFragment, PlaybackError> {
        let failed = |why: String| PlaybackError::Conversion { stream, number, why };
        // The semaphore is never closed. Work goes on when nobody waits for it any more, and counts until then.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|closed| failed(closed.to_string()))?;
        let work = move || {
            let _permit = permit;
            convert(before.as_deref(), &fragment, &tracks)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|panicked| failed(panicked.to_string()))?.map_err(failed)
    }
}

pub(super) fn convert(
    before: Option<&StoredFragment>,
    fragment: &StoredFragment,
    tracks: &[TrackMeta],
) -> Result<StoredFragment, String> {
    let mut converted = StoredFragment { tracks: Vec::new(), frames: Vec::new() };
    for meta in tracks {
        let span = Span::of(meta);
        let lead = WARM_UP * FRAME;
        // The last frame needs the 1024 samples after its own.
        let count = span.duration() + (lead + FRAME).unsigned_abs();
        let count = usize::try_from(count).map_err(|_| "a fragment without an end")?;
        let mut samples = Samples::silence(span.start() - lead, count, meta.channels);
        for source in before.into_iter().chain([fragment]) {
            samples.fill(source, meta);
        }
        let track = aac_track(meta).ok_or("not a rate of AAC")?;
        converted.frames.extend(frames(&track, span, samples.values())?);
        converted.tracks.push(Arc::new(track));
    }
    Ok(converted)
}

fn frames(track: &Track, span: Span, samples: &[i16]) -> Result<Vec<Frame>, String> {
    let units = encoder::encode(track.sample_rate, track.channels, samples)?;
    // The first unit is the encoder's own start.
    let kept = units.iter().skip(1 + WARM_UP as usize).take(span.count as usize);
    let frame = |(number, unit): (i64, &Vec<u8>)| {
        let data = padded(unit, frame_bytes(track.channels)).ok_or("a frame larger than AAC allows")?;
        let dts = number * FRAME;
        let duration = FRAME as u32;
        Ok(Frame { track: track.number, dts, pts: dts, duration, key: true, data: Bytes::from(data) })
    };
    let frames = (span.first..).zip(kept).map(frame).collect::<Result<Vec<_>, String>>()?;
    if frames.len() == span.count as usize { Ok(frames) } else { Err("too few frames of AAC".into()) }
}
