//! AAC access units of a given size.

/// Element ids (ISO/IEC 14496-3 table 4.85).
const FILL: u32 = 6;
const END: u32 = 7;

/// Bytes in a fill element at most: 15 and 255 less one.
const MOST_FILLED: usize = 269;

/// The access unit with fill elements (ISO/IEC 14496-3 §4.4.2.7) before its end, so that it has `size` bytes.
/// `None` where it is larger, or no access unit.
pub(super) fn padded(unit: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out = BitWriter { bytes: unit.to_vec(), used: end_of_elements(unit)? };
    let mut left = (size * 8).checked_sub(out.used + 3)?;
    while left >= 7 {
        let bytes = if left < 7 + 15 * 8 { (left - 7) / 8 } else { ((left - 15) / 8).min(MOST_FILLED) };
        out.fill(bytes);
        left = (size * 8).checked_sub(out.used + 3)?;
    }
    out.put(END, 3);
    out.bytes.resize(size, 0);
    Some(out.bytes)
}

/// Bits before ID_END, whose three ones are the last ones of the unit.
fn end_of_elements(unit: &[u8]) -> Option<usize> {
    let last = unit.iter().rposition(|byte| *byte != 0)?;
    let end = (last + 1) * 8 - unit[last].trailing_zeros() as usize;
    let start = end.checked_sub(3)?;
    let is_one = |bit: usize| unit[bit / 8] & (0x80 >> (bit % 8)) != 0;
    (start..end).all(is_one).then_some(start)
}

struct BitWriter {
    bytes: Vec<u8>,
    /// Bits written.
    used: usize,
}

impl BitWriter {
    /// A fill element of so many bytes, at most [`MOST_FILLED`].
    fn fill(&mut self, bytes: usize) {
        self.put(FILL, 3);
        // The count, or 15 and by how much more than 14 it is.
        if bytes < 15 {
            self.put(bytes as u32, 4);
        } else {
            self.put(15, 4);
            self.put(bytes as u32 - 14, 8);
        }
        for index in 0..bytes {
            // EXT_FILL and its fill_nibble, then fill_byte (table 4.57).
            self.put(if index == 0 { 0 } else { 0xa5 }, 8);
        }
    }

    /// The lowest `count` bits of `value`.
    fn put(&mut self, value: u32, count: usize) {
        for bit in (0..count).rev() {
            let (byte, mask) = (self.used / 8, 0x80 >> (self.used % 8));
            if byte == self.bytes.len() {
                self.bytes.push(0);
            }
            if value >> bit & 1 == 1 {
                self.bytes[byte] |= mask;
            } else {
                self.bytes[byte] &= !mask;
            }
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_comes_last() {
        // Elements 1011, then ID_END.
        assert_eq!(padded(&[0b1011_1110], 1).unwrap(), [0b1011_1110]);
        // 1011, a fill element of one byte, ID_END.
        assert_eq!(padded(&[0b1011_1110], 3).unwrap(), [0b1011_1100, 0b0010_0000, 0b0001_1100]);
        assert_eq!((padded(&[0xff, 0xff], 1), padded(&[0, 0], 4), padded(&[1], 4)), (None, None, None));
    }

    proptest! {
        #[test]
        fn every_size_is_reached(mut unit in prop::collection::vec(any::<u8>(), 1..900), size in 1usize..1600) {
            unit.push(0b0111_0000);
            let bits = end_of_elements(&unit).unwrap();
            let Some(padded) = padded(&unit, size) else {
                prop_assert!(bits + 3 > size * 8);
                return Ok(());
            };
            prop_assert_eq!(padded.len(), size);
            prop_assert_eq!(&padded[..bits / 8], &unit[..bits / 8]);
            prop_assert!(size * 8 - end_of_elements(&padded).unwrap() - 3 < 7, "filled up to the last byte");
        }
    }
}
