//! Where GetMedia begins.

use base::{FragmentNumber, Timestamp};
use catalog::Stream;
use indexer::{ClockKind, FragmentEntry, Window};
use ingest::StreamState;
use serde::Deserialize;

use crate::app::App;
use crate::aws::check::Check;
use crate::aws::patterns::{CONTINUATION_TOKEN, DIGITS};
use crate::aws::values::{Choice, Closed, Epoch};
use crate::exception::Exception;

/// Fragments that are looked at for the one that holds a time: more than AWS takes in the longest one.
const CANDIDATES: usize = 1000;

/// `StartSelectorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    FragmentNumber,
    Server,
    Producer,
    Now,
    Earliest,
    Token,
}

impl Closed for Kind {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("FRAGMENT_NUMBER", Self::FragmentNumber),
        ("SERVER_TIMESTAMP", Self::Server),
        ("PRODUCER_TIMESTAMP", Self::Producer),
        ("NOW", Self::Now),
        ("EARLIEST", Self::Earliest),
        ("CONTINUATION_TOKEN", Self::Token),
    ];
}

/// `StartSelector`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct StartSelector {
    start_selector_type: Option<Choice<Kind>>,
    after_fragment_number: Option<String>,
    start_timestamp: Option<Epoch>,
    continuation_token: Option<String>,
}

impl StartSelector {
    pub(super) fn check(&self, check: &mut Check) {
        check.choice("StartSelectorType", self.start_selector_type.as_ref()).required();
        let number = check.text("AfterFragmentNumber", self.after_fragment_number.as_deref());
        number.length(1, 128).pattern(DIGITS);
        check.time("StartTimestamp", self.start_timestamp.as_ref());
        let token = check.text("ContinuationToken", self.continuation_token.as_deref());
        token.length(1, 128).pattern(CONTINUATION_TOKEN);
    }

    /// The number after which fragments are delivered; `None` for all there are.
    ///
    /// # Errors
    /// InvalidArgument for what the type needs and is not there, or is no fragment's.
    pub(super) async fn resolve(
        &self,
        app: &App,
        stream: &Stream,
    ) -> Result<Option<FragmentNumber>, Exception> {
        let kind = self.start_selector_type.as_ref().and_then(Choice::known);
        match kind.unwrap_or(Kind::Now) {
            Kind::Now => now(app, stream).await,
            Kind::Earliest => Ok(None),
            Kind::FragmentNumber => {
                number("AfterFragmentNumber", "FRAGMENT_NUMBER", self.after_fragment_number.as_deref())
                    .map(Some)
            }
            Kind::Token => {
                number("ContinuationToken", "CONTINUATION_TOKEN", self.continuation_token.as_deref())
                    .map(Some)
            }
            Kind::Server => holding(app, stream, ClockKind::Server, self.timestamp()?).await,
            Kind::Producer => holding(app, stream, ClockKind::Producer, self.timestamp()?).await,
        }
    }

    fn timestamp(&self) -> Result<Timestamp, Exception> {
        let text = "StartTimestamp must be specified with a StartSelectorType of SERVER_TIMESTAMP or \
                    PRODUCER_TIMESTAMP.";
        self.start_timestamp.map(|at| at.0).ok_or_else(|| Exception::invalid(text))
    }
}

/// A continuation token is the number of the fragment that it came with.
fn number(member: &str, kind: &str, text: Option<&str>) -> Result<FragmentNumber, Exception> {
    let absent =
        || Exception::invalid(format!("{member} must be specified with a StartSelectorType of {kind}."));
    let text = text.ok_or_else(absent)?;
    FragmentNumber::parse(text).map_err(|_| Exception::invalid(format!("{member} is not of this stream.")))
}

/// Before the newest fragment, while there is a producer; after it where nothing comes.
async fn now(app: &App, stream: &Stream) -> Result<Option<FragmentNumber>, Exception> {
    if let Some(open) = app.ingest.live(stream.id).newest() {
        return Ok(before(open.number));
    }
    let newest = app.indexer.latest(stream.id, 1).await?.pop().map(|entry| entry.meta.number);
    let live = app.ingest.health(stream.id).is_some_and(|health| health.state != StreamState::Offline);
    Ok(if live { newest.and_then(before) } else { newest })
}

/// Before the fragment that holds a time; where none does, before the first one that begins after it.
async fn holding(
    app: &App,
    stream: &Stream,
    clock: ClockKind,
    at: Timestamp,
) -> Result<Option<FragmentNumber>, Exception> {
    let time = |entry: &FragmentEntry| match clock {
        ClockKind::Producer => entry.meta.producer_timestamp,
        ClockKind::Server => entry.meta.server_timestamp,
    };
    let holds = |entry: &FragmentEntry| {
        time(entry).millis() + i64::from(entry.meta.duration_ms) > at.millis() || time(entry) == at
    };
    let window = Window { clock, start: Some(at - app.limits.fragment_max), end: Some(at) };
    let near = app.indexer.range(stream.id, window, None, CANDIDATES).await?;
    let held = near.into_iter().filter(holds).max_by_key(|entry| (time(entry), entry.meta.number));
    let found = match held {
        Some(entry) => Some(entry),
        None => {
            let later = Window { clock, start: Some(at), end: None };
            app.indexer.range(stream.id, later, None, 1).await?.pop()
        }
    };
    match found {
        Some(entry) => Ok(before(entry.meta.number)),
        None => Ok(app.indexer.latest(stream.id, 1).await?.pop().map(|entry| entry.meta.number)),
    }
}

fn before(number: FragmentNumber) -> Option<FragmentNumber> {
    number.to_u64().checked_sub(1).map(FragmentNumber::from_u64)
}
