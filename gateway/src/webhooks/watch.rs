//! What changed between two looks at the states of all streams.

use std::collections::BTreeMap;

use base::{StreamId, StreamName, Timestamp};
use ingest::pull::{PullHealth, PullState};
use ingest::{Ended, StreamHealth, StreamState};

use crate::app::App;

/// What is looked at of one stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) stream: StreamName,
    pub(super) arn: String,
    pub(super) state: StreamState,
    /// The disk is full: fragments are dropped.
    pub(super) disk_full: bool,
    /// Its source cannot be pulled from.
    pub(super) failing: bool,
    /// Whether somebody has to put something right at the source.
    pub(super) action_needed: bool,
    pub(super) reason: Option<String>,
    /// When the last session ended: another one than before tells of a session that came and went.
    pub(super) ended: Option<Timestamp>,
}

/// A stream's state is another one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StateChange {
    pub(super) stream: StreamName,
    pub(super) arn: String,
    pub(super) state: StreamState,
    pub(super) before: StreamState,
    pub(super) disk_full: bool,
    pub(super) action_needed: bool,
    pub(super) reason: Option<String>,
}

/// The states of the last look; nothing before the first.
#[derive(Default)]
pub(super) struct Watched(Option<BTreeMap<StreamId, Seen>>);

impl Watched {
    /// What changed since the last look. Streams that are new were offline; those that are gone tell nothing.
    pub(super) fn look(&mut self, now: &BTreeMap<StreamId, Seen>) -> Vec<StateChange> {
        let before = self.0.replace(now.clone());
        let Some(before) = before else { return Vec::new() };
        now.iter().flat_map(|(id, seen)| seen.changes(before.get(id))).collect()
    }
}

impl Seen {
    fn changes(&self, before: Option<&Self>) -> Vec<StateChange> {
        let offline = Self { state: StreamState::Offline, ended: None, ..self.clone() };
        let new = Self { failing: false, disk_full: false, ..offline.clone() };
        let before = before.unwrap_or(&new);
        let alike = |seen: &Self| (seen.state, seen.failing, seen.disk_full);
        let session_ended = self.ended.is_some() && self.ended != before.ended;
        if session_ended && before.state != StreamState::Offline && self.state != StreamState::Offline {
            return vec![offline.change(before.state), self.change(StreamState::Offline)];
        }
        // A camera that could not be reached, and is: the state tells.
        let recovered = before.failing && !self.failing && self.state == before.state && !self.disk_full;
        if alike(self) == alike(before) || recovered && before.disk_full == self.disk_full {
            return Vec::new();
        }
        vec![self.change(before.state)]
    }

    fn change(&self, before: StreamState) -> StateChange {
        let Self { stream, arn, state, disk_full, action_needed, reason, .. } = self.clone();
        let reason = if state == StreamState::Live && !disk_full { None } else { reason };
        StateChange { stream, arn, state, before, disk_full, action_needed, reason }
    }
}

/// The states of all streams now.
pub(super) fn states(app: &App) -> BTreeMap<StreamId, Seen> {
    let sources = app.pullers.all();
    let streams = app.catalog.streams();
    let seen = streams.values().map(|stream| {
        let health = app.ingest.health(stream.id);
        let source = sources.get(&stream.id);
        let (failing, action_needed) = source.map_or((false, false), |source| {
            (source.failures > 0 && source.state != PullState::Online, source.action_needed)
        });
        let seen = Seen {
            stream: stream.name.clone(),
            arn: stream.arn.to_string(),
            state: health.as_ref().map_or(StreamState::Offline, |health| health.state),
            disk_full: health.as_ref().is_some_and(|health| health.disk_full),
            failing,
            action_needed,
            reason: reason(health.as_ref(), source),
            ended: health.as_ref().and_then(|health| health.last_end).map(|(at, _)| at),
        };
        (stream.id, seen)
    });
    seen.collect()
}

