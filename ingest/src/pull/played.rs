//! One session of a source that is not RTSP: whatever GStreamer plays.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use media::CodecId;
use media::rtp::AccessUnit;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::PullError;
use super::connect::resolve;
use super::health::Agreed;
use super::pipeline::{Piece, Playback};
use super::session::{Attempt, Outcome};
use super::url::shown;
use crate::{Ended, Recorder, TrackSource};

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
            Ok(None) => return Outcome { error: None, online, lost: None },
            Err(error) => return Outcome { error: Some(error), online, lost: None },
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
        let start = spawn_blocking(move || Playback::start(url, most, &out));
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
        let mut gathering = Some(Gathering::default());
        let (mut left_out, mut tracks) = (Vec::new(), BTreeSet::new());
        let mut over = None;
        let mut heard = Instant::now() + self.options.timing.answer;
        loop {
            let until = gathering.as_ref().and_then(|gathering| gathering.until);
            let piece = tokio::select! {
                () = &mut stop => return Ok(()),
                () = recorder.superseded() => return Err(PullError::Superseded),
                () = sleep_until(heard + silence) => return Err(PullError::Silent(silence)),
                () = sleep_until(until.unwrap_or(heard)), if until.is_some() => None,
                piece = pieces.recv() => Some(piece.unwrap_or(Piece::End)),
            };
            match piece {
                Some(Piece::Unit(number, unit)) => {
                    heard = Instant::now();
                    match &mut gathering {
                        Some(gathering) => gathering.take(number, unit, clock.monotonic()),
                        None if tracks.contains(&number) => {
                            recorder.access_unit(number, unit, clock.monotonic()).await?;
                        }
                        // It came too late to be one of the recording's tracks.
                        None => {}
                    }
                }
                Some(Piece::LeftOut(why)) => left_out.push(why),
                Some(Piece::End) => over = Some(PullError::Over),
                Some(Piece::Failed(why)) => over = Some(PullError::Played(shown(&why))),
                None => {}
            }
            if let Some(gathered) = gathering.take_if(|gathering| gathering.is_done(over.is_some())) {
                tracks.extend(gathered.tracks.keys().copied());
                *online = Some(clock.monotonic());
                let agreed = Agreed { transport: "gstreamer", left_out: std::mem::take(&mut left_out) };
                self.book.online(self.options.clock.now(), agreed, !self.again);
                tracing::info!(stream = %self.stream, source = %self.target.url, "pulling");
                gathered.record(recorder).await?;
            }
            if let Some(over) = over {
                return Err(over);
            }
        }
    }
}

/// What has come before it is known which tracks there are.
#[derive(Default)]
struct Gathering {
    units: Vec<(u8, AccessUnit, Duration)>,
    tracks: BTreeMap<u8, TrackSource>,
    until: Option<Instant>,
    bytes: usize,
}

impl Gathering {
    fn take(&mut self, number: u8, unit: AccessUnit, arrival: Duration) {
        self.until.get_or_insert(Instant::now() + GATHER);
        if let Some(track) = &unit.track {
            let video = track.codec != CodecId::Aac;
            self.tracks.entry(number).or_insert(TrackSource { number, video, clock_rate: track.timescale });
        }
        self.bytes += unit.data.len();
        self.units.push((number, unit, arrival));
    }

    /// Whether nothing more is waited for. Where no track is known there is nothing to record.
    fn is_done(&self, ended: bool) -> bool {
        let over = ended && !self.tracks.is_empty();
        let late = self.until.is_some_and(|until| Instant::now() >= until);
        over || late || self.units.len() >= MAX_EARLY || self.bytes >= MAX_EARLY_BYTES
    }

    async fn record(self, recorder: &mut Recorder) -> Result<(), PullError> {
        let tracks: Vec<_> = self.tracks.values().copied().collect();
        recorder.set_tracks(&tracks)?;
        let known = |(number, ..): &(u8, _, _)| tracks.iter().any(|track| track.number == *number);
        for (number, unit, arrival) in self.units.into_iter().filter(known) {
            recorder.access_unit(number, unit, arrival).await?;
        }
        Ok(())
    }
}
