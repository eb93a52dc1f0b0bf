//! RTCP sender reports (RFC 3550 §6.4.1).

/// A sender report's pair of clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Synchronization source that reports.
    pub ssrc: u32,
    /// NTP timestamp: seconds since 1900 in the upper 32 bits, fraction in the lower.
    pub ntp: u64,
    /// The RTP timestamp of the same moment.
    pub rtp_timestamp: u32,
}

const SENDER_REPORT: u8 = 200;

/// The first sender report in a compound RTCP packet.
pub fn sender_report(mut rtcp: &[u8]) -> Option<SenderReport> {
    loop {
        let [flags, kind, l0, l1] = *rtcp.first_chunk()?;
        if flags >> 6 != 2 {
            return None;
        }
        let length = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        let packet = rtcp.split_off(..length)?;
        if kind == SENDER_REPORT {
            return Some(SenderReport {
                ssrc: u32::from_be_bytes(*packet.get(4..)?.first_chunk()?),
                ntp: u64::from_be_bytes(*packet.get(8..)?.first_chunk()?),
                rtp_timestamp: u32::from_be_bytes(*packet.get(16..)?.first_chunk()?),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_report_among_others() {
        let mut compound = vec![0x80, 201, 0, 1, 0, 0, 0, 7]; // an empty receiver report
        compound.extend([0x80, 200, 0, 6, 0, 0, 0, 7]);
        compound.extend(0x0102_0304_0506_0708u64.to_be_bytes());
        compound.extend([0, 0, 0, 99, 0, 0, 0, 1, 0, 0, 0, 2]);
        let report = SenderReport { ssrc: 7, ntp: 0x0102_0304_0506_0708, rtp_timestamp: 99 };
        assert_eq!(sender_report(&compound), Some(report));
        assert_eq!(sender_report(&compound[..30]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>, length: u16) {
            sender_report(&bytes);
            let [l0, l1] = length.to_be_bytes();
            sender_report(&[&[0x80, 200, l0, l1][..], &bytes[..]].concat());
        }
    }
}
