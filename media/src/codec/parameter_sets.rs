//! The parameter sets of a video stream as they come and change.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::{CodecId, h264, h265};

/// Which parameter set a NAL unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SetKind {
    /// Video parameter set (H.265 only).
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
}

/// Longer sets are not kept: a full set of scaling lists stays below a thousand bytes.
const MAX_SET_BYTES: usize = 2048;
/// Sets beyond this, all together, are not kept: they are stored with every fragment, and a sender
/// could begin one with every picture. Real streams have a few hundred bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The newest set of every kind and id.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterSets {
    sets: BTreeMap<(SetKind, u32), Bytes>,
}

impl ParameterSets {
    /// Takes a set in the place of its predecessor and, where that changes something, gives it back
    /// without the zeros that some senders append.
    pub(crate) fn insert(&mut self, codec: CodecId, kind: SetKind, nal: &[u8]) -> Option<&Bytes> {
        let end = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let nal = &nal[..end];
        let id = match codec {
            CodecId::H264 => h264::set_id(kind, nal),
            CodecId::H265 => h265::set_id(kind, nal),
            _ => None,
        };
        let id = id.filter(|_| nal.len() <= MAX_SET_BYTES)?;
        let others = self.sets.iter().filter(|(known, _)| **known != (kind, id));
        if others.map(|(_, set)| set.len()).sum::<usize>() + nal.len() > MAX_BYTES {
            return None;
        }
        // A copy: the sets outlive the packet they came in by hours.
        match self.sets.entry((kind, id)) {
            Entry::Occupied(known) if known.get() == nal => None,
            entry => Some(entry.insert_entry(Bytes::copy_from_slice(nal)).into_mut()),
        }
    }

    /// The codec private data, once a set of every kind is there.
    pub(crate) fn private(&self, codec: CodecId) -> Option<Bytes> {
        let [vps, sps, pps] = [SetKind::Vps, SetKind::Sps, SetKind::Pps].map(|kind| self.of(kind));
        match codec {
            CodecId::H264 => h264::avcc(&sps, &pps),
            CodecId::H265 => h265::hvcc(&vps, &sps, &pps),
            _ => None,
        }
    }

    fn of(&self, kind: SetKind) -> Vec<&Bytes> {
        self.sets.range((kind, 0)..=(kind, u32::MAX)).map(|(_, set)| set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture parameter set (H.264 §7.3.2.2) with this number added to id 127, a code of 15 bits.
    fn pps(number: u8, bytes: usize) -> Vec<u8> {
        let code = u16::from(number) + 128;
        [&[0x68][..], &(code << 1 | 1).to_be_bytes(), &vec![0x55; bytes]].concat()
    }

    #[test]
    fn all_sets_together_are_bounded_and_can_still_change() {
        let mut sets = ParameterSets::default();
        let kept = (0..100).filter(|id| sets.insert(CodecId::H264, SetKind::Pps, &pps(*id, 1000)).is_some());
        assert_eq!(kept.count(), MAX_BYTES / 1003);
        assert!(sets.insert(CodecId::H264, SetKind::Pps, &pps(0, 900)).is_some());
        assert!(sets.insert(CodecId::H264, SetKind::Pps, &pps(0, 900)).is_none(), "nothing changed");
    }
}
