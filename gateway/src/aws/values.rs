//! How AWS writes values in JSON.

use base::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time as epoch seconds, whole or with decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(pub Timestamp);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.secs_f64())
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(|secs| Self(Timestamp::from_secs_f64(secs)))
    }
}

/// A closed set of words.
pub trait Closed: Copy + 'static {
    /// The words and what they stand for, in the model's order.
    const VALUES: &'static [(&'static str, Self)];
}

/// A word of a closed set, or whatever else was sent: the check refuses that in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<E> {
    /// A word of the set.
    Known(E),
    /// Another word.
    Unknown(String),
}

impl<E: Closed> Choice<E> {
    /// What the word stands for.
    pub fn known(&self) -> Option<E> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Unknown(_) => None,
        }
    }
}

impl<'de, E: Closed> Deserialize<'de> for Choice<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = E::VALUES.iter().find(|(word, _)| *word == text);
        Ok(found.map_or(Self::Unknown(text), |(_, value)| Self::Known(*value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_both_ways() {
        let at: Epoch = serde_json::from_str("1.705489836421E9").unwrap();
        assert_eq!(at.0.millis(), 1_705_489_836_421);
        assert_eq!(serde_json::to_string(&at).unwrap(), "1705489836.421");
        let whole: Epoch = serde_json::from_str("1705489836").unwrap();
        assert_eq!(whole.0.millis(), 1_705_489_836_000);
        assert!(serde_json::from_str::<Epoch>("\"2024\"").is_err());
    }
}
