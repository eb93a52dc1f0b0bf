//! The note behind the journaled parts of a fragment that is still open: all that recovery needs to
//! close it where it stands, without knowing what is in it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{FORMAT, Fields, FormatError};

/// Bytes before the head.
const FIXED_BYTES: usize = 12;
/// Three letters and the format.
const MAGIC: [u8; 4] = [b'M', b'R', b'P', FORMAT];

/// The payload of a [`super::FrameKind::FragmentPart`] frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartNote {
    /// Piece 0 of the fragment's media, as it is if the fragment ends here.
    pub head: Bytes,
    /// Its last piece.
    pub tail: Bytes,
    /// The payload of its commit.
    pub commit: Bytes,
}

impl PartNote {
    /// The stored form, in parts to be written one after the other.
    pub fn encode(self) -> Vec<Bytes> {
        let Self { head, tail, commit } = self;
        // No entry takes one that is longer ([`crate::MAX_ENTRY_BYTES`]).
        let length = |part: &Bytes| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let mut fixed = BytesMut::with_capacity(FIXED_BYTES);
        fixed.put_slice(&MAGIC);
        fixed.put_u32_le(length(&head));
        fixed.put_u32_le(length(&tail));
        vec![fixed.freeze(), head, tail, commit]
    }

    /// Reads a stored form; its parts are slices of it.
    pub fn decode(stored: &Bytes) -> Result<Self, FormatError> {
        let mut fields = Fields::new(stored);
        if fields.array()? != MAGIC {
            return Err(FormatError("the note of a part is of an unknown format"));
        }
        let (head, tail) = (fields.u32()? as usize, fields.u32()? as usize);
        let mut rest = stored.slice(FIXED_BYTES..);
        if head.checked_add(tail).is_none_or(|both| both > rest.len()) {
            return Err(FormatError("the note of a part is cut off"));
        }
        let head = rest.split_to(head);
        let tail = rest.split_to(tail);
        Ok(Self { head, tail, commit: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn notes_round_trip(head in bytes(), tail in bytes(), commit in bytes()) {
            let note = PartNote { head, tail, commit };
            let stored = Bytes::from(note.clone().encode().concat());
            prop_assert_eq!(PartNote::decode(&stored), Ok(note));
            prop_assert!(PartNote::decode(&stored.slice(1..)).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(known: bool, rest in prop::collection::vec(any::<u8>(), 0..40)) {
            let stored: Bytes = if known { [&MAGIC[..], &rest].concat().into() } else { rest.into() };
            if let Ok(note) = PartNote::decode(&stored) {
                prop_assert_eq!(note.encode().concat(), stored);
            }
        }
    }
}
