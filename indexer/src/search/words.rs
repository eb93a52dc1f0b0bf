//! Values as words, and words as blinded terms.
//!
//! A value is cut at everything that is neither letter nor digit and lower-cased; a value without either
//! is one word, as it stands. On disk a word is only an HMAC-SHA256 (RFC 2104), cut to 96 bits, of the tag's name
//! and the word: equal words stay equal, so that exact and phrase search work, and nothing can be read back.

use std::collections::HashMap;
use std::sync::Arc;

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
}

/// The terms of tags as they are indexed, remembered: cameras send the same values over and over.
#[derive(Default)]
pub(super) struct Blinded(HashMap<String, HashMap<String, Arc<TagTerms>>>, usize);

/// The terms of one tag's value: in any tag, and in this one. Each is a text with a space between two terms.
pub(super) struct TagTerms {
    pub anywhere: String,
    pub named: String,
}

/// Tags that are remembered; then all are forgotten.
const MOST_REMEMBERED: usize = 4_096;
/// Longer names and values are not remembered, in bytes.
const LONGEST_REMEMBERED: usize = 64;

impl Blinded {
    /// The terms of a tag.
    pub(super) fn terms(&mut self, blinder: &Blinder, name: &str, value: &str) -> Arc<TagTerms> {
        if let Some(known) = self.0.get(name).and_then(|values| values.get(value)) {
            return Arc::clone(known);
        }
        let words = words(value);
        let text = |name| words.iter().map(|word| blinder.term(name, word)).collect::<Vec<_>>().join(" ");
        let terms = Arc::new(TagTerms { anywhere: text(None), named: text(Some(name)) });
        if name.len() <= LONGEST_REMEMBERED && value.len() <= LONGEST_REMEMBERED {
            if self.1 >= MOST_REMEMBERED {
                *self = Self::default();
            }
            self.0.entry(name.to_owned()).or_default().insert(value.to_owned(), Arc::clone(&terms));
            self.1 += 1;
        }
        terms
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
    fn remembered_terms_are_the_terms() {
        let blinder = Blinder::new(&[1; 32]);
        let mut blinded = Blinded::default();
        for round in 0..2 * MOST_REMEMBERED + 2 {
            let value = format!("Gate {}", round % (MOST_REMEMBERED + 1));
            let terms = blinded.terms(&blinder, "site", &value);
            let expected = |name| words(&value).iter().map(|w| blinder.term(name, w)).collect::<Vec<_>>();
            assert_eq!(terms.anywhere, expected(None).join(" "));
            assert_eq!(terms.named, expected(Some("site")).join(" "));
            assert!(blinded.1 <= MOST_REMEMBERED);
        }
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
