//! Fragments that are missing from a playlist which still changes.

use std::time::Duration;

use base::FragmentNumber;

use super::Segment;

/// Fragments that may be missing in a row (damaged files) before a live playlist starts after the hole.
const LONGEST_HOLE: u64 = 1000;

/// The longest fragment (20 s): a longer gap must not raise the target duration.
const LONGEST_GAP_US: u64 = 20_000_000;

/// Puts gaps where fragments are missing, so that implied media sequence numbers equal the stored ones.
pub(crate) fn fill_holes(segments: &[Segment]) -> Vec<Segment> {
    let mut filled: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        if let Some(previous) = filled.last().copied() {
            let missing = segment.sequence.saturating_sub(previous.sequence).saturating_sub(1);
            if missing > LONGEST_HOLE {
                filled.clear();
            } else {
                filled.extend((0..missing).map(|index| filler(&previous, segment, missing, index)));
            }
        }
        filled.push(*segment);
    }
    filled
}

/// One of `missing` gaps, of equal length, between two fragments that are there.
fn filler(previous: &Segment, next: &Segment, missing: u64, index: u64) -> Segment {
    let apart_ms = next.at.millis().saturating_sub(previous.at.millis());
    let hole_us =
        u64::try_from(apart_ms).unwrap_or(0).saturating_mul(1000).saturating_sub(previous.duration_us);
    let piece_us = hole_us / missing.max(1);
    let since = Duration::from_micros(index.saturating_mul(piece_us).saturating_add(previous.duration_us));
    let step = index.saturating_add(1);
    Segment {
        number: FragmentNumber::from_u64(previous.number.to_u64().saturating_add(step)),
        sequence: previous.sequence.saturating_add(step),
        init_id: None,
        duration_us: piece_us.min(LONGEST_GAP_US),
        at: previous.at + since,
        ..*previous
    }
}
