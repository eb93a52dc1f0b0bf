//! RTCP receiver reports (RFC 3550 §6.4.2): what arrived, for the sender to know.

use std::time::Duration;

/// Counts the packets of one source.
#[derive(Clone, Debug)]
pub(crate) struct Reception {
    ssrc: u32,
    clock_rate: u32,
    base: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    /// Arrival minus RTP timestamp of the last packet, in ticks, wrapping.
    transit: u32,
    /// Interarrival jitter, in sixteenths of a tick (RFC 3550 §A.8).
    jitter: u32,
    last_report: Option<(u64, Duration)>,
}

impl Reception {
    /// From the first packet of a source.
    pub(crate) fn new(ssrc: u32, sequence: u16, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            base: u32::from(sequence),
            highest: u32::from(sequence),
            received: 0,
            expected_before: 0,
            received_before: 0,
            transit: 0,
            jitter: 0,
            last_report: None,
        }
    }

    /// Counts a packet; `arrival` is monotonic.
    pub(crate) fn packet(&mut self, sequence: u16, timestamp: u32, arrival: Duration) {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^16")]
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        }
        #[expect(clippy::cast_possible_truncation, reason = "RTP time counts modulo 2^32")]
        let now = (arrival.as_micros() * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = now.wrapping_sub(timestamp);
        if self.received > 0 {
            let difference = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
            self.jitter = self.jitter.wrapping_sub((self.jitter + 8) >> 4).wrapping_add(difference);
        }
        self.transit = transit;
        self.received = self.received.wrapping_add(1);
    }

    /// Notes a sender report, by its NTP time and arrival.
    pub(crate) fn sender_report(&mut self, ntp: u64, arrival: Duration) {
        self.last_report = Some((ntp, arrival));
    }

    /// A compound packet: a receiver report from `own`, and the CNAME that RFC 3550 §6.1 demands.
    pub(crate) fn report(&mut self, own: u32, now: Duration) -> Vec<u8> {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let lost = i64::from(expected) - i64::from(self.received);
        let expected_now = expected.wrapping_sub(self.expected_before);
        let lost_now = expected_now.saturating_sub(self.received.wrapping_sub(self.received_before));
        (self.expected_before, self.received_before) = (expected, self.received);
        let fraction = (u64::from(lost_now) * 256).checked_div(u64::from(expected_now)).unwrap_or(0).min(255);
        let (last, delay) = self.last_report.map_or((0, 0), |(ntp, at)| {
            let delay = now.saturating_sub(at).as_micros() * 65_536 / 1_000_000;
            ((ntp >> 16) & 0xffff_ffff, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        let lost = lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();

        let mut packet = vec![0x81, 201, 0, 7];
        packet.extend_from_slice(&own.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend(fraction.to_be_bytes().last());
        packet.extend_from_slice(lost.split_at(5).1);
        packet.extend_from_slice(&self.highest.to_be_bytes());
        packet.extend_from_slice(&(self.jitter >> 4).to_be_bytes());
        packet.extend_from_slice(last.to_be_bytes().split_at(4).1);
        packet.extend_from_slice(&delay.to_be_bytes());
        packet.extend_from_slice(&[0x81, 202, 0, 4]);
        packet.extend_from_slice(&own.to_be_bytes());
        packet.extend_from_slice(b"\x01\x08millrace\0\0");
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_losses_through_a_wrap() {
        let mut reception = Reception::new(0xabcd, 65_534, 90_000);
        for (index, sequence) in [65_534u16, 65_535, 1, 2, 0x10].into_iter().enumerate() {
            let step = u32::try_from(index).unwrap();
            reception.packet(sequence, step * 9000, Duration::from_millis(100) * step);
        }
        reception.sender_report(0x0001_0002_0003_0004, Duration::from_millis(400));
        let report = reception.report(7, Duration::from_millis(900));
        assert_eq!(report.len(), 32 + 20);
        assert_eq!(&report[8..12], &0xabcd_u32.to_be_bytes());
        // 65534..=65552 are 19 packets, 5 came.
        assert_eq!(report[12], u8::try_from(14 * 256 / 19).unwrap());
        assert_eq!(&report[13..16], &[0, 0, 14]);
        assert_eq!(&report[16..20], &(65_536u32 + 0x10).to_be_bytes());
        assert_eq!(&report[20..24], &[0; 4], "evenly spaced packets have no jitter");
        assert_eq!(&report[24..28], &[0, 2, 0, 3]);
        assert_eq!(&report[28..32], &32_768u32.to_be_bytes());
        assert_eq!(reception.report(7, Duration::ZERO)[12], 0, "the fraction is since the last report");
    }

    #[test]
    fn late_packets_do_not_move_the_highest_back() {
        let mut reception = Reception::new(1, 10, 90_000);
        for sequence in [10, 12, 11] {
            reception.packet(sequence, 0, Duration::ZERO);
        }
        assert_eq!(&reception.report(7, Duration::ZERO)[12..20], &[0, 0, 0, 0, 0, 0, 0, 12]);
    }
}
