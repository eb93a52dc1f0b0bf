//! What fragments are found by, written once for many: a fragment's document only has the ids of its
//! descriptions. Cameras say the same over and over, and an id costs a tenth of what words do.
//!
//! A description is a document of its own, beside the fragments of each log segment that it is said of, so
//! that it goes with them.

use std::collections::{HashMap, HashSet};

use base::TrackMeta;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use super::schema::DESCRIPTION;
use super::words::Blinder;

/// One thing that fragments are found by.
#[derive(Clone, Copy)]
pub(super) enum Description<'d> {
    /// The codecs of all tracks together.
    Codecs(&'d [TrackMeta]),
    /// One tag.
    Tag { name: &'d str, value: &'d str },
}

impl Description<'_> {
    /// Writes what makes it another one: equal descriptions have equal keys.
    fn key(&self, out: &mut Vec<u8>) {
        let mut text = |text: &str| {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        };
        match self {
            Self::Codecs(tracks) => {
                tracks
                    .iter()
                    .flat_map(|track| [&track.codec, &track.codec_string])
                    .for_each(|codec| text(codec));
                out.push(0);
            }
            Self::Tag { name, value } => {
                text(name);
                text(value);
                out.push(1);
            }
        }
    }
}

/// The descriptions met lately.
#[derive(Default)]
pub(super) struct Known {
    /// Ids by key.
    ids: HashMap<Box<[u8]>, u64>,
    /// Ids, each with a log segment that has its document.
    written: HashSet<(u64, u64)>,
    /// The key of the description at hand.
    key: Vec<u8>,
}

/// Of ids, and of those written, so many are remembered; then all are forgotten. What was forgotten is
/// written again, which costs its space and changes no answer.
const MOST_REMEMBERED: usize = 16_384;
/// Longer keys are not remembered, in bytes.
const LONGEST_REMEMBERED: usize = 256;

impl Known {
    /// The id of a description.
    pub(super) fn id(&mut self, blinder: &Blinder, description: Description<'_>) -> u64 {
        self.key.clear();
        description.key(&mut self.key);
        if let Some(id) = self.ids.get(self.key.as_slice()) {
            return *id;
        }
        let id = blinder.id(&self.key);
        if self.key.len() <= LONGEST_REMEMBERED {
            if self.ids.len() >= MOST_REMEMBERED {
                self.ids.clear();
            }
            self.ids.insert(self.key.as_slice().into(), id);
        }
        id
    }

    /// Whether a log segment's fragments lack this description so far. From now on they do not.
    pub(super) fn is_new(&mut self, id: u64, segment: u64) -> bool {
        if self.written.len() >= MOST_REMEMBERED {
            self.written.clear();
        }
        self.written.insert((id, segment))
    }
}

/// Gathers the ids of descriptions.
pub(super) struct Ids;

pub(super) struct IdsOfSegment {
    column: Option<Column<u64>>,
    ids: HashSet<u64>,
}

impl Collector for Ids {
    type Fruit = HashSet<u64>;
    type Child = IdsOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<IdsOfSegment> {
        let column = segment.fast_fields().column_opt(DESCRIPTION)?;
        Ok(IdsOfSegment { column, ids: HashSet::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<HashSet<u64>>) -> tantivy::Result<HashSet<u64>> {
        Ok(fruits.into_iter().flatten().collect())
    }
}

impl SegmentCollector for IdsOfSegment {
    type Fruit = HashSet<u64>;

    fn collect(&mut self, doc: DocId, _: Score) {
        self.ids.extend(self.column.as_ref().and_then(|column| column.first(doc)));
    }

    fn harvest(self) -> HashSet<u64> {
        self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_ids_are_the_ids() {
        let blinder = Blinder::new(&[1; 32]);
        let mut known = Known::default();
        for round in 0..2 * MOST_REMEMBERED + 2 {
            let value = format!("Gate {}", round % (MOST_REMEMBERED + 1));
            let description = Description::Tag { name: "site", value: &value };
            assert_eq!(known.id(&blinder, description), Known::default().id(&blinder, description));
            assert!(known.ids.len() <= MOST_REMEMBERED);
        }
    }

    #[test]
    fn a_description_is_new_once_in_a_segment() {
        let mut known = Known::default();
        assert!(known.is_new(1, 1) && known.is_new(1, 2) && known.is_new(2, 1));
        assert!(!known.is_new(1, 1) && !known.is_new(1, 2));
        assert!((0..=MOST_REMEMBERED as u64).all(|id| known.is_new(id, 3)));
        assert!(known.written.len() <= MOST_REMEMBERED);
    }

    #[test]
    fn names_and_values_are_not_run_together() {
        let blinder = Blinder::new(&[1; 32]);
        let id = |name, value| Known::default().id(&blinder, Description::Tag { name, value });
        assert_ne!(id("ab", "c"), id("a", "bc"));
        assert_ne!(id("a", ""), id("", "a"));
        assert_ne!(id("a", ""), Known::default().id(&blinder, Description::Codecs(&[])));
    }
}
