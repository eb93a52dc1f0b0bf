//! Which AAC frames a fragment gives.

use base::TrackMeta;

/// Samples of an AAC frame, of each channel.
pub(super) const FRAME: i64 = 1024;

/// Frames of the run's grid, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first frame's number; negative where a run begins.
    pub(super) first: i64,
    pub(super) count: u32,
}

impl Span {
    /// The frames whose last needed sample, 2048 from their start, lies in the track's share of a fragment.
    pub(super) fn of(track: &TrackMeta) -> Self {
        let end = track.start.saturating_add_unsigned(track.duration);
        let [first, next] = [track.start, end]
            .map(|ticks| samples(ticks, track.timescale, track.sample_rate).div_euclid(FRAME) - 1);
        Self { first, count: u32::try_from(next - first).unwrap_or(0) }
    }

    /// Samples from the run's start to the first frame.
    pub(super) fn start(&self) -> i64 {
        self.first * FRAME
    }

    /// Samples.
    pub(super) fn duration(&self) -> u64 {
        u64::from(self.count) * FRAME.unsigned_abs()
    }
}

/// Ticks in samples, rounded down.
pub(super) fn samples(ticks: i64, timescale: u32, sample_rate: u32) -> i64 {
    let samples = i128::from(ticks) * i128::from(sample_rate);
    let samples = samples.div_euclid(i128::from(timescale.max(1)));
    // Room for the arithmetic of frames.
    i64::try_from(samples).unwrap_or(0).clamp(i64::MIN / 4, i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn track(timescale: u32, start: i64, duration: u64) -> TrackMeta {
        TrackMeta {
            number: 2,
            codec: "pcmu".into(),
            codec_string: "ulaw".into(),
            timescale,
            start,
            duration,
            frames: 1,
            bytes: 0,
            width: 0,
            height: 0,
            sample_rate: 8000,
            channels: 1,
            init_id: 0,
        }
    }

    #[test]
    fn a_run_begins_with_a_frame_of_silence() {
        assert_eq!(Span::of(&track(8000, 0, 16_000)), Span { first: -1, count: 15 });
        assert_eq!(Span::of(&track(8000, 16_000, 1)), Span { first: 14, count: 0 });
    }

    proptest! {
        /// However a run is cut: the frames follow one another, and need no sample of a later fragment.
        #[test]
        fn frames_follow_one_another(
            timescale in prop::sample::select(vec![1000u32, 8000, 90_000]),
            start in -1_000_000i64..1_000_000,
            durations in prop::collection::vec(0u64..200_000, 1..20),
        ) {
            let (mut start, mut next) = (start, None);
            for duration in durations {
                let span = Span::of(&track(timescale, start, duration));
                prop_assert!(next.is_none_or(|next| next == span.first));
                start += i64::try_from(duration).unwrap();
                let end = span.first + i64::from(span.count);
                prop_assert!((end + 1) * FRAME <= samples(start, timescale, 8000));
                next = Some(end);
            }
        }
    }
}
