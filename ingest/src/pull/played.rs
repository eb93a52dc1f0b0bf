//! One session of a source that is not RTSP: whatever GStreamer plays.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::PullError;
use super::connect::resolve;
use super::health::Agreed;
use super::intake::Intake;
use super::pipeline::{Piece, Playback};
use super::session::{Attempt, Outcome};
use super::url::shown;
use crate::{Ended, Recorder};

/// Pieces on their way from GStreamer's threads.
pub(super) const IN_FLIGHT: usize = 64;

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
