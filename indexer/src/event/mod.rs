//! Events: tags that somebody who watches a stream gives to a span of its time, after the fact.
//!
//! An event is a frame of its own in the lane of its stream's fragments, sealed with the stream's key. It tags
//! every fragment that it overlaps by the producer's clock, also those that arrive later: which these are is
//! found out when somebody asks, not noted anywhere. Its removal is a frame, too, in whatever order both are
//! read again.
//!
//! It is kept for the stream's retention from when it was posted, or ended where it was posted ahead, and for
//! as long as any fragment is kept that it overlaps.

mod book;
mod overlaps;
mod spans;

use std::time::Duration;

use base::{FragmentNumber, StreamId, Tags, Timestamp};
use bytes::Bytes;
use fragment_log::{Entry, FrameKind, Location};
use serde::{Deserialize, Serialize};

use crate::IndexError;

pub use book::EventQuery;
pub(crate) use book::Numbers;
pub(crate) use overlaps::Overlaps;
pub(crate) use spans::{Spans, touches};

/// The shard under which events are numbered, apart from the fragments of their stream.
const SHARD: u32 = 1;
/// Tags of one event: as many as AWS allows for a fragment (PutMedia).
const MAX_TAGS: usize = 10;
/// Bytes of a tag's name, as AWS has them.
const NAME_BYTES: usize = 128;
/// Bytes of a tag's value, as AWS has them.
const VALUE_BYTES: usize = 256;
/// How AWS's own tags begin.
const RESERVED: &str = "AWS";
/// No event is longer, so that looking for those that reach into a span has an end.
pub(crate) const LONGEST: Duration = Duration::from_hours(24);
/// How far ahead of the server's clock an event may begin.
const AHEAD: Duration = Duration::from_hours(1);

/// An event to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its first moment, by the producer's clock.
    pub start: Timestamp,
    /// Its last moment; the same as [`Self::start`] for one without a length.
    pub end: Timestamp,
    /// What the fragments that it overlaps are found by.
    pub tags: Tags,
}

impl NewEvent {
    /// Whether everything is within its limits.
    ///
    /// # Errors
    /// [`IndexError::Invalid`], naming what is not.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), IndexError> {
        let Self { start, end, tags } = self;
        let text = |least: usize, most: usize, text: &str| (least..=most).contains(&text.len());
        let wrong = [
            (end < start, "end: is before start"),
            (end.since(*start) > LONGEST, "end: an event is at most a day long; post several"),
            (*start > now + AHEAD, "start: lies more than an hour ahead"),
            (!(1..=MAX_TAGS).contains(&tags.len()), "tags: an event has 1 to 10 of them"),
            (
                tags.keys().any(|name| !text(1, NAME_BYTES, name) || name.starts_with(RESERVED)),
                "tags: a name has 1 to 128 bytes and does not begin with AWS",
            ),
            (tags.values().any(|value| !text(0, VALUE_BYTES, value)), "tags: a value has at most 256 bytes"),
        ];
        let first = wrong.into_iter().find(|(is_wrong, _)| *is_wrong);
        first.map_or(Ok(()), |(_, why)| Err(IndexError::Invalid(why)))
    }
}

/// An event as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number among the events of its stream: server time in milliseconds, made to grow.
    pub id: FragmentNumber,
    /// Its first moment, by the producer's clock.
    pub start: Timestamp,
    /// Its last moment.
    pub end: Timestamp,
    /// What the fragments that it overlaps are found by.
    pub tags: Tags,
    /// Who posted it: an access key's id or a device's username.
    pub posted_by: String,
    /// When it was posted.
    pub posted: Timestamp,
}

/// What a frame of kind [`FrameKind::Event`] says, as JSON. The frame's number is the event's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Note {
    /// There is an event.
    Posted { start: Timestamp, end: Timestamp, tags: Tags, by: String, at: Timestamp },
    /// There is none any more. The span is the event's, so that this is kept as long.
    Removed { start: Timestamp, end: Timestamp, by: String, at: Timestamp },
}

impl Note {
    fn posted(new: NewEvent, by: &str, at: Timestamp) -> Self {
        let NewEvent { start, end, tags } = new;
        Self::Posted { start, end, tags, by: by.to_owned(), at }
    }

    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The span of the event, in milliseconds since the epoch, inclusive.
    pub(crate) fn span(&self) -> (i64, i64) {
        let (Self::Posted { start, end, .. } | Self::Removed { start, end, .. }) = self;
        (start.millis(), end.millis())
    }

