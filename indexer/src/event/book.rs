//! Posting, listing and removing events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base::{FragmentNumber, Page, PageError, StreamId, Timestamp};
use catalog::Stream;
use fragment_log::{LaneId, LogError, RetentionClass};
use tokio::sync::oneshot;

use super::{Event, EventRow, NewEvent, Note, SHARD};
use crate::intake::Request;
use crate::search::Expression;
use crate::view::{self, Listed};
use crate::{FragmentEntry, IndexError, Indexer, find};

/// Of one fragment's events so many are told.
const OF_A_FRAGMENT: usize = 20;
/// Events that one page of a list looks at, so that an expression that few of them answer has an end.
const LOOKED_AT: usize = 5_000;

/// Gives events their numbers.
#[derive(Default)]
pub(crate) struct Numbers(Mutex<Option<FragmentNumber>>);

impl Numbers {
    /// The number after every one that was given and after `last`, which the log has.
    fn next(&self, last: Option<FragmentNumber>, now: Timestamp) -> FragmentNumber {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = FragmentNumber::next(last.max(*given), now);
        *given = Some(number);
        number
    }
}

/// Which events of a stream are asked for.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Those that end no earlier, by the producer's clock.
    pub start: Option<Timestamp>,
    /// Those that begin no later.
    pub end: Option<Timestamp>,
    /// As [`crate::SearchQuery::q`], asked of each event's tags and the stream's labels.
    pub q: Option<String>,
    /// Most events of one page, at least 1. A page may have fewer, and yet a next one.
    pub limit: usize,
    /// [`Page::next`] of the page before.
    pub cursor: Option<String>,
}

impl Default for EventQuery {
    /// All events, by pages of 100.
    fn default() -> Self {
        Self { start: None, end: None, q: None, limit: 100, cursor: None }
    }
}

impl Indexer {
    /// Makes an event durable, and found: it tags every fragment that it overlaps.
    ///
    /// # Errors
    /// [`IndexError::Invalid`] naming what is not within its limits; [`IndexError::Log`].
    pub async fn post_event(&self, stream: &Stream, new: NewEvent, by: &str) -> Result<Event, IndexError> {
        let now = self.clock.now();
        new.check(now)?;
        let last = self.log.last_sequence(stream.id, SHARD).map(FragmentNumber::from_u64);
        let id = self.event_numbers.next(last, now);
        let event = Event {
            id,
            start: new.start,
            end: new.end,
            tags: new.tags.clone(),
            posted_by: by.to_owned(),
            posted: now,
        };
        self.append_note(stream, id, &Note::posted(new, by, now)).await?;
        Ok(event)
    }

    /// Removes an event for good: it tags nothing any more. `false` where there is none.
    ///
    /// # Errors
    /// [`IndexError::Log`] and those of the sorted view.
    pub async fn remove_event(
        &self,
        stream: &Stream,
        id: FragmentNumber,
        by: &str,
    ) -> Result<bool, IndexError> {
        let Some(kept) = self.kept(stream.id) else { return Ok(false) };
        let of = stream.id;
        let found = self.pool.run(move |connection, _| view::event(connection, of, id, &kept)).await?;
        let Some(EventRow { span: (start, end), .. }) = found else { return Ok(false) };
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let note = Note::Removed { start, end, by: by.to_owned(), at: self.clock.now() };
        self.append_note(stream, id, &note).await?;
        tracing::info!(target: "audit", stream = %stream.name, event = id.to_u64(), removed_by = by, "event removed");
        Ok(true)
    }

    async fn append_note(&self, stream: &Stream, id: FragmentNumber, note: &Note) -> Result<(), IndexError> {
        let lane = LaneId::Bulk(RetentionClass::class_for(stream.retention));
        self.log.append(lane, vec![note.entry(stream.id, id)]).await?;
        let (answer, sorted) = oneshot::channel();
        // It is durable, so that this is a success also while the view cannot be written.
        if self.intake.request(Request::Sort(answer)).is_ok() {
            let _ = sorted.await;
        }
        Ok(())
    }

