//! One track of a publisher: RTP and RTCP packets in, access units out.

use std::time::Duration;

use base::Limits;
use bytes::Bytes;
use media::MediaError;
use media::rtp::{Packet, SenderReport, sender_report};

use super::key_request::KeyFrames;
use super::receiver_report::Reception;
use super::sdp::Section;
use crate::depacketizer::{Depacketizer, Event, Patience};

/// Packets may overtake each other on UDP, and never on TCP.
const UDP: Patience = Patience { packets: 64, time: Duration::MAX };
const TCP: Patience = Patience { packets: 0, time: Duration::MAX };
/// A packet of another source is taken for a new one only when the current one has been silent this
/// long: cameras let packets of an earlier session slip in.
const SOURCE_SILENCE: Duration = Duration::from_secs(2);

fn patience(udp: bool) -> Patience {
    if udp { UDP } else { TCP }
}

/// The receiving end of one track.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// The track's number in the stream, from 1.
    pub(crate) number: u8,
    /// Ticks per second of its timestamps.
    pub(crate) clock_rate: u32,
    /// Whether it is video.
    pub(crate) video: bool,
    payload_type: u8,
    /// Whether it comes over UDP.
    udp: bool,
    packets: Depacketizer,
    source: Option<Source>,
    /// Where its sender can be asked for key frames.
    keys: Option<KeyFrames>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    heard: Duration,
    /// The sequence number that would follow its last packet.
    next: Option<u16>,
    /// From its first packet on, on UDP.
    reception: Option<Reception>,
}

impl Source {
    fn new(ssrc: u32, next: Option<u16>, heard: Duration) -> Self {
        Self { ssrc, heard, next, reception: None }
    }
}

