//! One session of a source that is not RTSP, or sends MPEG-TS over it: whatever GStreamer plays.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::SourceTransport;
use media::rtp::AccessUnit;
use media::{CodecId, Track};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::PullError;
use super::connect::resolve;
use super::health::Agreed;
use super::pipeline::{LowerTransport, Piece, Playback};
use super::session::{Attempt, Outcome};
use super::url::shown;
use crate::{Ended, IngestError, Recorder, TrackSource};

/// Pieces on their way from GStreamer's threads.
const IN_FLIGHT: usize = 64;
/// Units, and bytes of them, kept while it is not known yet which tracks come.
const MAX_EARLY: usize = 1024;
const MAX_EARLY_BYTES: usize = 16 << 20;
/// How long other tracks are waited for after the first unit.
const GATHER: Duration = Duration::from_secs(3);

impl Attempt<'_> {
    /// Pulls until the URL has ended or `stop` resolves.
    pub(super) async fn play(&self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        let mut online = None;
        let played = tokio::select! {
            () = &mut stop => Ok(None),
            opened = self.open() => opened.map(Some),
        };
        let (mut recorder, playback, mut pieces) = match played {
            Ok(Some(open)) => open,
            Ok(None) => return Outcome::stopped(),
            Err(error) => return Outcome::failed(error),
        };
        let ended = self.receive_played(&mut recorder, &mut pieces, stop, &mut online).await.err();
        // Whoever waits to send something has to fail before the pipeline can go down.
        drop(pieces);
        let _ = spawn_blocking(move || drop(playback)).await;
        let stored = recorder.finish(ended.as_ref().map_or(Ended::Teardown, PullError::ended)).await;
        Outcome { error: ended.or_else(|| stored.err().map(PullError::Ingest)), online, lost: None }
    }

    async fn open(&self) -> Result<(Recorder, Playback, mpsc::Receiver<Piece>), PullError> {
        let url = self.target.url.clone();
        let addresses = resolve(&url, self.options.timing.answer).await?;
        // GStreamer looks the name up again, and takes any.
        addresses.iter().try_for_each(|address| self.options.rules.check(*address))?;
        let none = || PullError::Resolve { host: url.host.clone(), why: "it has none".into() };
        let peer = *addresses.first().ok_or_else(none)?;
        let recorder = self.options.ingest.pull(self.stream, peer, self.target.timestamps).await?;
        let (out, pieces) = mpsc::channel(IN_FLIGHT);
        let most = u8::try_from(self.options.limits.tracks).unwrap_or(u8::MAX);
        let over = match self.target.transport {
            SourceTransport::Udp => LowerTransport::Udp,
            SourceTransport::Auto | SourceTransport::Tcp => LowerTransport::Tcp,
        };
        let start = spawn_blocking(move || Playback::start(url, over, most, &out));
        let started = start.await.map_err(|error| PullError::Played(error.to_string()))?;
        Ok((recorder, started.map_err(|why| PullError::Played(shown(&why)))?, pieces))
    }

    async fn receive_played(
        &self,
        recorder: &mut Recorder,
        pieces: &mut mpsc::Receiver<Piece>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        online: &mut Option<Duration>,
    ) -> Result<(), PullError> {
        let clock = &self.options.clock;
        let silence = self.options.timing.silence;
        let (mut intake, mut left_out) = (Intake::default(), Vec::new());
        let mut heard = Instant::now() + self.options.timing.answer;
        loop {
            let until = intake.until();
            let piece = tokio::select! {
                () = &mut stop => return Ok(()),
                () = recorder.superseded() => return Err(PullError::Superseded),
                () = sleep_until(heard + silence) => return Err(PullError::Silent(silence)),
                () = sleep_until(until.unwrap_or(heard)), if until.is_some() => None,
                piece = pieces.recv() => Some(piece.unwrap_or(Piece::End)),
            };
            let mut over = None;
            match piece {
                Some(Piece::Unit(number, unit)) => {
                    heard = Instant::now();
                    intake.take(recorder, number, unit, clock.monotonic()).await?;
                }
                Some(Piece::LeftOut(why)) => left_out.push(why),
                Some(Piece::End) => over = Some(PullError::Over),
                Some(Piece::Failed(why)) => over = Some(PullError::Played(shown(&why))),
                None => {}
            }
            if online.is_none() && intake.is_ready(over.is_some()) {
                *online = Some(clock.monotonic());
                let agreed = Agreed { transport: "gstreamer", left_out: std::mem::take(&mut left_out) };
                self.book.online(self.options.clock.now(), agreed, !self.again);
                tracing::info!(stream = %self.stream, source = %self.target.url, "pulling");
                intake.release(recorder).await?;
            }
            if let Some(over) = over {
                return Err(over);
            }
        }
    }
}

/// Units on their way to the recorder, which has to know the tracks before their first units.
struct Intake {
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
    fn until(&self) -> Option<Instant> {
        self.early.as_ref()?.until
    }

    /// Takes a unit. A track that joins late starts a run.
    async fn take(
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
    fn is_ready(&self, ended: bool) -> bool {
        let Some(Early { units, bytes, until }) = &self.early else { return false };
        let late = until.is_some_and(|until| Instant::now() >= until);
        !self.tracks.is_empty() && (ended || late || units.len() >= MAX_EARLY || *bytes >= MAX_EARLY_BYTES)
    }

    /// Hands the recorder what has come so far.
    async fn release(&mut self, recorder: &mut Recorder) -> Result<(), IngestError> {
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
