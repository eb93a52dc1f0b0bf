//! A window of samples, put together from the frames of fragments.

use base::TrackMeta;
use media::mkv::StoredFragment;

use super::grid;

/// The samples of a window of the run, silence where none were recorded.
pub(super) struct Samples {
    /// Samples from the run's start to the window.
    start: i64,
    channels: usize,
    /// Channels interleaved.
    values: Vec<i16>,
}

impl Samples {
    pub(super) fn silence(start: i64, count: usize, channels: u8) -> Self {
        let channels = usize::from(channels);
        Self { start, channels, values: vec![0; count * channels] }
    }

    /// Puts in what a fragment has of the track.
    pub(super) fn fill(&mut self, fragment: &StoredFragment, meta: &TrackMeta) {
        let Some(track) = fragment.track(meta.number) else { return };
        if (track.sample_rate, track.channels) != (meta.sample_rate, meta.channels) {
            return;
        }
        for frame in fragment.frames.iter().filter(|frame| frame.track == meta.number) {
            if let Some(values) = track.codec.samples(&frame.data) {
                self.put(grid::samples(frame.dts, track.timescale, track.sample_rate), &values);
            }
        }
    }

    /// Puts samples at their place; what lies outside of the window is left out.
    fn put(&mut self, at: i64, values: &[i16]) {
        let ahead = usize::try_from(at - self.start).unwrap_or(0);
        let cut = usize::try_from(self.start - at).unwrap_or(0);
        let values = values.get(cut.saturating_mul(self.channels)..).unwrap_or_default();
        let room = self.values.get_mut(ahead.saturating_mul(self.channels)..).unwrap_or_default();
        room.iter_mut().zip(values).for_each(|(room, value)| *room = *value);
    }

    pub(super) fn values(&self) -> &[i16] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut samples = Samples::silence(10, 4, 2);
        samples.put(8, &[1, 1, 2, 2, 3, 3]);
        samples.put(12, &[4, 4, 5, 5, 6, 6]);
        samples.put(0, &[7; 20]);
        samples.put(14, &[8; 4]);
        assert_eq!(samples.values(), [3, 3, 0, 0, 4, 4, 5, 5]);
    }
}
