//! Sequence numbers as Kinesis Data Streams writes them: decimal, 56 digits, of a number whose 47
//! hexadecimal digits say
//!
//! ```text
//!  digits  what
//!  1       2
//!  9       second in which the shard was made
//!  1       lowest digit of the shard's number
//!  16      index of the record in its shard
//!  2       00
//!  9       second in which the record arrived
//!  8       the shard's number
//!  1       2, the version of this layout
//! ```
//!
//! The index alone says where the record is; it rises by one with every record, so that the numbers
//! of a shard rise, too.

use std::fmt;
use std::str::FromStr;

use base::Timestamp;

/// The layout's version, and the digit in front.
const TWO: u64 = 2;
/// Bits of a time in seconds.
const SECONDS: u64 = (1 << 36) - 1;
/// Most digits that are looked at (the AWS model's pattern).
const LONGEST: usize = 129;
/// As many digits as a `u64` surely takes.
const CHUNK: u64 = 10_u64.pow(19);

/// The number of one record. Those of one shard are ordered by [`Self::index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceNumber {
    /// Seconds since the epoch when the shard was made.
    pub created: u64,
    /// The shard's number.
    pub shard: u32,
    /// The record's place in its shard, from 1; 0 stands before the first.
    pub index: u64,
    /// Seconds since the epoch when the record arrived.
    pub arrived: u64,
}

/// Not a sequence number of this layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number")]
pub struct SequenceError;

impl SequenceNumber {
    /// The number of the record at `index` of a shard.
    pub fn new(shard: &catalog::Shard, index: u64, arrived: Timestamp) -> Self {
        Self { created: seconds(shard.created), shard: shard.id, index, arrived: seconds(arrived) }
    }

    /// Whether it was given for this shard: of the same number, made at the same time.
    pub fn is_of(&self, shard: &catalog::Shard) -> bool {
        (self.shard, self.created) == (shard.id, seconds(shard.created))
    }

    /// Least significant first.
    fn limbs(&self) -> [u64; 3] {
        let (shard, arrived) = (u64::from(self.shard), self.arrived & SECONDS);
        [
            TWO | shard << 4 | arrived << 36,
            arrived >> 28 | self.index << 16,
            self.index >> 48 | (shard & 0xf) << 16 | (self.created & SECONDS) << 20 | TWO << 56,
        ]
    }

    fn from_limbs([low, middle, high]: [u64; 3]) -> Option<Self> {
        let shard = u32::try_from((low >> 4) & u64::from(u32::MAX)).ok()?;
        let number = Self {
            created: (high >> 20) & SECONDS,
            shard,
            index: middle >> 16 | high << 48,
            arrived: low >> 36 | (middle & 0xff) << 28,
        };
        // All that has one way to be: both twos, the zeros, the shard's digit.
        (number.limbs() == [low, middle, high]).then_some(number)
    }
}

/// A shard's number, shown as clients write it: `shardId-000000000003`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// A shard's number as clients write it.
pub fn shard_id(shard: u32) -> String {
    ShardId(shard).to_string()
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.millis().div_euclid(1000)).unwrap_or(0) & SECONDS
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs();
        let low = divide(&mut limbs);
        let middle = divide(&mut limbs);
        write!(f, "{}{middle:019}{low:019}", limbs[0])
    }
}

/// Divides by [`CHUNK`] and gives the remainder.
fn divide(limbs: &mut [u64; 3]) -> u64 {
    let mut rest = 0_u64;
    for limb in limbs.iter_mut().rev() {
        let whole = u128::from(rest) << 64 | u128::from(*limb);
        // The rest is below the divisor, so that the quotient fits.
        *limb = (whole / u128::from(CHUNK)) as u64;
        rest = (whole % u128::from(CHUNK)) as u64;
    }
    rest
}

impl FromStr for SequenceNumber {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SequenceError);
        }
        let mut limbs = [0_u64; 3];
        for digit in text.bytes().map(|b| u128::from(b - b'0')) {
            let mut carry = digit;
            for limb in &mut limbs {
                let product = u128::from(*limb) * 10 + carry;
                (*limb, carry) = (product as u64, product >> 64);
            }
            if carry > 0 {
                return Err(SequenceError);
            }
        }
        Self::from_limbs(limbs).ok_or(SequenceError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_number() -> impl Strategy<Value = SequenceNumber> {
        (0..=SECONDS, any::<u32>(), any::<u64>(), 0..=SECONDS)
            .prop_map(|(created, shard, index, arrived)| SequenceNumber { created, shard, index, arrived })
    }

    #[test]
    fn the_digits_are_those_of_the_layout() {
        let number =
            SequenceNumber { created: 0x0_1234_5678, shard: 0xab, index: 0xfeed, arrived: 0x0_2345_6789 };
        let [low, middle, high] = number.limbs();
        let hex = "2012345678b000000000000feed00023456789000000ab2";
        assert_eq!(format!("{high:x}{middle:016x}{low:016x}"), hex);
        assert_eq!(number.to_string().len(), 56);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let good = SequenceNumber { created: 1, shard: 2, index: 3, arrived: 4 }.to_string();
        let next = good.replace(&good[55..], &((good.as_bytes()[55] - b'0' + 1) % 10).to_string());
        for bad in ["", "0", "12", "1e5", &"9".repeat(58), &"9".repeat(200), &next] {
            assert_eq!(bad.parse::<SequenceNumber>(), Err(SequenceError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(number in any_number()) {
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(number.to_string().len(), 56);
        }

        #[test]
        fn numbers_of_a_shard_are_ordered_by_index(
            number in any_number(), more in 1u64..1_000_000_000_000, arrived in 0..=SECONDS,
        ) {
            if let Some(index) = number.index.checked_add(more) {
                let later = SequenceNumber { index, arrived, ..number };
                prop_assert!(later.to_string() > number.to_string());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{0,140}|.{0,20}") {
            let _ = text.parse::<SequenceNumber>();
        }
    }
}