/// Why a stream is as it is, in words.
fn reason(health: Option<&StreamHealth>, source: Option<&PullHealth>) -> Option<String> {
    let state = health.map_or(StreamState::Offline, |health| health.state);
    if health.is_some_and(|health| health.disk_full) && state != StreamState::Offline {
        return Some("the disk is full: fragments are dropped".to_owned());
    }
    if state == StreamState::Stale {
        return Some(format!("no frame for {} s", ingest::STALE_AFTER.as_secs()));
    }
    let told = source.and_then(|source| source.reason.clone());
    told.or_else(|| Some(words(health?.last_end?.1).to_owned()))
}

/// How a publisher's session ended.
fn words(ended: Ended) -> &'static str {
    match ended {
        Ended::Teardown => "the publisher ended its session",
        Ended::Disconnected => "the connection was closed or broke",
        Ended::TimedOut => "the publisher sent nothing for too long",
        Ended::ProtocolError => "the publisher sent what the protocol or the limits forbid",
        Ended::Refused => "the stream was deleted or could not be written",
        Ended::Shutdown => "the server shut down",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: StreamState, ended: Option<i64>) -> Seen {
        Seen {
            stream: StreamName::new("door").unwrap(),
            arn: "arn".into(),
            state,
            disk_full: false,
            failing: false,
            action_needed: false,
            reason: Some("why".into()),
            ended: ended.map(Timestamp::from_millis),
        }
    }

    /// State before and after, whether the disk is full, and the reason, of every change.
    fn told(watched: &mut Watched, seen: Seen) -> Vec<(StreamState, StreamState, bool, Option<String>)> {
        let changes = watched.look(&BTreeMap::from([(StreamId(1), seen)]));
        let tell = |change: StateChange| (change.before, change.state, change.disk_full, change.reason);
        changes.into_iter().map(tell).collect()
    }

    #[test]
    fn changes_are_told_once_and_with_their_reason() {
        use StreamState::{Live, Offline, Stale};
        let mut watched = Watched::default();
        let why = || Some("why".to_owned());
        assert_eq!(told(&mut watched, seen(Offline, None)), [], "the first look tells nothing");
        assert_eq!(told(&mut watched, seen(Live, None)), [(Offline, Live, false, None)]);
        assert_eq!(told(&mut watched, seen(Live, None)), []);
        assert_eq!(told(&mut watched, seen(Stale, None)), [(Live, Stale, false, why())]);
        assert_eq!(told(&mut watched, seen(Offline, Some(5))), [(Stale, Offline, false, why())]);
        let failing = Seen { failing: true, ..seen(Offline, Some(5)) };
        assert_eq!(told(&mut watched, failing.clone()), [(Offline, Offline, false, why())]);
        assert_eq!(told(&mut watched, failing), [], "it goes on failing");
        assert_eq!(told(&mut watched, seen(Offline, Some(5))), [], "nobody pulls any more");
        assert_eq!(told(&mut watched, seen(Live, Some(5))), [(Offline, Live, false, None)]);
        let full = Seen { disk_full: true, ..seen(Live, Some(5)) };
        assert_eq!(told(&mut watched, full), [(Live, Live, true, why())]);
        assert_eq!(told(&mut watched, seen(Live, Some(5))), [(Live, Live, false, None)]);
        assert_eq!(watched.look(&BTreeMap::new()), [], "it is deleted");
        assert_eq!(told(&mut watched, seen(Live, None)), [(Offline, Live, false, None)], "a new one");
    }

    #[test]
    fn a_session_that_came_and_went_between_two_looks_is_told() {
        use StreamState::{Live, Offline};
        let mut watched = Watched::default();
        told(&mut watched, seen(Live, None));
        let expected = [(Live, Offline, false, Some("why".to_owned())), (Offline, Live, false, None)];
        assert_eq!(told(&mut watched, seen(Live, Some(5))), expected);
        assert_eq!(told(&mut watched, seen(Live, Some(9))), expected);
        assert_eq!(told(&mut watched, seen(Live, Some(9))), []);
    }
}
