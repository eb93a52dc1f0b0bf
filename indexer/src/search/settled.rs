//! A query that is answered in full before it is used.
//!
//! tantivy 0.27 asks what a NOT leaves out with targets behind the excluded documents, which its phrases and
//! intersections do not allow (`Exclude` against `DocSet::seek_danger`). A set of bits allows it.

use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED};

/// The documents of a query, as a set of bits.
#[derive(Debug)]
pub(super) struct Settled(pub Box<dyn Query>);

impl Clone for Settled {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for Settled {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(SettledWeight(self.0.weight(scoring)?)))
    }
}

struct SettledWeight(Box<dyn Weight>);

impl Weight for SettledWeight {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut found = self.0.scorer(segment, boost)?;
        let mut bits = BitSet::with_max_value(segment.max_doc());
        let mut doc = found.doc();
        while doc != TERMINATED {
            bits.insert(doc);
            doc = found.advance();
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(bits), boost)))
    }

    fn explain(&self, segment: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(segment, doc)
    }
}
