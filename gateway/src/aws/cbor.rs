//! What a CBOR body claims of itself, looked at before anything is read of it.

/// Whether every array and map of `body` can have as many entries as it says.
///
/// A reader makes room for what an array announces, at each level of nesting anew. An entry takes a
/// byte at least and belongs to one array or map alone, so that all of them together cannot have more
/// entries than the body has bytes. Of a body that ends too early only what is there counts: its reader
/// says what is wrong.
pub(super) fn counts_fit(body: &[u8]) -> bool {
    let mut rest = body;
    let mut left = body.len() as u64;
    while let Some(header) = Header::take(&mut rest) {
        let entries = match header.major {
            Header::BYTES | Header::TEXT => {
                let skipped = usize::try_from(header.argument).ok().and_then(|length| rest.get(length..));
                rest = skipped.unwrap_or_default();
                0
            }
            Header::ARRAY => header.argument,
            Header::MAP => header.argument.saturating_mul(2),
            _ => 0,
        };
        let Some(fewer) = left.checked_sub(entries) else { return false };
        left = fewer;
    }
    true
}

/// The head of a data item (RFC 8949 section 3).
struct Header {
    major: u8,
    /// Length, count or value; 0 where it is left open.
    argument: u64,
}

impl Header {
    const BYTES: u8 = 2;
    const TEXT: u8 = 3;
    const ARRAY: u8 = 4;
    const MAP: u8 = 5;

    /// Takes the head that `rest` begins with; `None` at the end.
    fn take(rest: &mut &[u8]) -> Option<Self> {
        let (first, after) = rest.split_first()?;
        let (major, short) = (first >> 5, first & 0x1f);
        let length = if (24..28).contains(&short) { 1 << (short - 24) } else { 0 };
        let (digits, after) = after.split_at_checked(length)?;
        *rest = after;
        let long = digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let argument = if short < 24 { u64::from(short) } else { long };
        Some(Self { major, argument })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_entries_need_bytes() {
        assert!(counts_fit(b"\x83\x01\x02\x03"));
        assert!(!counts_fit(b"\x9b\x7f\x60\x61\x61\xff\x7f\x60\x61\x61"), "an array of 2^63");
        assert!(!counts_fit(b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "a map of 2^64");
        assert!(!counts_fit(b"\x98\x08\x98\x08\x98\x08\x01\x02\x03\x04"), "each alone would fit");
        assert!(counts_fit(b"\x5b\x7f\x60\x61\x61\xff\x7f\x60\x61\x61"), "no entries, only an early end");
        assert!(counts_fit(b"\x44\x9b\xff\xff\xff"), "what looks like an array is data");
    }
}
