//! How long to wait before something that failed is tried again: one rule for everything that retries.

use std::time::Duration;

use crate::Entropy;

/// The pause after so many failures in a row that came before this one: `first`, doubling with every failure up
/// to `last`, with a quarter of jitter either way.
pub fn backoff(first: Duration, last: Duration, failures: u32, entropy: &dyn Entropy) -> Duration {
    let doubled = first.saturating_mul(1 << failures.min(16));
    doubled.min(last).mul_f64(0.75 + f64::from(entropy.bytes::<1>()[0]) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn pauses_double_to_their_end_with_jitter() {
        let (first, last) = (Duration::from_millis(250), Duration::from_secs(10));
        for (failures, expected) in (0..).zip([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
            let found = backoff(first, last, failures, &SystemEntropy).as_millis();
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&found), "{found} for {expected}");
        }
        assert!(backoff(first, last, u32::MAX, &SystemEntropy) <= last.mul_f64(1.25));
    }
}
