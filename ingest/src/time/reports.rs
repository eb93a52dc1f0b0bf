//! RTCP sender reports (RFC 3550 §6.4.1): the camera's own clock, and whether to believe it.

use super::STEP_US;

/// Reports kept for judging the camera's clock.
const KEPT: usize = 8;
/// Fewer reports than this are not judged.
const NEEDED: usize = 3;
/// A camera's clock further than this from the server's is not believed.
const NEAR_US: i64 = 5_000_000;
/// How long a clock that broke its promise is not believed again: without it a camera that steps
/// its clock now and then would start a new run each time it is taken back into favour.
const DISTRUST_US: i64 = 600_000_000;
/// 2020-01-01: a clock that says less was never set.
const SANE_US: i64 = 1_577_836_800_000_000;
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX_SECS: i64 = 2_208_988_800;

/// The last sender reports of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    /// UTC of media time zero by each report, oldest first.
    zeros_us: Vec<i64>,
    believed: bool,
    distrusted_until_us: Option<i64>,
}

impl Reports {
    /// Takes a report: the camera's UTC at a media time.
    pub(super) fn observe(&mut self, utc_us: i64, media_us: i64, arrival_us: i64) {
        let zero = utc_us.saturating_sub(media_us);
        if self.zero_us().is_some_and(|usual| (zero - usual).abs() > STEP_US) {
            self.zeros_us.clear();
            self.distrust(arrival_us);
        }
        if self.zeros_us.len() == KEPT {
            self.zeros_us.remove(0);
        }
        self.zeros_us.push(zero);
    }

    /// UTC of media time zero by the camera's clock, in microseconds: the median of the last reports.
    pub(super) fn zero_us(&self) -> Option<i64> {
        let mut sorted = [0; KEPT];
        let sorted = &mut sorted[..self.zeros_us.len()];
        sorted.copy_from_slice(&self.zeros_us);
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// Whether the camera's clock may name fragments, given the server's idea of media time zero:
    /// enough reports that agree within 250 ms, a sane year, at most 5 s from the server, and no
    /// broken promise in the last ten minutes.
    pub(super) fn trusted(&mut self, server_zero_us: i64, media_us: i64, arrival_us: i64) -> bool {
        let Some(zero) = self.zero_us().filter(|_| self.zeros_us.len() >= NEEDED) else { return false };
        let near = (zero - server_zero_us).abs() <= NEAR_US && zero.saturating_add(media_us) >= SANE_US;
        if self.believed && !near {
            self.distrust(arrival_us);
        }
        self.believed = near && self.distrusted_until_us.is_none_or(|until| arrival_us >= until);
        self.believed
    }

    /// Forgets the reports of a media timeline that ended.
    pub(super) fn forget(&mut self) {
        self.zeros_us.clear();
    }

    fn distrust(&mut self, arrival_us: i64) {
        if self.believed {
            self.distrusted_until_us = Some(arrival_us + DISTRUST_US);
        }
        self.believed = false;
    }
}

/// An NTP timestamp (32.32 bits since 1900, RFC 5905 §6) as microseconds since 1970. Zero means that
/// the sender has no clock (RFC 3550 §6.4.1). The first bit tells the era: clear means after 2036.
pub(super) fn ntp_to_utc_us(ntp: u64) -> Option<i64> {
    let era: i64 = if ntp >> 63 == 0 { 1 << 32 } else { 0 };
    let secs = i64::from((ntp >> 32) as u32) + era - NTP_TO_UNIX_SECS;
    let fraction_us = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
    (ntp != 0).then(|| secs * 1_000_000 + i64::try_from(fraction_us).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_US: i64 = 1_767_268_800_000_000;
    const SECOND_US: i64 = 1_000_000;

    /// Reports every 5 s, the camera's clock `offset_us(n)` from the truth; asks after each.
    fn verdicts(count: i64, offset_us: impl Fn(i64) -> i64) -> Vec<bool> {
        let mut reports = Reports::default();
        let at = |n: i64| {
            let media = n * 5 * SECOND_US;
            reports.observe(NOON_US + media + offset_us(n), media, media);
            reports.trusted(NOON_US, media, media)
        };
        (0..count).map(at).collect()
    }

    #[test]
    fn three_reports_that_agree_are_believed() {
        assert_eq!(verdicts(4, |n| n * 1_000), [false, false, true, true]);
    }

    #[test]
    fn lies_far_clocks_and_unset_clocks_are_not_believed() {
        assert!(!verdicts(50, |n| n % 2 * 900_000).contains(&true));
        assert!(!verdicts(50, |_| 6 * SECOND_US).contains(&true));
        assert!(!verdicts(50, |_| -NOON_US).contains(&true));
    }

    #[test]
    fn a_step_costs_ten_minutes_of_trust() {
        let verdicts = verdicts(200, |n| if n < 10 { 0 } else { SECOND_US });
        assert!(verdicts[9] && !verdicts[10] && !verdicts[129] && verdicts[131]);
    }

    #[test]
    fn ntp_times_of_both_eras() {
        assert_eq!(ntp_to_utc_us(0), None);
        assert_eq!(ntp_to_utc_us((2_208_988_800 << 32) | (1 << 31)), Some(500_000));
        assert_eq!(ntp_to_utc_us(1 << 32), Some((1 + (1 << 32) - 2_208_988_800) * 1_000_000));
    }
}
