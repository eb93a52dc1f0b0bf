//! How AWS writes values in JSON and CBOR.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time: in JSON epoch seconds, whole or with decimals; in CBOR tag 1 over whole *milliseconds*, not
/// over the seconds that RFC 8949 has there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(pub Timestamp);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_f64(self.0.secs_f64());
        }
        ciborium::tag::Required::<i64, 1>(self.0.millis()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return f64::deserialize(deserializer).map(|secs| Self(Timestamp::from_secs_f64(secs)));
        }
        // The reader steps over the tag.
        i64::deserialize(deserializer).map(|millis| Self(Timestamp::from_millis(millis)))
    }
}

/// Bytes: base64 in JSON, a byte string in CBOR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&base64_simd::STANDARD.encode_to_string(&self.0));
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(BlobVisitor);
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        let decoded = base64_simd::STANDARD.decode_to_vec(text).or_else(|_| {
            // The fast decoder does not say what is wrong.
            STANDARD.decode(text).map_err(|error| E::custom(not_base64(text, &error)))
        });
        decoded.map(|bytes| Blob(bytes.into()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }
}

/// A value that is answered as its text, without a `String` between.
#[derive(Clone, Copy, Debug)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What the service says of text that is not base64.
fn not_base64(text: &str, error: &base64::DecodeError) -> String {
    let stray = text.bytes().find(|b| !b.is_ascii_alphanumeric() && !b"+/=".contains(b));
    match (stray, error) {
        (_, _) if !text.len().is_multiple_of(4) => {
            format!("Base64 encoded length is expected a multiple of 4 bytes but found: {}", text.len())
        }
        (Some(stray), _) => format!("Invalid Base64 character: '{}'", char::from(stray)),
        (None, base64::DecodeError::InvalidByte(_, byte)) => {
            format!("Invalid Base64 character: '{}'", char::from(*byte))
        }
        (None, _) => "Invalid last non-pad Base64 character dectected".to_owned(),
    }
}

/// A list of which no more than one entry beyond `MOST` is kept: a longer one is refused by the check, and
/// takes no memory before that.
///
/// # Errors
/// As the entries'.
pub fn capped<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Capped<T, MOST>>::deserialize(deserializer).map(|list| list.map(|Capped(entries)| entries))
}

struct Capped<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Capped<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CappedVisitor(std::marker::PhantomData))
    }
}

struct CappedVisitor<T, const MOST: usize>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for CappedVisitor<T, MOST> {
    type Value = Capped<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MOST {
            let Some(entry) = entries.next_element()? else { return Ok(Capped(kept)) };
            kept.push(entry);
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Capped(kept))
    }
}

/// A structure of which nothing is read: it is not offered.
#[derive(Debug, Default)]
pub struct Opaque;

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, IgnoredAny>::deserialize(deserializer).map(|_| Self)
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

impl<E: Closed + PartialEq> Serialize for Choice<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = |value: &E| E::VALUES.iter().find(|(_, known)| known == value).map(|(word, _)| *word);
        serializer.serialize_str(match self {
            Self::Known(value) => word(value).unwrap_or_default(),
            Self::Unknown(text) => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The two decoders take the same texts, and the two encoders write the same.
        #[test]
        fn base64_is_read_strictly(bytes: Vec<u8>, stray in 0..=255_u8, at: prop::sample::Index) {
            let read = |text: &str| serde_json::from_value::<Blob>(text.into()).map(|blob| blob.0.to_vec());
            let text = STANDARD.encode(&bytes);
            prop_assert_eq!(serde_json::to_value(Blob(bytes.clone().into())).unwrap(), text.as_str());
            prop_assert_eq!(read(&text).unwrap(), bytes);
            let mut broken = text.into_bytes();
            if !broken.is_empty() {
                let at = at.index(broken.len());
                broken[at] = stray & 0x7f;
            }
            let broken = String::from_utf8(broken).unwrap();
            prop_assert_eq!(read(&broken).ok(), STANDARD.decode(&broken).ok());
        }
    }

    #[test]
    fn times_are_numbers_both_ways() {
        let at: Epoch = serde_json::from_str("1.705489836421E9").unwrap();
        assert_eq!(at.0.millis(), 1_705_489_836_421);
        assert_eq!(serde_json::to_string(&at).unwrap(), "1705489836.421");
        let whole: Epoch = serde_json::from_str("1705489836").unwrap();
        assert_eq!(whole.0.millis(), 1_705_489_836_000);
        assert!(serde_json::from_str::<Epoch>("\"2024\"").is_err());
    }

    #[test]
    fn a_long_list_is_read_to_its_end_and_not_kept() {
        #[derive(Deserialize)]
        struct Input {
            #[serde(deserialize_with = "capped::<_, _, 2>")]
            list: Option<Vec<i64>>,
            after: i64,
        }
        let read = |text| serde_json::from_str::<Input>(text).unwrap();
        let long = read(r#"{"list": [1, 2, 3, 4, 5], "after": 6}"#);
        assert_eq!((long.list, long.after), (Some(vec![1, 2, 3]), 6));
        assert_eq!(read(r#"{"list": null, "after": 6}"#).list, None);
    }
}
