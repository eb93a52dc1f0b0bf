//! Times of many streams, to be asked whether a fragment touches them.

use std::collections::HashMap;

use base::StreamId;

use super::last_ms;
use crate::IndexError;

/// So many separate spans are looked at in one search: some 16 MB.
const MOST: usize = 1_000_000;

/// Spans of time by stream, inclusive, in milliseconds since the epoch: in order, none touching the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    streams: HashMap<StreamId, Vec<(i64, i64)>>,
    count: usize,
}

impl Spans {
    /// Adds a span that begins no earlier than those before it.
    ///
    /// # Errors
    /// [`IndexError::Query`] where there are too many.
    pub(crate) fn add(&mut self, stream: StreamId, span: (i64, i64)) -> Result<(), IndexError> {
        let spans = self.streams.entry(stream).or_default();
        match spans.last_mut() {
            Some(last) if span.0 <= last.1.saturating_add(1) => last.1 = last.1.max(span.1),
            _ if self.count == MOST => {
                let why = "more than a million events match: give start and end, by the producer's clock";
                return Err(IndexError::Query(why.to_owned()));
            }
            _ => {
                spans.push(span);
                self.count += 1;
            }
        }
        Ok(())
    }

    /// Whether a fragment is there at any of the stream's times.
    pub(crate) fn touch(&self, stream: StreamId, producer_ms: i64, duration_ms: u32) -> bool {
        self.of(stream).is_some_and(|spans| touches(spans, producer_ms, duration_ms))
    }

    /// The spans of a stream.
    pub(crate) fn of(&self, stream: StreamId) -> Option<&[(i64, i64)]> {
        self.streams.get(&stream).map(Vec::as_slice)
    }

    /// The streams that have any.
    pub(crate) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }
}

/// Whether a fragment is there at any of these times.
pub(crate) fn touches(spans: &[(i64, i64)], producer_ms: i64, duration_ms: u32) -> bool {
    let first = spans.partition_point(|(_, end)| *end < producer_ms);
    spans.get(first).is_some_and(|(start, _)| *start <= last_ms(producer_ms, duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn touching_is_overlapping_one(
            mut spans in prop::collection::vec((0_i64..60, 0_i64..9), 0..8),
            fragments in prop::collection::vec((0_i64..70, 0_u32..9), 20),
        ) {
            spans.sort_unstable();
            let mut all = Spans::default();
            for (start, length) in &spans {
                all.add(StreamId(1), (*start, start + length)).unwrap();
            }
            for (at, duration) in fragments {
                let end = at + i64::from(duration.max(1)) - 1;
                let wanted = spans.iter().any(|(start, length)| *start <= end && start + length >= at);
                prop_assert_eq!(all.touch(StreamId(1), at, duration), wanted, "{} {}", at, duration);
                prop_assert!(!all.touch(StreamId(2), at, duration));
            }
        }
    }
}
