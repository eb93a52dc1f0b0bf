//! Packets back into the order they were sent in.

use std::collections::VecDeque;

use super::Packet;

/// A packet in its place, and what is missing before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// The packet.
    pub packet: Packet,
    /// Packets that were sent between the previous one and this one and will not come.
    pub lost: u16,
}

/// Puts the packets of one source in order by sequence number, waiting for late ones within bounds.
///
/// A sender that restarts with other sequence numbers is followed once two packets in a row agree,
/// as RFC 3550 §A.1 advises, so that a stray packet changes nothing.
#[derive(Debug)]
pub struct ReorderBuffer {
    capacity: usize,
    /// The sequence number whose turn it is.
    next: Option<u16>,
    /// Packets ahead of their turn, nearest first.
    held: VecDeque<Packet>,
    /// What would follow a packet that was too far off.
    restart: Option<u16>,
}

/// Further ahead than this is a restarted sender (RFC 3550 §A.1 MAX_DROPOUT).
const MAX_DROPOUT: u16 = 3000;
/// Further behind than this is a restarted sender (RFC 3550 §A.1 MAX_MISORDER).
const MAX_MISORDER: u16 = 100;

impl ReorderBuffer {
    /// Holds at most `capacity` packets back behind a gap: 64 suits UDP; 0 suits TCP, where nothing
    /// overtakes.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, next: None, held: VecDeque::new(), restart: None }
    }

    /// Takes a packet and appends those whose turn it is. Duplicates and packets that come after
    /// they were given up are dropped.
    pub fn push(&mut self, packet: Packet, out: &mut Vec<Sequenced>) {
        let next = *self.next.get_or_insert(packet.sequence);
        let ahead = packet.sequence.wrapping_sub(next);
        if ahead > MAX_DROPOUT {
            let restarts = self.restart == Some(packet.sequence);
            self.restart = None;
            if restarts {
                self.finish(out);
                self.next = Some(packet.sequence.wrapping_add(1));
                // How many went missing is unknown; that some did is not.
                out.push(Sequenced { packet, lost: 1 });
            } else if ahead.wrapping_neg() > MAX_MISORDER {
                self.restart = Some(packet.sequence.wrapping_add(1));
            }
            return;
        }
        self.restart = None;
        let distance = |held: &Packet| held.sequence.wrapping_sub(next);
        let at = self.held.partition_point(|held| distance(held) < ahead);
        if self.held.get(at).is_none_or(|held| held.sequence != packet.sequence) {
            self.held.insert(at, packet);
        }
        self.release_in_turn(out);
        while self.held.len() > self.capacity {
            self.release_first(out);
            self.release_in_turn(out);
        }
    }

    /// Whether packets are held back behind a gap.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives up on what is missing before the first packet that is held back.
    pub fn skip_gap(&mut self, out: &mut Vec<Sequenced>) {
        self.release_first(out);
        self.release_in_turn(out);
    }

    /// Appends everything still held, at the end of the source.
    pub fn finish(&mut self, out: &mut Vec<Sequenced>) {
        while !self.held.is_empty() {
            self.release_first(out);
        }
    }

    fn release_in_turn(&mut self, out: &mut Vec<Sequenced>) {
        while self.held.front().is_some_and(|packet| Some(packet.sequence) == self.next) {
            self.release_first(out);
        }
    }

    fn release_first(&mut self, out: &mut Vec<Sequenced>) {
        if let Some(packet) = self.held.pop_front() {
            let lost = self.next.map_or(0, |next| packet.sequence.wrapping_sub(next));
            self.next = Some(packet.sequence.wrapping_add(1));
            out.push(Sequenced { packet, lost });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn packet(sequence: u16) -> Packet {
        Packet { payload_type: 96, marker: false, sequence, timestamp: 0, ssrc: 1, payload: Bytes::new() }
    }

    /// (sequence, lost) of everything that comes out.
    fn run(capacity: usize, sequences: &[u16]) -> Vec<(u16, u16)> {
        let (mut buffer, mut out) = (ReorderBuffer::new(capacity), Vec::new());
        for sequence in sequences {
            buffer.push(packet(*sequence), &mut out);
        }
        buffer.finish(&mut out);
        out.iter().map(|sequenced| (sequenced.packet.sequence, sequenced.lost)).collect()
    }

    #[test]
    fn sorts_through_the_wrap_and_drops_duplicates() {
        let out = run(8, &[65534, 0, 65535, 0, 65534, 2, 1]);
        assert_eq!(out, [(65534, 0), (65535, 0), (0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn gives_up_on_a_packet_when_enough_wait_behind_it() {
        assert_eq!(run(2, &[10, 12, 13, 14, 11, 15]), [(10, 0), (12, 1), (13, 0), (14, 0), (15, 0)]);
        assert_eq!(run(0, &[10, 13]), [(10, 0), (13, 2)]);
    }

    #[test]
    fn a_gap_can_be_given_up_early() {
        let (mut buffer, mut out) = (ReorderBuffer::new(8), Vec::new());
        for sequence in [10, 12, 13, 15] {
            buffer.push(packet(sequence), &mut out);
        }
        assert!(buffer.is_waiting());
        buffer.skip_gap(&mut out);
        let released: Vec<_> = out.iter().map(|one| (one.packet.sequence, one.lost)).collect();
        assert_eq!(released, [(10, 0), (12, 1), (13, 0)]);
        buffer.skip_gap(&mut out);
        assert!(!buffer.is_waiting());
    }

    #[test]
    fn follows_a_restarted_sender_but_no_stray_packet() {
        assert_eq!(run(8, &[10, 40_000, 11, 12]), [(10, 0), (11, 0), (12, 0)]);
        assert_eq!(run(8, &[10, 40_000, 40_001, 40_002]), [(10, 0), (40_001, 1), (40_002, 0)]);
    }

    proptest! {
        /// What comes out is strictly in order, never more than went in, and losses add up.
        #[test]
        fn order_and_losses_add_up(capacity in 0usize..70, start: u16, offsets in prop::collection::vec(0u16..90, 1..200)) {
            let sequences: Vec<u16> = offsets.iter().map(|offset| start.wrapping_add(*offset)).collect();
            let out = run(capacity, &sequences);
            prop_assert!(out.len() <= sequences.len());
            for pair in out.windows(2) {
                prop_assert_eq!(pair[1].0, pair[0].0.wrapping_add(1).wrapping_add(pair[1].1));
            }
        }

        #[test]
        fn holds_no_more_than_its_capacity(capacity in 0usize..70, sequences: Vec<u16>) {
            let (mut buffer, mut out) = (ReorderBuffer::new(capacity), Vec::new());
            for sequence in sequences {
                buffer.push(packet(sequence), &mut out);
                prop_assert!(buffer.held.len() <= capacity);
            }
        }
    }
}
