//! Where a frame is, and where it stands in its lane's order.

use super::{Fields, FormatError};
use crate::LaneId;

/// A frame's place in the order of its lane: strictly increasing, from 1, with gaps after a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// Where one frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The lane.
    pub lane: LaneId,
    /// The segment's number within the lane.
    pub segment: u64,
    /// The frame's first byte in the segment's file.
    pub offset: u64,
    /// Bytes of the whole frame: header, sealed payload, tag.
    pub len: u32,
}

impl Location {
    /// Bytes of the encoded form.
    pub const BYTES: usize = 21;

    /// For an index's row: lane, segment, offset, length.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.lane.code();
        bytes[1..9].copy_from_slice(&self.segment.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.offset.to_le_bytes());
        bytes[17..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() != Self::BYTES {
            return Err(FormatError("a location has 21 bytes"));
        }
        let mut fields = Fields::new(bytes);
        Ok(Self {
            lane: LaneId::from_code(fields.u8()?).ok_or(FormatError("no such lane"))?,
            segment: fields.u64()?,
            offset: fields.u64()?,
            len: fields.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_round_trip(lane in 0usize..11, segment: u64, offset: u64, len: u32) {
            let lane = LaneId::all().nth(lane).expect("there are eleven lanes");
            let location = Location { lane, segment, offset, len };
            prop_assert_eq!(Location::from_bytes(&location.to_bytes()), Ok(location));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Location::from_bytes(&bytes);
        }
    }
}
