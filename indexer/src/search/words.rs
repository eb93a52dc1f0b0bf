//! Values as words, and words as blinded terms.
//!
//! A value is cut at everything that is neither letter nor digit and lower-cased; a value without either
//! is one word, as it stands. On disk a word is only an HMAC-SHA256 (RFC 2104), cut to 96 bits, of the tag's name
//! and the word: equal words stay equal, so that exact and phrase search work, and nothing can be read back.

use ring::hmac;

/// The words of a value, in order.
pub(crate) fn words(value: &str) -> Vec<String> {
    let cut = |c: char| !c.is_alphanumeric();
    let words: Vec<_> = value.split(cut).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let value = value.trim();
    if words.is_empty() && !value.is_empty() { vec![value.to_owned()] } else { words }
}

/// Whether `value` has `phrase` as consecutive words.
pub(crate) fn contains(value: &str, phrase: &[String]) -> bool {
    !phrase.is_empty() && words(value).windows(phrase.len()).any(|window| window == phrase)
}

/// Makes the terms that stand for words on disk.
pub(crate) struct Blinder(hmac::Key);

/// Bytes of the HMAC that are kept: two of 2^32 different words collide once in 2^32 installations.
const TERM_BYTES: usize = 12;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl Blinder {
    /// With a key that [`fragment_log::Keyring::derive`] made for this purpose.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The term of a word in the tag `name`, or in any tag.
    pub(crate) fn term(&self, name: Option<&str>, word: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        if let Some(name) = name {
            context.update(&[1]);
            context.update(&(name.len() as u64).to_le_bytes());
            context.update(name.as_bytes());
        } else {
            context.update(&[0]);
        }
        context.update(word.as_bytes());
        let tag = context.sign();
        let mut hex = String::with_capacity(2 * TERM_BYTES);
        for byte in tag.as_ref().iter().take(TERM_BYTES) {
            hex.extend([byte >> 4, byte & 15].map(|nibble| char::from(HEX[usize::from(nibble)])));
        }
        hex
    }

    /// The id that stands for a description with this key.
    pub(super) fn id(&self, key: &[u8]) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[2]);
        context.update(key);
        let tag = context.sign();
        tag.as_ref().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_lower_case_words() {
        assert_eq!(words("Front-Door, 2. Stock"), ["front", "door", "2", "stock"]);
        assert_eq!(words("ÄRGER über"), ["ärger", "über"]);
        assert_eq!(words(" !? "), ["!?"]);
        assert!(words(" ").is_empty());
    }

    #[test]
    fn phrases_are_consecutive_words() {
        let phrase = |text| words(text);
        assert!(contains("a red truck", &phrase("Red Truck")));
        assert!(!contains("red big truck", &phrase("red truck")));
        assert!(!contains("red", &phrase("red truck")));
        assert!(!contains("", &[]));
    }

    #[test]
    fn a_term_depends_on_key_name_and_word() {
        let (one, other) = (Blinder::new(&[1; 32]), Blinder::new(&[2; 32]));
        let base = one.term(Some("ab"), "c");
        assert_eq!(base.len(), 2 * TERM_BYTES);
        assert_eq!(base, one.term(Some("ab"), "c"));
        for different in [
            other.term(Some("ab"), "c"),
            one.term(Some("a"), "bc"),
            one.term(None, "c"),
            one.term(Some("ab"), "d"),
        ] {
            assert_ne!(base, different);
        }
    }
}
