//! Asking a camera for a key frame: picture loss indications (RFC 4585 §6.3.1), full intra requests (RFC 5104
//! §4.3.1).

use std::time::Duration;

/// How a camera is asked, as its SDP offers (`a=rtcp-fb`, RFC 4585 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRequest {
    /// `nack pli`.
    PictureLoss,
    /// `ccm fir`.
    FullIntra,
}

/// A camera that has sent no key frame for so long is asked for one, and again after as long: cameras whose groups of
/// pictures are shorter are never bothered, "smart codecs" would go on for minutes.
const PATIENCE: Duration = Duration::from_secs(5);
/// A key frame that comes so soon after a request was an answer to it.
const HEEDED: Duration = Duration::from_secs(3);
/// Requests in a row that no key frame answers before nobody is asked any more: the encoder takes none, and a publisher
/// that never reads its connection must not be filled up with them.
const MOST_IN_VAIN: u8 = 12;
/// An empty receiver report (RFC 3550 §6.4.2) goes before it, as compound packets demand; without its source.
const EMPTY_REPORT: [u8; 4] = [0x80, 201, 0, 1];
const PAYLOAD_SPECIFIC: u8 = 206;

impl KeyRequest {
    /// Reads what follows the payload type in an `a=rtcp-fb` attribute.
    pub(crate) fn parse(feedback: &str) -> Option<Self> {
        match feedback.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["nack", "pli"] => Some(Self::PictureLoss),
            ["ccm", "fir"] => Some(Self::FullIntra),
            _ => None,
        }
    }

    /// The packet that asks `media`, from `own`, for the `count`-th time.
    fn packet(self, own: u32, media: u32, count: u8) -> Vec<u8> {
        let mut packet = EMPTY_REPORT.to_vec();
        packet.extend_from_slice(&own.to_be_bytes());
        match self {
            Self::PictureLoss => {
                packet.extend_from_slice(&[0x81, PAYLOAD_SPECIFIC, 0, 2]);
                packet.extend_from_slice(&own.to_be_bytes());
                packet.extend_from_slice(&media.to_be_bytes());
            }
            Self::FullIntra => {
                packet.extend_from_slice(&[0x84, PAYLOAD_SPECIFIC, 0, 4]);
                packet.extend_from_slice(&own.to_be_bytes());
                packet.extend_from_slice(&[0; 4]);
                packet.extend_from_slice(&media.to_be_bytes());
                packet.extend_from_slice(&[count, 0, 0, 0]);
            }
        }
        packet
    }
}

/// When one track had its last key frame, and when it was asked for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFrames {
    how: KeyRequest,
    since: Option<Duration>,
    /// The request that no key frame has come after.
    asked: Option<Duration>,
    in_vain: u8,
    count: u8,
}

impl KeyFrames {
    pub(crate) fn new(how: KeyRequest) -> Self {
        Self { how, since: None, asked: None, in_vain: 0, count: 0 }
    }

    /// A key frame came (monotonic).
    pub(crate) fn came(&mut self, arrival: Duration) {
        if self.asked.take().is_some_and(|asked| arrival.saturating_sub(asked) <= HEEDED) {
            self.in_vain = 0;
        }
        self.since = Some(arrival);
    }

    /// The request that is due, from `own` to the source `media`.
    pub(crate) fn request(&mut self, own: u32, media: u32, now: Duration) -> Option<Vec<u8>> {
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE || self.in_vain >= MOST_IN_VAIN {
            return None;
        }
        (self.since, self.asked) = (Some(now), Some(now));
        self.in_vain += 1;
        self.count = self.count.wrapping_add(1);
        Some(self.how.packet(own, media, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_asked_where_none_came_for_five_seconds() {
        let mut keys = KeyFrames::new(KeyRequest::PictureLoss);
        let at = Duration::from_secs;
        assert_eq!(keys.request(1, 2, at(10)), None, "the session has just begun");
        assert_eq!(keys.request(1, 2, at(14)), None);
        let packet = keys.request(1, 2, at(15)).unwrap();
        assert_eq!(packet, [0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(keys.request(1, 2, at(19)), None);
        keys.came(at(19));
        assert_eq!(keys.request(1, 2, at(23)), None);
        assert!(keys.request(1, 2, at(24)).is_some());
    }

    #[test]
    fn full_intra_requests_are_counted() {
        let mut keys = KeyFrames::new(KeyRequest::FullIntra);
        keys.came(Duration::ZERO);
        for count in 1..=3 {
            let packet = keys.request(1, 2, PATIENCE * u32::from(count)).unwrap();
            let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, count, 0, 0, 0];
            assert_eq!(packet[8..], fir);
        }
    }

    #[test]
    fn who_takes_no_requests_is_not_asked_for_ever() {
        let asked = |answers_after: Duration| {
            let mut keys = KeyFrames::new(KeyRequest::PictureLoss);
            let asked = (0..1000).map(Duration::from_secs).filter(|now| {
                let asked = keys.request(1, 2, *now).is_some();
                if asked {
                    keys.came(*now + answers_after);
                }
                asked
            });
            asked.count()
        };
        assert_eq!(asked(4 * HEEDED), usize::from(MOST_IN_VAIN), "its key frames come when they come");
        assert!(asked(HEEDED / 2) > 100);
    }

    #[test]
    fn other_feedback_is_none() {
        assert_eq!(KeyRequest::parse(" nack  pli "), Some(KeyRequest::PictureLoss));
        assert_eq!(KeyRequest::parse("ccm fir"), Some(KeyRequest::FullIntra));
        for other in ["nack", "ccm tmmbr", "transport-cc", ""] {
            assert_eq!(KeyRequest::parse(other), None);
        }
    }
}
