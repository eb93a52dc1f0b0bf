//! Media time between timescales.

/// `ticks` of a clock of `from` per second, in ticks of a clock of `to` per second, rounded to the
/// nearest. Saturates. `from` must not be zero; every [`crate::Track`] holds to that.
pub(crate) fn scale(ticks: i64, from: u32, to: u32) -> i64 {
    debug_assert!(from > 0);
    if from == to {
        return ticks;
    }
    let (from, to) = (i128::from(from.max(1)), i128::from(to));
    let scaled = (i128::from(ticks) * to + from / 2).div_euclid(from);
    i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_to_the_nearest() {
        assert_eq!(scale(90_000, 90_000, 1000), 1000);
        assert_eq!([scale(44, 90_000, 1000), scale(45, 90_000, 1000)], [0, 1]);
        assert_eq!([scale(-45, 90_000, 1000), scale(-46, 90_000, 1000)], [0, -1]);
        assert_eq!(scale(1_763_880_000_000, 1000, 90_000), 158_749_200_000_000);
    }

    proptest! {
        #[test]
        fn a_finer_clock_loses_nothing(ms in -1_000_000_000_000i64..1_000_000_000_000) {
            prop_assert_eq!(scale(scale(ms, 1000, 48_000), 48_000, 1000), ms);
        }
    }
}
