//! What the events of a search say: for each of its leaves, the times at which it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::StreamId;
use rusqlite::Connection;

use super::{LONGEST, Spans};
use crate::find::{Key, Visible};
use crate::search::{Blinder, Expression};
use crate::timeline::REACH_MS;
use crate::view::{self, WordsWithin};
use crate::{ClockKind, FragmentEntry, IndexError, Window};

/// The leaves of an expression that any event answers.
pub(crate) struct Overlaps(Vec<(Expression, Arc<Spans>)>);

impl Overlaps {
    /// Looks up the events that can tag a fragment of the window after a place.
    pub(crate) fn find(
        expression: Option<&Expression>,
        (window, after): (&Window, Option<Key>),
        streams: &BTreeMap<StreamId, Visible>,
        (connection, blinder): (&Connection, &Blinder),
    ) -> Result<Self, IndexError> {
        let within = within(window, after);
        let mut leaves = Vec::new();
        if let Some(expression) = expression {
            expression.each_of_tags(&mut |leaf, name, phrase| leaves.push((leaf, name, phrase)));
        }
        let mut all: Vec<(Expression, Arc<Spans>)> = Vec::new();
        for (leaf, name, phrase) in leaves {
            if all.iter().any(|(known, _)| known == leaf) {
                continue;
            }
            let mut spans = Spans::default();
            let words: Vec<_> = phrase.iter().map(|word| blinder.term(name, word)).collect();
            view::each_event_with(connection, &words, &within, &mut |stream, span| {
                if streams.contains_key(&stream) { spans.add(stream, span) } else { Ok(()) }
            })?;
            all.push((leaf.clone(), Arc::new(spans)));
        }
        all.retain(|(_, spans)| spans.streams().next().is_some());
        Ok(Self(all))
    }

    /// The times at which events make a leaf hold.
    pub(crate) fn of(&self, leaf: &Expression) -> Option<Arc<Spans>> {
        self.0.iter().find(|(known, _)| known == leaf).map(|(_, spans)| Arc::clone(spans))
    }

    /// Whether events make a leaf hold for a fragment.
    pub(crate) fn hold(&self, leaf: &Expression, entry: &FragmentEntry) -> bool {
        let (producer, duration) = (entry.meta.producer_timestamp.millis(), entry.meta.duration_ms);
        let spans = self.0.iter().find(|(known, _)| known == leaf);
        spans.is_some_and(|(_, spans)| spans.touch(entry.stream, producer, duration))
    }
}

/// When an event begins and ends that reaches a fragment of the window. By the server's clock it may be any.
fn within(window: &Window, after: Option<Key>) -> WordsWithin {
    if window.clock == ClockKind::Server {
        return WordsWithin { begins: (i64::MIN, i64::MAX), ends_from: i64::MIN };
    }
    let (start, end) = window.bounds();
    let start = after.map_or(start, |after| start.max(after.time));
    let longest = i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX);
    WordsWithin { begins: (start.saturating_sub(longest), end.saturating_add(REACH_MS)), ends_from: start }
}
