//! Search over many streams: what is visible, candidates in order, and their rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{FragmentNumber, Page, PageError, StreamId, Tags};
use catalog::Stream;
use rusqlite::Connection;

use crate::assemble::Fresh;
use crate::event::Overlaps;
use crate::kept::Kept;
use crate::merge::Merge;
use crate::overlay::Overlay;
use crate::search::{Expression, First, Readers, contains};
use crate::view::{self, Tracks};
use crate::{FragmentEntry, Hit, IndexError, Window};

/// Where a hit stands in the order of all hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The compared time, in milliseconds since the epoch.
    pub time: i64,
    pub stream: u64,
    pub number: u64,
}

impl Key {
    pub(crate) fn of(entry: &FragmentEntry, window: &Window) -> Self {
        Self { time: window.time_of(&entry.meta), stream: entry.stream.0, number: entry.meta.number.to_u64() }
    }

    /// As a page's token.
    fn to_cursor(self) -> String {
        format!("{}.{}.{}", self.time, self.stream, self.number)
    }

    fn from_cursor(text: &str) -> Result<Self, PageError> {
        let read = || {
            let mut parts = text.split('.');
            let key = Self {
                time: parts.next()?.parse().ok()?,
                stream: parts.next()?.parse().ok()?,
                number: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(key)
        };
        read().ok_or(PageError)
    }
}

/// A stream that may be seen, and what is kept of it.
pub(crate) struct Visible {
    pub stream: Arc<Stream>,
    pub kept: Kept,
}

/// One search, ready to run where it may block.
pub(crate) struct Find {
    pub streams: BTreeMap<StreamId, Visible>,
    pub window: Window,
    /// `None` finds everything.
    pub expression: Option<Expression>,
    pub limit: usize,
    pub after: Option<Key>,
    pub overlay: Arc<Overlay>,
    pub readers: Arc<Readers>,
}

impl Find {
    pub(crate) fn cursor(text: Option<&str>) -> Result<Option<Key>, IndexError> {
        Ok(text.map(Key::from_cursor).transpose()?)
    }

    pub(crate) fn run(mut self, connection: &Connection, tracks: &Tracks) -> Result<Page<Hit>, IndexError> {
        let overlaps = Overlaps::find(
            self.expression.as_ref(),
            (&self.window, self.after),
            &self.streams,
            (connection, self.readers.blinder()),
        )?;
        // The overlay first: what leaves it while the views are read is in them.
        let fresh = self.fresh(&overlaps);
        let wanted = self.limit.saturating_add(1);
        let mut hits = Vec::new();
        loop {
            let keys = self.candidates(&fresh, &overlaps, wanted, connection)?;
            let all = keys.len() < wanted;
            self.after = keys.last().copied().or(self.after);
            for key in keys {
                hits.extend(self.hit(&fresh, key, connection, tracks)?);
            }
            if all || hits.len() >= wanted {
                break;
            }
        }
        Ok(Page::cut(hits, self.limit, |hit: &Hit| Key::of(&hit.entry, &self.window).to_cursor()))
    }

    /// What the expression finds in the overlay.
    fn fresh(&self, overlaps: &Overlaps) -> BTreeMap<Key, Arc<Fresh>> {
        let found = self.overlay.all().into_iter().filter(|fresh| {
            let FragmentEntry { stream, meta, .. } = fresh.entry.as_ref();
            self.streams.get(stream).is_some_and(|visible| {
                visible.kept.holds(meta)
                    && self.window.holds(meta)
                    && self.expression.as_ref().is_none_or(|expression| {
                        expression.matches(&|leaf| {
                            leaf_matches(leaf, fresh, &visible.stream) || overlaps.hold(leaf, &fresh.entry)
                        })
                    })
            })
        });
        found.map(|fresh| (Key::of(&fresh.entry, &self.window), fresh)).collect()
    }

    /// The next keys in order, of overlay and views together.
    fn candidates(
        &self,
        fresh: &BTreeMap<Key, Arc<Fresh>>,
        overlaps: &Overlaps,
        wanted: usize,
        connection: &Connection,
    ) -> Result<Vec<Key>, IndexError> {
        let mut keys = match &self.expression {
            Some(expression) => self.searched(expression, overlaps, wanted)?,
            None => Merge::new(connection, &self.streams, self.window, self.after)?.take(wanted)?,
        };
        let first = self.after.map_or(0, |after| usize::from(fresh.contains_key(&after)));
        keys.extend(
            fresh.range(self.after.unwrap_or(Key::FIRST)..).map(|(key, _)| *key).skip(first).take(wanted),
        );
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(wanted);
        Ok(keys)
    }

