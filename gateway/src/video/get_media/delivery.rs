//! A stream's fragments one after the other: those on disk, then those that come in, frame by frame.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::FragmentNumber;
use bytes::Bytes;
use catalog::Stream;
use futures::stream;
use indexer::{ClockKind, FragmentEntry, Window};
use media::live::{LiveFragment, LiveState};
use media::mkv;
use playback::PlaybackError;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::App;
use crate::auth::Principal;

/// Index entries that are read at a time.
const PAGE: usize = 64;
/// Between two looks at whether there is more, where nothing rings.
const LOOK: Duration = Duration::from_millis(250);
/// GetMedia's errors of a fragment.
const GONE: (u16, &str) = (4000, "FRAGMENT_NOT_FOUND");
const UNREADABLE: (u16, &str) = (5000, "INTERNAL_ERROR");

/// One reader's way through a stream. Holds one fragment in memory at a time.
pub(super) struct Delivery {
    app: Arc<App>,
    principal: Principal,
    stream: Arc<Stream>,
    /// The last fragment that was delivered.
    after: Option<FragmentNumber>,
    page: VecDeque<FragmentEntry>,
    /// The fragment that comes in, and how many of its blocks were delivered.
    live: Option<(Arc<LiveFragment>, usize)>,
    bell: watch::Receiver<()>,
    /// When something was last delivered, by the monotonic clock.
    delivered: Duration,
    ready: VecDeque<Bytes>,
}

impl Delivery {
    pub(super) fn new(
        app: Arc<App>,
        principal: Principal,
        stream: Arc<Stream>,
        after: Option<FragmentNumber>,
        bell: watch::Receiver<()>,
    ) -> Self {
        let delivered = app.clock.monotonic();
        let (page, ready) = (VecDeque::new(), VecDeque::new());
        Self { app, principal, stream, after, page, live: None, bell, delivered, ready }
    }

    /// The answer's body.
    pub(super) fn pieces(self) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, async |mut delivery| {
            let piece = delivery.next().await?;
            Some((Ok(piece), delivery))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            self.bell.mark_unchanged();
            let more = if self.live.is_some() { self.frames() } else { self.fragment().await };
            if more {
                self.delivered = self.app.clock.monotonic();
                continue;
            }
            if self.is_over() {
                return None;
            }
            // Whichever comes first: a frame, or the next look.
            let _ = timeout(LOOK, self.bell.changed()).await;
        }
    }

    /// The next frames of the fragment that comes in; tells whether there were any.
    fn frames(&mut self) -> bool {
        let Some((live, sent)) = &mut self.live else { return false };
        let (blocks, state) = live.read(*sent);
        *sent += blocks.len();
        let some = !blocks.is_empty();
        self.ready.extend(blocks);
        let behind = behind_ms(&self.app, live);
        let tail = match state {
            LiveState::Open => return some,
            LiveState::Complete(late) => mkv::closing(live.number, behind, &late),
            LiveState::Abandoned => mkv::failure(live.number, GONE.0, GONE.1, true),
        };
        self.ready.push_back(tail);
        self.live = None;
        true
    }

    /// The next fragment, or the beginning of one; tells whether there was any.
    async fn fragment(&mut self) -> bool {
        if self.page.is_empty() {
            // The window first: what leaves it while the index is read is in the index.
            let live = self.app.ingest.live(self.stream.id).after(self.after);
            let every = Window { clock: ClockKind::Server, start: None, end: None };
            let page = self.app.indexer.range(self.stream.id, every, self.after, PAGE).await;
            let page =
                page.inspect_err(|error| tracing::error!(stream = %self.stream.name, %error, "GetMedia"));
            self.page = page.unwrap_or_default().into();
            let stored = self.page.front().map(|entry| entry.meta.number);
            if let Some(live) = live.filter(|live| stored.is_none_or(|stored| live.number <= stored)) {
                self.page.clear();
                self.after = Some(live.number);
                self.ready.push_back(live.head.clone());
                self.live = Some((live, 0));
                return true;
            }
        }
        let Some(entry) = self.page.pop_front() else { return false };
        let number = entry.meta.number;
        self.after = Some(number);
        match self.app.playback.matroska_file(entry).await {
            Ok(pieces) => self.ready.extend(pieces),
            Err(error) => {
                let (id, code) =
                    if matches!(error, PlaybackError::NoFragment(_)) { GONE } else { UNREADABLE };
                tracing::warn!(stream = %self.stream.name, %error, "GetMedia leaves a fragment out");
                self.ready.push_back(mkv::failure(number, id, code, false));
            }
        }
        true
    }

    /// Whether the reader is to be let go: nothing comes, the server stops, or it may not read any more.
    fn is_over(&self) -> bool {
        let app = &self.app;
        let silent = app.clock.monotonic().saturating_sub(self.delivered);
        let stopped = !app.ready.load(Ordering::Acquire);
        let deleted = app.catalog.stream_by_id(self.stream.id).is_none();
        let waits = self.live.is_none() && silent >= app.limits.get_media_idle;
        stopped || deleted || waits || !app.catalog.stands(self.principal.known())
    }
}

fn behind_ms(app: &App, live: &LiveFragment) -> u64 {
    u64::try_from(app.clock.now().since(live.server_timestamp).as_millis()).unwrap_or(u64::MAX)
}
