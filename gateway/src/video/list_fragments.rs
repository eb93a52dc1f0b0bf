//! ListFragments: the fragments of a time range, by number.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_reader_ListFragments.html>

use axum::Json;
use base::{FragmentNumber, StreamId, Timestamp};
use catalog::{Action, Stream};
use indexer::FragmentEntry;
use playback::{ClockKind, Window};
use serde::{Deserialize, Serialize};

use super::selector::Selector;
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::patterns::MEDIA_TOKEN;
use crate::aws::values::Epoch;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};
use crate::seal::{Purpose, Sealer};

const DEFAULT_RESULTS: i64 = 100;

/// The operation.
pub struct ListFragments;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    max_results: Option<i64>,
    next_token: Option<String>,
    fragment_selector: Option<Selector>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    fragments: Vec<Fragment>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Fragment {
    fragment_number: FragmentNumber,
    fragment_size_in_bytes: u64,
    producer_timestamp: Epoch,
    server_timestamp: Epoch,
    fragment_length_in_milliseconds: u32,
}

impl From<&FragmentEntry> for Fragment {
    fn from(entry: &FragmentEntry) -> Self {
        Self {
            fragment_number: entry.meta.number,
            fragment_size_in_bytes: entry.meta.size_bytes,
            producer_timestamp: Epoch(entry.meta.producer_timestamp),
            server_timestamp: Epoch(entry.meta.server_timestamp),
            fragment_length_in_milliseconds: entry.meta.duration_ms,
        }
    }
}

/// What the sealed token holds: the whole question and where its answer goes on.
#[derive(Serialize, Deserialize)]
struct Token {
    stream: StreamId,
    by_producer: bool,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    after: FragmentNumber,
}

impl Token {
    fn new(stream: &Stream, window: &Window, after: FragmentNumber) -> Self {
        let Window { clock, start, end } = *window;
        Self { stream: stream.id, by_producer: clock == ClockKind::Producer, start, end, after }
    }

    fn window(&self) -> Window {
        let clock = if self.by_producer { ClockKind::Producer } else { ClockKind::Server };
        Window { clock, start: self.start, end: self.end }
    }
}

impl Operation for ListFragments {
    const NAME: &'static str = "ListFragments";
    const PATH: &'static str = "/listFragments";
    const ERRORS: &'static [Code] =
        &[Code::ResourceNotFound, Code::InvalidArgument, Code::ClientLimitExceeded, Code::NotAuthorized];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.number("MaxResults", input.max_results.as_ref()).range(1, Some(1000));
        check.text("NextToken", input.next_token.as_deref()).length(1, 4096).pattern(MEDIA_TOKEN);
        check.structure("FragmentSelector", input.fragment_selector.as_ref(), false, |selector, check| {
            check.choice("FragmentSelectorType", selector.fragment_selector_type.as_ref()).required();
            check.structure("TimestampRange", selector.timestamp_range.as_ref(), true, |range, check| {
                check.time("StartTimestamp", range.start_timestamp.as_ref()).required();
                check.time("EndTimestamp", range.end_timestamp.as_ref()).required();
            });
        });
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Play)?;
        let app = &context.app;
        let (window, after) = match (&input.next_token, &input.fragment_selector) {
            (Some(text), _) => open(&app.sealer, &stream, text)?,
            (None, Some(selector)) => (selector.window(), None),
            (None, None) => {
                return Err(Exception::invalid("FragmentSelector is required when NextToken is not given."));
            }
        };
        if window.start > window.end {
            return Err(Exception::invalid("EndTimestamp must not be before StartTimestamp."));
        }
        let limit = usize::try_from(input.max_results.unwrap_or(DEFAULT_RESULTS)).unwrap_or(1);
        let mut found = app.indexer.range(stream.id, window, after, limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_token = found.last().filter(|_| more).map(|last| {
            let token = Token::new(&stream, &window, last.meta.number);
            app.sealer.seal_page(Purpose::AwsPage(Self::NAME), &token)
        });
        Ok(Json(Output { fragments: found.iter().map(Fragment::from).collect(), next_token }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let at = Epoch(Timestamp::from_millis(1));
        let fragment = Fragment {
            fragment_number: FragmentNumber::MIN,
            fragment_size_in_bytes: 1,
            producer_timestamp: at,
            server_timestamp: at,
            fragment_length_in_milliseconds: 1,
        };
        serde_json::to_value(Output { fragments: vec![fragment], next_token: Some("t".into()) }).unwrap()
    }
}

fn open(sealer: &Sealer, stream: &Stream, text: &str) -> Result<(Window, Option<FragmentNumber>), Exception> {
    let token: Option<Token> = sealer.open_page(Purpose::AwsPage(ListFragments::NAME), text);
    token
        .filter(|token| token.stream == stream.id)
        .map(|token| (token.window(), Some(token.after)))
        .ok_or_else(|| Exception::invalid("NextToken is not one of this stream's list."))
}