impl Inbound {
    /// Track `number`, packed as `section` says, over `udp` or interleaved.
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] names a codec that is not spoken.
    pub(crate) fn new(number: u8, section: &Section, udp: bool, limits: &Limits) -> Result<Self, MediaError> {
        let packets = Depacketizer::new(number, &section.format, patience(udp), limits)?;
        let keys = section.key_request.filter(|_| section.video).map(KeyFrames::new);
        Ok(Self { keys, ..Self::of(number, section, udp, packets) })
    }

    /// A source whose tracks come as one transport stream: its units are pieces of that.
    pub(crate) fn transport_stream(number: u8, section: &Section, udp: bool) -> Self {
        Self::of(number, section, udp, Depacketizer::transport_stream(patience(udp)))
    }

    fn of(number: u8, section: &Section, udp: bool, packets: Depacketizer) -> Self {
        Self {
            number,
            clock_rate: section.format.clock_rate,
            video: section.video,
            payload_type: section.payload_type,
            udp,
            packets,
            source: None,
            keys: None,
        }
    }

    /// Takes an RTP packet that arrived at `arrival` (monotonic) and appends what it completes to
    /// `events`. Packets of other payload types and stray sources are dropped.
    ///
    /// # Errors
    /// What was wrong with the packet, or with one that waited for it; the track goes on.
    pub(crate) fn rtp(
        &mut self,
        packet: Bytes,
        arrival: Duration,
        events: &mut Vec<Event>,
    ) -> Result<(), MediaError> {
        let packet = Packet::parse(packet)?;
        if packet.payload_type != self.payload_type || !self.follow(&packet, arrival, events) {
            return Ok(());
        }
        if self.udp {
            self.count(&packet, arrival);
        }
        let before = events.len();
        let taken = self.packets.packet(packet, arrival, events);
        let key = |event: &Event| matches!(event, Event::Unit(unit, _) if unit.key);
        if let Some(keys) = &mut self.keys
            && events.iter().skip(before).any(key)
        {
            keys.came(arrival);
        }
        taken
    }

    /// The request for a key frame that is due, from `own`, if the sender takes such.
    pub(crate) fn key_request(&mut self, own: u32, now: Duration) -> Option<Vec<u8>> {
        let source = self.source.as_ref()?;
        self.keys.as_mut()?.request(own, source.ssrc, now)
    }

    /// Takes an RTCP packet and returns its sender report, if it has one of this track's source.
    pub(crate) fn rtcp(&mut self, packet: &[u8], arrival: Duration) -> Option<SenderReport> {
        let report = sender_report(packet)?;
        let source = self.source.get_or_insert(Source::new(report.ssrc, None, arrival));
        if source.ssrc != report.ssrc {
            return None;
        }
        if let Some(reception) = &mut source.reception {
            reception.sender_report(report.ntp, arrival);
        }
        Some(report)
    }

    /// The receiver report that is due, if packets have come over UDP. TCP loses nothing, and a
    /// publisher that never reads its connection must not be filled up with reports.
    pub(crate) fn receiver_report(&mut self, own: u32, now: Duration) -> Option<Vec<u8>> {
        Some(self.source.as_mut()?.reception.as_mut()?.report(own, now))
    }

    /// Gives up waiting for late packets, at the end of the source.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) {
        self.packets.finish(events);
    }

    /// Whether packets of this source are this track's.
    fn follow(&mut self, packet: &Packet, arrival: Duration, events: &mut Vec<Event>) -> bool {
        let Packet { ssrc, sequence, .. } = *packet;
        let next = Some(sequence.wrapping_add(1));
        match &mut self.source {
            Some(source) if source.ssrc == ssrc => {
                (source.heard, source.next) = (arrival, next);
                return true;
            }
            // Some cameras give every group of pictures a new source, and count on.
            Some(source) if source.next == Some(sequence) => {
                *source = Source::new(ssrc, next, arrival);
                return true;
            }
            Some(source) if arrival.saturating_sub(source.heard) < SOURCE_SILENCE => return false,
            Some(_) => self.packets.change_source(events),
            None => {}
        }
        self.source = Some(Source::new(ssrc, next, arrival));
        true
    }

    fn count(&mut self, packet: &Packet, arrival: Duration) {
        if let Some(source) = &mut self.source {
            let first = || Reception::new(packet.ssrc, packet.sequence, self.clock_rate);
            source.reception.get_or_insert_with(first).packet(packet.sequence, packet.timestamp, arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::rtp::Format;

    const SPS: &[u8] = &[
        0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x07, 0x3e, 0x22, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x07,
        0x91, 0xe2, 0xc5, 0xcb, 0x20,
    ];
    const PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];
    const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x0a];

    fn inbound(udp: bool) -> Inbound {
        let format = Format {
            encoding: "H264".into(),
            clock_rate: 90_000,
            channels: 0,
            fmtp: "packetization-mode=1".into(),
        };
        let section = Section {
            video: true,
            audio: false,
            control: String::new(),
            payload_type: 96,
            format,
            feedback: false,
            key_request: None,
        };
        Inbound::new(1, &section, udp, &Limits::default()).unwrap()
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32, marker: bool, nal: &[u8]) -> Bytes {
        let mut bytes = vec![0x80, u8::from(marker) << 7 | 96];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        bytes.extend_from_slice(nal);
        bytes.into()
    }

    /// A key frame in three packets.
    fn key_frame(ssrc: u32, sequence: u16, timestamp: u32) -> [Bytes; 3] {
        [
            packet(ssrc, sequence, timestamp, false, SPS),
            packet(ssrc, sequence.wrapping_add(1), timestamp, false, PPS),
            packet(ssrc, sequence.wrapping_add(2), timestamp, true, IDR),
        ]
    }

    fn feed(inbound: &mut Inbound, packets: impl IntoIterator<Item = Bytes>, at_ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, packet) in (0..).zip(packets) {
            inbound.rtp(packet, Duration::from_millis(at_ms + index), &mut events).unwrap();
        }
        events
    }

    #[test]
    fn a_unit_arrives_with_its_first_packet() {
        let mut inbound = inbound(false);
        let mut events = feed(&mut inbound, key_frame(7, 65_534, 9000), 100);
        inbound.finish(&mut events);
        let [Event::Unit(unit, arrival)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((unit.rtp_timestamp, unit.key, *arrival), (9000, true, Duration::from_millis(100)));
    }

    #[test]
    fn udp_packets_are_put_in_order_and_counted() {
        let mut inbound = inbound(true);
        let [a, b, c] = key_frame(7, 10, 0);
        let mut events = feed(&mut inbound, [a, c, b], 0);
        inbound.finish(&mut events);
        assert!(matches!(events.as_slice(), [Event::Unit(unit, _)] if !unit.damaged), "{events:?}");
        assert!(inbound.receiver_report(1, Duration::from_secs(1)).is_some());
        assert!(self::inbound(false).receiver_report(1, Duration::ZERO).is_none());
    }

    #[test]
    fn strays_are_dropped_and_a_new_source_is_told() {
        let mut inbound = inbound(false);
        feed(&mut inbound, key_frame(7, 10, 0), 0);
        assert_eq!(feed(&mut inbound, key_frame(8, 500, 5), 100), []);
        let [odd, ..] = key_frame(7, 13, 3000);
        let odd = odd.iter().enumerate().map(|(at, byte)| if at == 1 { 97 } else { *byte }).collect();
        assert_eq!(feed(&mut inbound, [odd], 200), [], "another payload type");
        let events = feed(&mut inbound, key_frame(8, 600, 5), 3000);
        assert!(events.contains(&Event::SourceChanged), "{events:?}");
        assert!(!events.iter().any(|event| matches!(event, Event::Lost(_))), "{events:?}");
    }

    #[test]
    fn a_source_that_counts_on_from_another_is_the_same_camera() {
        let mut inbound = inbound(false);
        feed(&mut inbound, key_frame(7, 10, 0), 0);
        let mut events = feed(&mut inbound, key_frame(8, 13, 3600), 40);
        inbound.finish(&mut events);
        assert!(
            matches!(events.as_slice(), [Event::Unit(..), Event::Unit(..)] | [Event::Unit(..)]),
            "{events:?}"
        );
        assert!(!events.contains(&Event::SourceChanged), "{events:?}");
    }

    #[test]
    fn losses_are_told() {
        let mut inbound = inbound(false);
        feed(&mut inbound, key_frame(7, 10, 0), 0);
        let events = feed(&mut inbound, key_frame(7, 20, 3000), 40);
        assert!(events.contains(&Event::Lost(7)), "{events:?}");
    }

    #[test]
    fn reports_of_the_source_count_even_before_its_packets() {
        let mut inbound = inbound(false);
        let report = |ssrc: u32| [&[0x80, 200, 0, 6][..], &ssrc.to_be_bytes(), &[0; 20]].concat();
        assert_eq!(inbound.rtcp(&report(7), Duration::ZERO).map(|report| report.ssrc), Some(7));
        feed(&mut inbound, key_frame(7, 10, 0), 0);
        assert_eq!(inbound.rtcp(&report(8), Duration::ZERO), None);
        assert_eq!(inbound.rtcp(b"junk", Duration::ZERO), None);
    }
}
