//! GetHLSStreamingSessionURL: a link that plays a stream without other credentials.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_reader_GetHLSStreamingSessionURL.html>

use std::time::Duration;

use axum::Json;
use base::{FragmentMeta, Timestamp};
use catalog::{Action, Stream};
use playback::Window;
use playback::hls::{Discontinuities, Mode};
use serde::{Deserialize, Serialize};

use super::selector::Selector;
use super::session::{self, Session};
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_EXPIRES_SECS: i64 = 300;
const LIVE_RESULTS: i64 = 5;
const ON_DEMAND_RESULTS: i64 = 1000;
const LONGEST_RANGE: Duration = Duration::from_hours(24);
/// LIVE needs a fragment that is no older.
const LIVE_WITHIN: Duration = Duration::from_secs(30);

/// The operation.
pub struct GetHlsStreamingSessionUrl;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    playback_mode: Option<Choice<PlaybackMode>>,
    #[serde(rename = "HLSFragmentSelector")]
    selector: Option<Selector>,
    container_format: Option<Choice<Container>>,
    discontinuity_mode: Option<Choice<DiscontinuityMode>>,
    display_fragment_timestamp: Option<Choice<Display>>,
    expires: Option<i64>,
    max_media_playlist_fragment_results: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaybackMode {
    Live,
    LiveReplay,
    OnDemand,
}

impl Closed for PlaybackMode {
    const VALUES: &'static [(&'static str, Self)] =
        &[("LIVE", Self::Live), ("LIVE_REPLAY", Self::LiveReplay), ("ON_DEMAND", Self::OnDemand)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    FragmentedMp4,
    MpegTs,
}

impl Closed for Container {
    const VALUES: &'static [(&'static str, Self)] =
        &[("FRAGMENTED_MP4", Self::FragmentedMp4), ("MPEG_TS", Self::MpegTs)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DiscontinuityMode(Discontinuities);

impl Closed for DiscontinuityMode {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("ALWAYS", Self(Discontinuities::Always)),
        ("NEVER", Self(Discontinuities::Never)),
        ("ON_DISCONTINUITY", Self(Discontinuities::OnDiscontinuity)),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    Always,
    Never,
}

impl Closed for Display {
    const VALUES: &'static [(&'static str, Self)] = &[("ALWAYS", Self::Always), ("NEVER", Self::Never)];
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {
    #[serde(rename = "HLSStreamingSessionURL")]
    url: String,
}

impl Operation for GetHlsStreamingSessionUrl {
    const NAME: &'static str = "GetHLSStreamingSessionURL";
    const PATH: &'static str = "/getHLSStreamingSessionURL";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::ClientLimitExceeded,
        Code::NotAuthorized,
        Code::UnsupportedStreamMediaType,
        Code::NoDataRetention,
        Code::MissingCodecPrivateData,
        Code::InvalidCodecPrivateData,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.choice("PlaybackMode", input.playback_mode.as_ref());
        check.structure("HLSFragmentSelector", input.selector.as_ref(), false, |selector, check| {
            check.choice("FragmentSelectorType", selector.fragment_selector_type.as_ref());
            check.structure("TimestampRange", selector.timestamp_range.as_ref(), false, |range, check| {
                check.time("StartTimestamp", range.start_timestamp.as_ref());
                check.time("EndTimestamp", range.end_timestamp.as_ref());
            });
        });
        check.choice("ContainerFormat", input.container_format.as_ref());
        check.choice("DiscontinuityMode", input.discontinuity_mode.as_ref());
        check.choice("DisplayFragmentTimestamp", input.display_fragment_timestamp.as_ref());
        check.number("Expires", input.expires.as_ref()).range(300, Some(43_200));
        check
            .number("MaxMediaPlaylistFragmentResults", input.max_media_playlist_fragment_results.as_ref())
            .range(1, Some(5000));
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Play)?;
        let now = context.app.clock.now();
        let mode = input.mode(now)?;
        match input.container_format.as_ref().and_then(Choice::known) {
            None | Some(Container::FragmentedMp4) => {}
            Some(Container::MpegTs) => {
                return Err(Exception::invalid(
                    "ContainerFormat MPEG_TS is not offered: use FRAGMENTED_MP4.",
                ));
            }
        }
        if stream.retention.is_zero() {
            let text = "The stream has no data retention: set DataRetentionInHours above 0 to play it.";
            return Err(Exception::new(Code::NoDataRetention, text));
        }
        playback::playable(&first_fragment(&context, &stream, mode, now).await?)?;
        let session = input.session(&context, &stream, mode, now);
        let base = context.app.urls.of(&context.arrival);
        Ok(Json(Output { url: session::url(&context.app.sealer, base, &session) }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { url: "http://127.0.0.1:4567/hls/v1".into() }).unwrap()
    }
}

impl Input {
    /// What is played, after AWS's rules of which selector goes with which mode.
    fn mode(&self, now: Timestamp) -> Result<Mode, Exception> {
        let selector = self.selector.as_ref();
        let default = Selector::default();
        let window = selector.unwrap_or(&default).window();
        let has_range = selector.is_some_and(|selector| selector.timestamp_range.is_some());
        let mode = self.playback_mode.as_ref().and_then(Choice::known).unwrap_or(PlaybackMode::Live);
        match mode {
            PlaybackMode::Live if has_range => {
                Err(Exception::invalid("TimestampRange must not be specified when PlaybackMode is LIVE."))
            }
            PlaybackMode::Live => Ok(Mode::Live(window)),
            PlaybackMode::LiveReplay => {
                check_range(&window, "LIVE_REPLAY", false, now)?;
                Ok(Mode::Replay { window, began: now })
            }
            PlaybackMode::OnDemand => {
                check_range(&window, "ON_DEMAND", true, now)?;
                Ok(Mode::OnDemand(window))
            }
        }
    }

