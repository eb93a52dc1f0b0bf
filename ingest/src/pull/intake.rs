//! Units that GStreamer has found, on their way to the recorder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use media::rtp::AccessUnit;
use media::{CodecId, Track};
use tokio::time::Instant;

use crate::{IngestError, Recorder, TrackSource};

/// Units, and bytes of them, kept while it is not known yet which tracks come.
const MAX_EARLY: usize = 1024;
const MAX_EARLY_BYTES: usize = 16 << 20;
/// How long other tracks are waited for after the first unit.
const GATHER: Duration = Duration::from_secs(3);

/// Units on their way to the recorder, which has to know the tracks before their first units.
pub(super) struct Intake {
    tracks: BTreeMap<u8, Arc<Track>>,
    /// Tracks that the recorder has to be told of anew.
    untold: BTreeSet<u8>,
    /// What has come while others may join; `None` from then on.
    early: Option<Early>,
}

#[derive(Default)]
struct Early {
    units: Vec<(u8, AccessUnit, Duration)>,
    bytes: usize,
    until: Option<Instant>,
}

impl Default for Intake {
    fn default() -> Self {
        Self { tracks: BTreeMap::new(), untold: BTreeSet::new(), early: Some(Early::default()) }
    }
}

impl Intake {
    /// When no other track is waited for any more.
    pub(super) fn until(&self) -> Option<Instant> {
        self.early.as_ref()?.until
    }

    /// Whether the recorder knows the tracks.
    pub(super) fn is_open(&self) -> bool {
        self.early.is_none()
    }

    /// Whether any track is known.
    pub(super) fn has_tracks(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// Takes a unit. A track that joins late starts a run.
    pub(super) async fn take(
        &mut self,
        recorder: &mut Recorder,
        number: u8,
        mut unit: AccessUnit,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        let joins = match &unit.track {
            Some(track) => self.tracks.insert(number, Arc::clone(track)).is_none(),
            None => false,
        };
        if let Some(early) = &mut self.early {
            early.until.get_or_insert(Instant::now() + GATHER);
            early.bytes += unit.data.len();
            early.units.push((number, unit, arrival));
            return Ok(());
        }
        if joins {
            self.announce(recorder)?;
        }
        let Some(track) = self.tracks.get(&number) else { return Ok(()) };
        if self.untold.remove(&number) {
            unit.track = Some(Arc::clone(track));
        }
        recorder.access_unit(number, unit, arrival).await
    }

    /// Whether nothing more is waited for. Where no track is known there is nothing to record.
    pub(super) fn is_ready(&self, ended: bool) -> bool {
        let Some(Early { units, bytes, until }) = &self.early else { return false };
        let late = until.is_some_and(|until| Instant::now() >= until);
        !self.tracks.is_empty() && (ended || late || units.len() >= MAX_EARLY || *bytes >= MAX_EARLY_BYTES)
    }

    /// Hands the recorder what has come so far.
    pub(super) async fn release(&mut self, recorder: &mut Recorder) -> Result<(), IngestError> {
        self.announce(recorder)?;
        for (number, unit, arrival) in self.early.take().unwrap_or_default().units {
            self.take(recorder, number, unit, arrival).await?;
        }
        Ok(())
    }

    fn announce(&mut self, recorder: &mut Recorder) -> Result<(), IngestError> {
        let source = |(number, track): (&u8, &Arc<Track>)| TrackSource {
            number: *number,
            video: track.codec != CodecId::Aac,
            clock_rate: track.timescale,
        };
        self.untold = self.tracks.keys().copied().collect();
        recorder.set_tracks(&self.tracks.iter().map(source).collect::<Vec<_>>())
    }
}