    /// Events of a stream that are kept, by start, then id.
    ///
    /// # Errors
    /// [`IndexError::Query`] names what is wrong with `q`; [`IndexError::Cursor`]; [`IndexError::Invalid`]
    /// where `limit` is 0.
    pub async fn events(&self, stream: &Stream, query: EventQuery) -> Result<Page<Event>, IndexError> {
        if query.limit == 0 {
            return Err(IndexError::Invalid("limit must be at least 1"));
        }
        let expression = query.q.as_deref().map(Expression::parse).transpose()?;
        let after = query.cursor.as_deref().map(place).transpose()?;
        let start = query.start.map_or(i64::MIN, Timestamp::millis);
        let mut listed = Listed {
            span: (start, query.end.map_or(i64::MAX, Timestamp::millis)),
            after,
            limit: query.limit.saturating_add(1),
        };
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let rows = self.event_rows(stream.id, listed).await?;
            let (all, last) = (rows.len() < listed.limit, rows.last().copied());
            looked_at += rows.len();
            let answers = |event: &Event| {
                expression
                    .as_ref()
                    .is_none_or(|expression| find::tags_answer(expression, &event.tags, stream))
            };
            found.extend(self.read_events(&rows).await?.into_iter().flatten().filter(answers));
            listed.after = last.map(|row| (row.span.0, row.id)).or(listed.after);
            if all || found.len() > query.limit {
                return Ok(Page::cut(found, query.limit, |event| token((event.start.millis(), event.id))));
            }
            if looked_at >= LOOKED_AT {
                return Ok(Page { items: found, next: listed.after.map(token) });
            }
        }
    }

    async fn event_rows(&self, stream: StreamId, listed: Listed) -> Result<Vec<EventRow>, IndexError> {
        let Some(kept) = self.kept(stream) else { return Ok(Vec::new()) };
        self.pool.run(move |connection, _| view::events(connection, stream, &kept, &listed)).await
    }

    /// For each fragment the events that it overlaps, by start, then id: the first 20.
    ///
    /// # Errors
    /// Those of the sorted view and of the log.
    pub async fn events_of(&self, fragments: &[&FragmentEntry]) -> Result<Vec<Vec<Arc<Event>>>, IndexError> {
        let spans: Vec<_> = fragments
            .iter()
            .map(|one| (one.stream, one.meta.producer_timestamp.millis(), one.meta.duration_ms))
            .collect();
        let rows = self.pool.run(move |connection, _| {
            let over =
                |(stream, at, length)| view::events_over(connection, stream, (at, length), OF_A_FRAGMENT);
            spans.into_iter().map(over).collect::<Result<Vec<_>, _>>()
        });
        let rows = rows.await?;
        let key = |row: &EventRow| (row.stream, row.id);
        let mut each: Vec<EventRow> = rows.iter().flatten().copied().collect();
        each.sort_unstable_by_key(key);
        each.dedup_by_key(|row| key(row));
        let events = self.read_events(&each).await?.into_iter().map(|event| event.map(Arc::new));
        let told: HashMap<_, _> = each.iter().map(key).zip(events).collect();
        let of = |rows: Vec<EventRow>| rows.iter().filter_map(|row| told.get(&key(row))?.clone()).collect();
        Ok(rows.into_iter().map(of).collect())
    }

    /// What the frames of events say: nothing where one went meanwhile, or is damaged.
    async fn read_events(&self, rows: &[EventRow]) -> Result<Vec<Option<Event>>, IndexError> {
        let places: Vec<_> = rows.iter().map(|row| row.at).collect();
        let mut events = Vec::with_capacity(rows.len());
        for (row, read) in rows.iter().zip(self.log.read_run(&places).await) {
            events.push(match read {
                Ok(json) => Note::decode(&json).and_then(|note| note.event(row.id)),
                Err(LogError::Gone(_) | LogError::NoKey(_)) => None,
                Err(error @ LogError::Corrupt { .. }) => {
                    tracing::error!(event = row.id.to_u64(), %error, "an event is left out");
                    None
                }
                Err(error) => return Err(error.into()),
            });
        }
        Ok(events)
    }
}

/// A place in a list, as a page's token.
fn token((start, id): (i64, FragmentNumber)) -> String {
    format!("{start}.{}", id.to_u64())
}

fn place(token: &str) -> Result<(i64, FragmentNumber), PageError> {
    let read = || {
        let (start, id) = token.split_once('.')?;
        Some((start.parse().ok()?, FragmentNumber::from_u64(id.parse().ok()?)))
    };
    read().ok_or(PageError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_with_the_clock_and_without() {
        let numbers = Numbers::default();
        let at = |millis| Timestamp::from_millis(millis);
        let number = |given: FragmentNumber| given.to_u64();
        assert_eq!(number(numbers.next(None, at(5))), 5);
        assert_eq!(number(numbers.next(None, at(5))), 6);
        assert_eq!(number(numbers.next(Some(FragmentNumber::from_u64(9)), at(3))), 10);
        assert_eq!(number(numbers.next(None, at(20))), 20);
    }

    #[test]
    fn tokens_lead_back_or_are_refused() {
        let at = (-5, FragmentNumber::from_u64(u64::MAX));
        assert_eq!(place(&token(at)), Ok(at));
        for bad in ["", "1", "1.-2", "a.1", "1.2.3"] {
            assert_eq!(place(bad), Err(PageError), "{bad}");
        }
    }
}