    fn searched(
        &self,
        expression: &Expression,
        overlaps: &Overlaps,
        wanted: usize,
    ) -> Result<Vec<Key>, IndexError> {
        let visible: HashMap<_, _> =
            self.streams.iter().map(|(id, visible)| (id.0, visible.kept.lowest().to_u64())).collect();
        let first =
            First { window: self.window, after: self.after, limit: wanted, visible: Arc::new(visible) };
        let labelled = |leaf: &Expression| {
            let streams = self.streams.iter().filter(|(_, visible)| label_matches(leaf, &visible.stream));
            streams.map(|(id, _)| id.0).collect()
        };
        self.readers.find(expression, &first, &labelled, &|leaf| overlaps.of(leaf))
    }

    /// The fragment of a key, unless its row is gone, or it is not kept.
    fn hit(
        &self,
        fresh: &BTreeMap<Key, Arc<Fresh>>,
        key: Key,
        connection: &Connection,
        tracks: &Tracks,
    ) -> Result<Option<Hit>, IndexError> {
        let stream = StreamId(key.stream);
        let entry = match fresh.get(&key) {
            Some(fresh) => Some(fresh.entry.as_ref().clone()),
            None => view::fragment(connection, tracks, stream, FragmentNumber::from_u64(key.number))?,
        };
        let visible = self.streams.get(&stream);
        let kept = |(entry, visible): &(FragmentEntry, &Visible)| visible.kept.holds(&entry.meta);
        Ok(entry
            .zip(visible)
            .filter(kept)
            .map(|(entry, visible)| Hit { stream: Arc::clone(&visible.stream), entry }))
    }
}

impl Key {
    const FIRST: Self = Self { time: i64::MIN, stream: 0, number: 0 };
}

/// What a leaf of the expression says about a fragment in the overlay.
fn leaf_matches(leaf: &Expression, fresh: &Fresh, stream: &Stream) -> bool {
    match leaf {
        Expression::Tag { .. } | Expression::Value { .. } | Expression::Label { .. } => {
            tags_match(leaf, &fresh.tags, stream)
        }
        Expression::Codec(codec) => {
            let is = |name: &String| name.to_lowercase() == *codec;
            fresh.entry.meta.tracks.iter().any(|track| is(&track.codec) || is(&track.codec_string))
        }
        Expression::All | Expression::Group { .. } => false,
    }
}

/// Whether tags, and the labels of a stream, answer an expression.
pub(crate) fn tags_answer(expression: &Expression, tags: &Tags, stream: &Stream) -> bool {
    expression.matches(&|leaf| tags_match(leaf, tags, stream))
}

/// Whether tags, or the labels of a stream, are what a leaf asks for.
fn tags_match(leaf: &Expression, tags: &Tags, stream: &Stream) -> bool {
    match leaf {
        Expression::Tag { name, phrase } => tags.get(name).is_some_and(|value| contains(value, phrase)),
        Expression::Value { phrase } => {
            tags.values().any(|value| contains(value, phrase)) || label_matches(leaf, stream)
        }
        Expression::Label { .. } => label_matches(leaf, stream),
        Expression::All | Expression::Codec(_) | Expression::Group { .. } => false,
    }
}

/// Whether the labels of a stream are what a leaf asks for.
fn label_matches(leaf: &Expression, stream: &Stream) -> bool {
    match leaf {
        Expression::Label { name, phrase } => {
            stream.labels.get(name).is_some_and(|value| contains(value, phrase))
        }
        Expression::Value { phrase } => stream.labels.values().any(|value| contains(value, phrase)),
        Expression::All | Expression::Tag { .. } | Expression::Codec(_) | Expression::Group { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_lead_back_or_are_refused() {
        let key = Key { time: -5, stream: 3, number: u64::MAX };
        assert_eq!(Key::from_cursor(&key.to_cursor()), Ok(key));
        for bad in ["", "1.2", "1.2.3.4", "a.b.c", "1.-2.3", "1..3"] {
            assert_eq!(Key::from_cursor(bad), Err(PageError), "{bad}");
        }
    }
}
