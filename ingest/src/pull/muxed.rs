//! Cameras whose tracks come as one MPEG transport stream over RTSP: it is received like any other track, and taken
//! apart by GStreamer, which knows nothing of where it comes from.

use std::time::Duration;

use bytes::Bytes;
use gstreamer::Buffer;
use gstreamer_app::AppSrc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::PullError;
use super::intake::Intake;
use super::pipeline::{Piece, Playback};
use super::played::IN_FLIGHT;
use super::url::shown;
use crate::{IngestError, Recorder};

/// Bytes that may wait for GStreamer: more than a key picture, many times over.
const MAX_WAITING: u64 = 16 << 20;
/// How long a stream may go on without a track that can be recorded. Parameter sets come with key pictures.
const TRACKLESS: Duration = Duration::from_secs(20);
/// Tracks that are named although they are not recorded.
const MAX_LEFT_OUT: usize = 16;

/// A transport stream in, access units of its tracks out.
pub(super) struct Demuxer {
    source: AppSrc,
    // Dropped before the pipeline: whoever waits to send something has to fail before that can go down.
    pieces: mpsc::Receiver<Piece>,
    playback: Playback,
}

impl Demuxer {
    /// For a stream of which at most so many tracks are taken.
    pub(super) async fn start(tracks: usize) -> Result<Self, PullError> {
        let (out, pieces) = mpsc::channel(IN_FLIGHT);
        let most = u8::try_from(tracks).unwrap_or(u8::MAX);
        let started = spawn_blocking(move || Playback::demux(most, &out)).await;
        let started = started.map_err(|error| PullError::Played(error.to_string()))?;
        let (playback, source) = started.map_err(PullError::Played)?;
        Ok(Self { source, pieces, playback })
    }

    /// Takes what follows in the stream. What comes of it, comes soon.
    pub(super) fn push(&self, packets: Bytes) -> Result<(), PullError> {
        if self.source.current_level_bytes() > MAX_WAITING {
            return Err(PullError::Played("it cannot keep up with the transport stream".into()));
        }
        let pushed = self.source.push_buffer(Buffer::from_slice(packets));
        pushed.map(drop).map_err(|_| PullError::Played("the transport stream cannot be taken apart".into()))
    }

    /// What has come out by now.
    pub(super) fn next(&mut self) -> Option<Piece> {
        self.pieces.try_recv().ok()
    }

    /// Takes the pipeline down, which blocks, where blocking is allowed.
    pub(super) async fn close(self) {
        let Self { pieces, playback, .. } = self;
        drop(pieces);
        let _ = spawn_blocking(move || drop(playback)).await;
    }
}

/// A transport stream on its way to the recorder.
pub(crate) struct Muxed {
    demuxer: Demuxer,
    intake: Intake,
    left_out: Vec<String>,
    /// When the stream's first packet and its last frame came (monotonic).
    began: Option<Duration>,
    heard: Option<Duration>,
    failed: Option<PullError>,
}

impl Muxed {
    /// For a stream of which at most so many tracks are taken.
    ///
    /// # Errors
    /// [`PullError::Played`] where GStreamer has not what it takes.
    pub(super) async fn start(tracks: usize) -> Result<Self, PullError> {
        Ok(Self {
            demuxer: Demuxer::start(tracks).await?,
            intake: Intake::default(),
            left_out: Vec::new(),
            began: None,
            heard: None,
            failed: None,
        })
    }

    /// Takes what follows in the stream, which arrived at `arrival` (monotonic), and records what has come out of it
    /// by now.
    ///
    /// # Errors
    /// When recording cannot go on. What else went wrong, [`Self::take_failure`] tells.
    pub(crate) async fn take(
        &mut self,
        recorder: &mut Recorder,
        packets: Bytes,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        if let Err(error) = self.demuxer.push(packets) {
            self.failed = Some(error);
        }
        while let Some(piece) = self.demuxer.next() {
            match piece {
                Piece::Unit(number, unit) => {
                    self.heard = Some(arrival);
                    self.intake.take(recorder, number, unit, arrival).await?;
                }
                Piece::LeftOut(why) if self.left_out.len() < MAX_LEFT_OUT => self.left_out.push(why),
                Piece::LeftOut(_) => {}
                Piece::End => self.failed = Some(PullError::Over),
                Piece::Failed(why) => self.failed = Some(PullError::Played(shown(&why))),
            }
        }
        if self.intake.is_ready(false) {
            self.intake.release(recorder).await?;
        }
        let began = *self.began.get_or_insert(arrival);
        if !self.intake.has_tracks() && arrival.saturating_sub(began) >= TRACKLESS {
            let left_out = self.take_left_out().join("; ");
            self.failed =
                Some(PullError::NoTracks(format!("an MPEG transport stream without such tracks {left_out}")));
        }
        Ok(())
    }

    /// Whether it is known which tracks come.
    pub(crate) fn is_open(&self) -> bool {
        self.intake.is_open()
    }

    /// When the last frame came (monotonic).
    pub(crate) fn heard(&self) -> Option<Duration> {
        self.heard
    }

    /// What is not recorded, and why, since it was asked for.
    pub(crate) fn take_left_out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.left_out)
    }

    /// Why the stream cannot be taken apart any longer.
    pub(crate) fn take_failure(&mut self) -> Option<PullError> {
        self.failed.take()
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        self.demuxer.close().await;
    }
}
