//! The sound of the demo camera: a quiet tone, with a beep at the start of every UTC second.

use base::Timestamp;

/// Samples per second, one channel.
pub(super) const SAMPLE_RATE: u32 = 48_000;

const TONE_HZ: f64 = 220.0;
const BEEP_HZ: f64 = 880.0;
const BEEP_MS: i64 = 100;

/// Makes samples in one unbroken wave.
#[derive(Default)]
pub(super) struct Tone {
    phase: f64,
}

impl Tone {
    /// The next `count` samples, 16 bits little endian, of the moment `now`.
    pub(super) fn samples(&mut self, count: u32, now: Timestamp) -> Vec<u8> {
        let beeps = now.millis().rem_euclid(1000) < BEEP_MS;
        let (frequency, level) = if beeps { (BEEP_HZ, 8000.0) } else { (TONE_HZ, 1500.0) };
        let step = frequency * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
        let mut bytes = Vec::with_capacity(count as usize * 2);
        for _ in 0..count {
            self.phase = (self.phase + step) % std::f64::consts::TAU;
            #[expect(clippy::cast_possible_truncation, reason = "a sine of at most 8000")]
            let sample = (self.phase.sin() * level) as i16;
            bytes.extend_from_slice(&sample.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beeps_at_the_start_of_a_second_and_never_jumps() {
        let mut tone = Tone::default();
        let mut loudest = |millis| {
            let bytes = tone.samples(1600, Timestamp::from_millis(millis));
            let samples: Vec<_> = bytes.chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
            samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap()
        };
        assert!(loudest(1_000_033) > 7000);
        assert!(loudest(1_000_500) < 1600);
    }
}