    fn at(&self) -> Timestamp {
        let (Self::Posted { at, .. } | Self::Removed { at, .. }) = self;
        *at
    }

    /// The event that it tells of, if it does.
    fn event(self, id: FragmentNumber) -> Option<Event> {
        match self {
            Self::Posted { start, end, tags, by, at } => {
                Some(Event { id, start, end, tags, posted_by: by, posted: at })
            }
            Self::Removed { .. } => None,
        }
    }

    /// As the log takes it. Its producer time is the event's last moment.
    pub(crate) fn entry(&self, stream: StreamId, id: FragmentNumber) -> Entry {
        let json = serde_json::to_vec(self).expect("a note has text keys and no fallible parts");
        Entry {
            kind: FrameKind::Event,
            stream,
            shard: SHARD,
            first_sequence: id.to_u64(),
            count: 1,
            server_time: self.at(),
            producer_time: Timestamp::from_millis(self.span().1),
            flags: 0,
            payload: vec![Bytes::from(json)],
        }
    }
}

/// Where an event stands in a list, and where its frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub stream: StreamId,
    pub id: FragmentNumber,
    /// Its first and last moment, in milliseconds since the epoch.
    pub span: (i64, i64),
    pub at: Location,
}

/// The last millisecond of a fragment. One without a length is there for a millisecond.
pub(crate) fn last_ms(producer_ms: i64, duration_ms: u32) -> i64 {
    producer_ms.saturating_add(i64::from(duration_ms.max(1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_785_000_000_000;
    const DAY: i64 = 86_400_000;

    fn event(start: i64, length: i64, tags: &[(&str, usize)]) -> NewEvent {
        let at = Timestamp::from_millis;
        let tags = tags.iter().map(|(name, bytes)| ((*name).to_owned(), "x".repeat(*bytes))).collect();
        NewEvent { start: at(NOW + start), end: at(NOW + start + length), tags }
    }

    fn refusal(new: &NewEvent) -> String {
        new.check(Timestamp::from_millis(NOW)).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn limits_are_inclusive() {
        let long = "n".repeat(NAME_BYTES);
        let names: Vec<_> = (0..MAX_TAGS).map(|name| name.to_string()).collect();
        let ten: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        for good in [
            event(0, 0, &[("a", 1)]),
            event(3_600_000, DAY, &[(&long, VALUE_BYTES)]),
            event(-4000 * DAY, 1, &[("a", 0)]),
            event(0, 0, &ten),
        ] {
            assert_eq!(refusal(&good), "", "{good:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "n".repeat(NAME_BYTES + 1);
        let names: Vec<_> = (0..=MAX_TAGS).map(|name| name.to_string()).collect();
        let eleven: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        for (bad, why) in [
            (event(0, -1, &[("a", 1)]), "end: is before"),
            (event(0, DAY + 1, &[("a", 1)]), "end: an event is at most a day"),
            (event(3_600_001, 0, &[("a", 1)]), "start: lies more than an hour"),
            (event(0, 0, &[]), "tags: an event has 1 to 10"),
            (event(0, 0, &eleven), "tags: an event has 1 to 10"),
            (event(0, 0, &[("", 1)]), "tags: a name"),
            (event(0, 0, &[(&long, 1)]), "tags: a name"),
            (event(0, 0, &[("AWS_KINESISVIDEO", 1)]), "tags: a name"),
            (event(0, 0, &[("a", VALUE_BYTES + 1)]), "tags: a value"),
        ] {
            assert!(refusal(&bad).starts_with(why), "{bad:?}: {}", refusal(&bad));
        }
    }

    proptest! {
        #[test]
        fn notes_round_trip(
            (start, length, at) in (0..NOW, 0..DAY, 0..NOW), removed: bool, by in "[a-z]{1,9}",
            tags in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
        ) {
            let time = Timestamp::from_millis;
            let (start, end, at) = (time(start), time(start + length), time(at));
            let note = if removed { Note::Removed { start, end, by, at } } else {
                Note::posted(NewEvent { start, end, tags }, &by, at)
            };
            let entry = note.entry(StreamId(1), FragmentNumber::at(at));
            prop_assert_eq!(Note::decode(&entry.payload[0]), Some(note));
            prop_assert_eq!(entry.producer_time, end);
        }

        #[test]
        fn any_bytes_are_a_note_or_none(bytes: Vec<u8>) {
            let _ = Note::decode(&bytes);
        }
    }
}
