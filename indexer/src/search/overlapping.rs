//! Documents of fragments that events overlap.
//!
//! Which these are is not in the index: an event may come long after a fragment, and be removed again. Two
//! columns of the documents of its stream are read instead.

use std::sync::Arc;

use tantivy::columnar::ColumnValues;
use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError, Term};

use super::schema::{DURATION, PRODUCER};
use crate::event::{Spans, touches};

/// The documents of fragments that are there at given times.
#[derive(Clone, Debug)]
pub(super) struct Overlapping {
    pub spans: Arc<Spans>,
    /// The field of the stream's id.
    pub stream: Field,
}

impl Query for Overlapping {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(OverlappingWeight(self.clone())))
    }
}

struct OverlappingWeight(Overlapping);

impl Weight for OverlappingWeight {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Overlapping { spans, stream } = &self.0;
        let columns = segment.fast_fields();
        let producer: Arc<dyn ColumnValues<i64>> = columns.column_first_or_default(PRODUCER)?;
        let duration: Arc<dyn ColumnValues<u64>> = columns.column_first_or_default(DURATION)?;
        let streams = segment.inverted_index(*stream)?;
        let mut bits = BitSet::with_max_value(segment.max_doc());
        for id in spans.streams() {
            let term = Term::from_field_u64(*stream, id.0);
            let (Some(spans), Some(mut of_stream)) =
                (spans.of(id), streams.read_postings(&term, IndexRecordOption::Basic)?)
            else {
                continue;
            };
            let mut doc = of_stream.doc();
            while doc != TERMINATED {
                let length = u32::try_from(duration.get_val(doc)).unwrap_or(u32::MAX);
                if touches(spans, producer.get_val(doc), length) {
                    bits.insert(doc);
                }
                doc = of_stream.advance();
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(bits), boost)))
    }

    fn explain(&self, segment: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        let mut scorer = self.scorer(segment, 1.0)?;
        if scorer.seek(doc) == doc {
            return Ok(Explanation::new("overlapped by an event", 1.0));
        }
        Err(TantivyError::InvalidArgument(format!("no event overlaps document {doc}")))
    }
}