    fn session(&self, context: &Context, stream: &Stream, mode: Mode, now: Timestamp) -> Session {
        let (window, results) = match mode {
            Mode::Live(window) | Mode::Replay { window, .. } => (window, LIVE_RESULTS),
            Mode::OnDemand(window) => (window, ON_DEMAND_RESULTS),
        };
        let discontinuities = match self.discontinuity_mode.as_ref().and_then(Choice::known) {
            Some(DiscontinuityMode(chosen)) => chosen,
            None => match window.clock {
                playback::ClockKind::Server => Discontinuities::Always,
                playback::ClockKind::Producer => Discontinuities::Never,
            },
        };
        let results = self.max_media_playlist_fragment_results.unwrap_or(results);
        let expires = self.expires.unwrap_or(DEFAULT_EXPIRES_SECS);
        Session {
            stream: stream.id,
            access_key_id: context.principal.name().to_owned(),
            expires: now + Duration::from_secs(u64::try_from(expires).unwrap_or(0)),
            view: playback::hls::View {
                mode,
                max_fragments: usize::try_from(results).unwrap_or(1),
                discontinuities,
                program_date_time: self.display_fragment_timestamp.as_ref().and_then(Choice::known)
                    == Some(Display::Always),
            },
        }
    }
}

fn check_range(window: &Window, mode: &str, end_required: bool, now: Timestamp) -> Result<(), Exception> {
    let Some(start) = window.start else {
        return Err(Exception::invalid(format!(
            "HLSFragmentSelector with StartTimestamp is required when PlaybackMode is {mode}."
        )));
    };
    let Some(end) = window.end else {
        if end_required {
            return Err(Exception::invalid(format!("EndTimestamp is required when PlaybackMode is {mode}.")));
        }
        return Ok(());
    };
    if end <= start {
        return Err(Exception::invalid("EndTimestamp must be later than StartTimestamp."));
    }
    if end > start + LONGEST_RANGE {
        return Err(Exception::invalid("EndTimestamp must be within 24 hours of StartTimestamp."));
    }
    if end > now && window.clock == playback::ClockKind::Server {
        return Err(Exception::invalid(
            "EndTimestamp must be in the past when FragmentSelectorType is SERVER_TIMESTAMP.",
        ));
    }
    Ok(())
}

/// The fragment that the session would begin with.
async fn first_fragment(
    context: &Context,
    stream: &Stream,
    mode: Mode,
    now: Timestamp,
) -> Result<FragmentMeta, Exception> {
    let none = |text: &str| Exception::new(Code::ResourceNotFound, text);
    match mode {
        Mode::Live(_) => context
            .app
            .indexer
            .newest(stream.id)
            .filter(|entry| entry.meta.server_timestamp + fragment_length(&entry.meta) + LIVE_WITHIN >= now)
            .map(|entry| entry.meta.clone())
            .ok_or_else(|| none("No fragments found in the stream for the last 30 seconds.")),
        Mode::Replay { window, .. } | Mode::OnDemand(window) => {
            let found = context.app.indexer.range(stream.id, window, None, 1).await?;
            let first = found.into_iter().next();
            first
                .map(|entry| entry.meta)
                .ok_or_else(|| none("No fragments found in the stream for the time range."))
        }
    }
}

fn fragment_length(meta: &FragmentMeta) -> Duration {
    Duration::from_millis(u64::from(meta.duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        let input: Input = serde_json::from_str(text).unwrap();
        let mut check = Check::default();
        GetHlsStreamingSessionUrl::check(&input, &mut check);
        assert_eq!(check.message(), None);
        input
    }

    fn mode(text: &str) -> Result<Mode, Exception> {
        input(text).mode(Timestamp::from_millis(10_000_000))
    }

    fn ranged(mode: &str, clock: &str, range: &str) -> String {
        format!(
            r#"{{"PlaybackMode": "{mode}", "HLSFragmentSelector":
                {{"FragmentSelectorType": "{clock}_TIMESTAMP", "TimestampRange": {range}}}}}"#
        )
    }

    #[test]
    fn modes_demand_the_selector_that_aws_demands() {
        assert!(matches!(mode("{}"), Ok(Mode::Live(_))));
        assert!(mode(&ranged("LIVE", "SERVER", r#"{"StartTimestamp": 1}"#)).is_err());
        assert!(mode(r#"{"PlaybackMode": "ON_DEMAND"}"#).is_err());
        assert!(mode(&ranged("ON_DEMAND", "SERVER", r#"{"StartTimestamp": 1}"#)).is_err());
        assert!(mode(&ranged("LIVE_REPLAY", "SERVER", r#"{"StartTimestamp": 1}"#)).is_ok());
        assert!(mode(&ranged("ON_DEMAND", "SERVER", r#"{"StartTimestamp": 1, "EndTimestamp": 2}"#)).is_ok());
    }

    #[test]
    fn ranges_are_ordered_short_and_past() {
        let range = |clock: &str, start: i64, end: i64| {
            let range = format!(r#"{{"StartTimestamp": {start}, "EndTimestamp": {end}}}"#);
            mode(&ranged("ON_DEMAND", clock, &range))
        };
        assert!(range("SERVER", 5, 5).is_err(), "empty");
        assert!(range("PRODUCER", 0, 86_400).is_ok(), "a day");
        assert!(range("PRODUCER", 0, 86_401).is_err(), "longer than a day");
        assert!(range("SERVER", 1, 10_001).is_err(), "arrival times to come");
        assert!(range("PRODUCER", 1, 10_001).is_ok(), "producer times to come");
    }
}
