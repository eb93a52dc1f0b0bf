//! Numbers in few bytes: LEB128 (seven bits a byte, low first), and zigzag for those with a sign.

/// Appends `value`.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends `value`, short where it is near zero.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Reads what was put, from any bytes: whatever is wrong is told in words.
pub struct VarintReader<'b>(&'b [u8]);

impl<'b> VarintReader<'b> {
    /// Reads `bytes` from their start.
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// What is not read yet.
    pub const fn rest(&self) -> &'b [u8] {
        self.0
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, &'static str> {
        let (&first, rest) = self.0.split_first().ok_or("cut short")?;
        self.0 = rest;
        Ok(first)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'b [u8], &'static str> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or("cut short")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// What [`put_varint`] put.
    pub fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("number too long")
    }

    /// What [`put_zigzag`] put.
    pub fn zigzag(&mut self) -> Result<i64, &'static str> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number that fits 32 bits.
    pub fn varint32(&mut self) -> Result<u32, &'static str> {
        u32::try_from(self.varint()?).map_err(|_| "number too large")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(value: u64, signed: i64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_zigzag(&mut out, signed);
            out.extend(&bytes);
            let mut reader = VarintReader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.zigzag(), Ok(signed));
            prop_assert_eq!(reader.rest(), &bytes[..]);
            prop_assert_eq!(reader.bytes(bytes.len()), Ok(&bytes[..]));
            prop_assert_eq!(reader.byte(), Err("cut short"));
        }
    }

    #[test]
    fn small_numbers_are_short() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (u64::MAX, 10)] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), len, "{value}");
        }
        assert_eq!(VarintReader::new(&[0xff; 11]).varint(), Err("number too long"));
    }
}
