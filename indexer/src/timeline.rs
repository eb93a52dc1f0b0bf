//! How much of a time span is covered.

use base::Timestamp;

use crate::view::Span;
use crate::{Bucket, IndexError};

/// Most buckets of one answer.
const MAX_BUCKETS: usize = 10_000;
/// Fragments of one run overlap by less: an anchor that is slewed makes 10 ms, a producer may make 50. More is a
/// clash of two runs.
const CLASH_MS: i64 = 50;
/// A fragment that begins this long before the span may still reach into it.
pub(crate) const REACH_MS: i64 = 60_000;

/// Equal parts of a time span that fill up with fragments.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: i64,
    end: i64,
    buckets: Vec<Bucket>,
    /// Up to where fragments were put in so far.
    reached: i64,
}

impl Timeline {
    pub(crate) fn new(start: Timestamp, end: Timestamp, buckets: usize) -> Result<Self, IndexError> {
        if end <= start {
            return Err(IndexError::Invalid("a timeline's end must come after its start"));
        }
        if buckets == 0 || buckets > MAX_BUCKETS {
            return Err(IndexError::Invalid("a timeline has 1 to 10,000 buckets"));
        }
        let (start, end) = (start.millis(), end.millis());
        let count = i64::try_from(buckets).unwrap_or(1).min(end - start);
        let edge = |at: i64| Timestamp::from_millis(edge(start, end, count, at));
        let bucket = |at| Bucket {
            start: edge(at),
            end: edge(at + 1),
            covered_ms: 0,
            clash_ms: 0,
            fragments: 0,
            bytes: 0,
        };
        Ok(Self { start, end, buckets: (0..count).map(bucket).collect(), reached: i64::MIN })
    }

    /// Producer times between which a fragment matters must begin, inclusive.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        (self.start - REACH_MS, self.end - 1)
    }

    /// Puts a fragment in; they come in the order of their producer times.
    pub(crate) fn add(&mut self, span: &Span) {
        let from = span.producer_ms;
        let to = from.saturating_add(i64::from(span.duration_ms)).min(self.end);
        if (self.start..self.end).contains(&from) {
            let at = self.place(from);
            let bucket = &mut self.buckets[at];
            bucket.fragments += 1;
            bucket.bytes += span.size_bytes;
        }
        let claimed = to.min(self.reached);
        if claimed.saturating_sub(from) > CLASH_MS {
            self.spread(from, claimed, |bucket, ms| bucket.clash_ms += ms);
        }
        self.spread(from.max(self.reached), to, |bucket, ms| bucket.covered_ms += ms);
        self.reached = self.reached.max(to);
    }

    /// Gives each bucket its milliseconds of what lies between two times.
    fn spread(&mut self, from: i64, to: i64, take: impl Fn(&mut Bucket, u64)) {
        let mut from = from.max(self.start);
        while from < to {
            let at = self.place(from);
            let bucket = &mut self.buckets[at];
            let until = bucket.end.millis().min(to);
            take(bucket, (until - from).unsigned_abs());
            from = until;
        }
    }

    /// The buckets. Where more than two runs clash, that counts once.
    pub(crate) fn finish(mut self) -> Vec<Bucket> {
        for bucket in &mut self.buckets {
            bucket.clash_ms = bucket.clash_ms.min(bucket.covered_ms);
        }
        self.buckets
    }

    /// The bucket that holds a time of the span.
    fn place(&self, at: i64) -> usize {
        let count = self.buckets.len() as i128;
        let guess = i128::from(at - self.start) * count / i128::from(self.end - self.start);
        let mut place = usize::try_from(guess).unwrap_or(0).min(self.buckets.len() - 1);
        // Edges are rounded, so that the guess may be one off.
        while self.buckets[place].end.millis() <= at {
            place += 1;
        }
        while self.buckets[place].start.millis() > at {
            place -= 1;
        }
        place
    }
}

/// Where the `at`-th of `count` buckets begins.
fn edge(start: i64, end: i64, count: i64, at: i64) -> i64 {
    let into = i128::from(end - start) * i128::from(at) / i128::from(count);
    start + i64::try_from(into).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::FragmentNumber;
    use proptest::prelude::*;

    fn span(producer_ms: i64, duration_ms: u32) -> Span {
        Span { number: FragmentNumber::MIN, producer_ms, duration_ms, size_bytes: 7 }
    }

    fn timeline(start: i64, end: i64, buckets: usize) -> Timeline {
        Timeline::new(Timestamp::from_millis(start), Timestamp::from_millis(end), buckets).unwrap()
    }

    #[test]
    fn fragments_are_shared_between_the_buckets_they_touch() {
        let mut filled = timeline(1000, 4000, 3);
        for one in [span(0, 1000), span(500, 1000), span(1900, 1200), span(3900, 2000), span(4000, 1000)] {
            filled.add(&one);
        }
        let buckets = filled.finish();
        let told: Vec<_> =
            buckets.iter().map(|b| (b.start.millis(), b.covered_ms, b.fragments, b.bytes)).collect();
        assert_eq!(told, [(1000, 600, 1, 7), (2000, 1000, 0, 0), (3000, 200, 1, 7)]);
    }

    #[test]
    fn what_two_runs_claim_is_covered_once_and_marked() {
        let mut filled = timeline(0, 6000, 3);
        // The clock went back by 3 s: two fragments of the second run lie over what the first one had.
        for one in [span(0, 2000), span(1000, 2000), span(1990, 2000), span(3000, 2000)] {
            filled.add(&one);
        }
        let told: Vec<_> = filled.finish().iter().map(|b| (b.covered_ms, b.clash_ms)).collect();
        assert_eq!(told, [(2000, 1010), (2000, 1990), (1000, 0)]);
        let mut one_run = timeline(0, 4000, 1);
        one_run.add(&span(0, 2050));
        one_run.add(&span(2000, 2000));
        assert_eq!(one_run.finish()[0].clash_ms, 0, "fragments of one run may touch");
    }

    #[test]
    fn refuses_spans_that_are_none() {
        let at = Timestamp::from_millis;
        assert!(Timeline::new(at(5), at(5), 1).is_err());
        assert!(Timeline::new(at(0), at(5), 0).is_err());
        assert!(Timeline::new(at(0), at(5), 10_001).is_err());
        assert_eq!(timeline(0, 3, 10).finish().len(), 3, "no bucket is shorter than a millisecond");
    }

    proptest! {
        #[test]
        fn the_sum_is_what_lies_within(
            (start, length) in (0_i64..5000, 1_i64..5000), buckets in 1_usize..50,
            fragments in prop::collection::vec((0_i64..200, 0_u32..200), 0..20),
        ) {
            let mut filled = timeline(start, start + length, buckets);
            let (mut at, mut covered) = (start - 300, 0);
            for (gap, duration) in fragments {
                at += gap;
                filled.add(&span(at, duration));
                let end = at + i64::from(duration);
                covered += (end.min(start + length) - at.max(start)).max(0);
                at = end;
            }
            let buckets = filled.finish();
            prop_assert_eq!(buckets.iter().map(|b| b.covered_ms).sum::<u64>(), covered.unsigned_abs());
            prop_assert!(buckets.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
