//! Moves a request's body into its session, and watches the time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use ingest::put_media::{Ending, ErrorId, PutSession, Refusal, Stop};
use tokio::time::{sleep, timeout};

use crate::app::App;

/// Between two looks at the time, and at whether the server stops.
const LOOK: Duration = Duration::from_millis(250);
/// A producer that sends nothing is told at least as often that its connection stands.
const IDLE_ACK: Duration = Duration::from_secs(10);
/// A producer that is refused is listened to for so long, and for so much: most look for the answer while
/// they send, and a connection that is closed on them would take it away.
const LISTENED_FOR: Duration = Duration::from_secs(5);
const LISTENED_TO: usize = 16 * 1024 * 1024;

/// What the body gives next; `None` at its end.
type Next = Option<Result<Frame<Bytes>, axum::Error>>;

/// One connection's task.
pub(super) struct Pump {
    app: Arc<App>,
    session: PutSession,
    /// By the monotonic clock: when the connection began, when its last bytes came, and when the producer was
    /// last told that it stands.
    began: Duration,
    heard: Duration,
    told: Duration,
}

impl Pump {
    pub(super) fn new(app: Arc<App>, session: PutSession) -> Self {
        let now = app.clock.monotonic();
        Self { app, session, began: now, heard: now, told: now }
    }

    /// Takes the body, of which the `first` part may be there, and ends the session with it.
    pub(super) async fn run(mut self, first: Option<Next>, mut body: Body) {
        let ending = match first {
            Some(first) => match self.take(first).await {
                Some(ending) => ending,
                None => self.rest(&mut body).await,
            },
            None => self.rest(&mut body).await,
        };
        let finished = ending == Ending::Finished;
        self.session.end(ending).await;
        if !finished && self.app.ready.load(Ordering::Acquire) {
            let _ = timeout(LISTENED_FOR, listen(body)).await;
        }
    }

    async fn rest(&mut self, body: &mut Body) -> Ending {
        loop {
            let settles = self.session.settles_after();
            let next = tokio::select! {
                next = body.frame() => Some(next),
                () = self.session.failed() => return Ending::Broken,
                () = sleep(settles.map_or(LOOK, |settles| settles.min(LOOK))) => None,
            };
            let ended = match next {
                Some(next) => self.take(next).await,
                None => self.look(settles).await,
            };
            if let Some(ending) = ended {
                return ending;
            }
        }
    }

    async fn take(&mut self, next: Next) -> Option<Ending> {
        let frame = match next {
            None => return Some(Ending::Finished),
            Some(Err(_)) => return Some(Ending::Broken),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.into_data().unwrap_or_default();
        let taken = self.session.take(&bytes).await;
        self.heard = self.app.clock.monotonic();
        ending(taken).or_else(|| self.outlived())
    }

    /// Nothing has come for a while.
    async fn look(&mut self, settles: Option<Duration>) -> Option<Ending> {
        let now = self.app.clock.monotonic();
        let silent = now.saturating_sub(self.heard);
        if settles.is_some_and(|settles| silent >= settles)
            && let Some(ending) = ending(self.session.settle().await)
        {
            return Some(ending);
        }
        let limits = &self.app.limits;
        if silent >= limits.put_media_idle {
            let within = self.session.is_within_fragment();
            let text = format!("nothing came for {:?}, and the fragment is not whole", limits.put_media_idle);
            let refusal = || Ending::Refused(Refusal::new(ErrorId::StreamRead, text));
            return Some(if within { refusal() } else { Ending::Finished });
        }
        if now.saturating_sub(self.told.max(self.heard)) >= IDLE_ACK {
            self.told = now;
            if let Some(ending) = ending(self.session.idle().await) {
                return Some(ending);
            }
        }
        self.outlived()
    }

    /// Whether the connection has lasted as long as it may, or the server stops.
    fn outlived(&self) -> Option<Ending> {
        let now = self.app.clock.monotonic();
        if !self.app.ready.load(Ordering::Acquire) {
            return Some(Ending::Broken);
        }
        let life = self.app.limits.put_media_life;
        (now.saturating_sub(self.began) >= life).then(|| {
            let text = format!("the connection has lasted {life:?}: open another one");
            Ending::Refused(Refusal::new(ErrorId::MaxConnectionDuration, text))
        })
    }
}

fn ending(taken: Result<(), Stop>) -> Option<Ending> {
    match taken {
        Ok(()) => None,
        Err(Stop::Refused(refusal)) => Some(Ending::Refused(refusal)),
        Err(Stop::Ended) => Some(Ending::Broken),
    }
}

/// Reads on without taking anything.
async fn listen(mut body: Body) {
    let mut heard = 0;
    while let Some(Ok(frame)) = body.frame().await {
        heard += frame.data_ref().map_or(0, Bytes::len);
        if heard > LISTENED_TO {
            return;
        }
    }
}
