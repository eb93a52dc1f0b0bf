//! Secrets: made from the entropy that was handed in, never printed, compared without telling where
//! they differ.

use std::fmt;

use base::Entropy;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// A password or secret key. `Debug` does not show it; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that was read or made elsewhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for computing signatures and digests with it, and for telling it once to
    /// whom it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is the secret. Digests are compared, so that the time taken tells nothing
    /// about how much of it was right.
    pub fn matches(&self, offered: &str) -> bool {
        sha256(self.0.as_bytes()) == sha256(offered.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Letters and digits: what AWS versions, passwords and tokens here are made of. Safe in a URL, a
/// shell and a configuration file.
const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// What AWS's stream ids are made of.
const LOWER_ALPHANUMERIC: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// RFC 4648 base 32, of which AWS makes access key ids.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `len` random letters and digits: 5.95 bits each.
pub(crate) fn alphanumeric(entropy: &dyn Entropy, len: usize) -> String {
    random_text(entropy, ALPHANUMERIC, len)
}

/// `len` random lower-case letters and digits: 5.17 bits each.
pub(crate) fn lower_alphanumeric(entropy: &dyn Entropy, len: usize) -> String {
    random_text(entropy, LOWER_ALPHANUMERIC, len)
}

/// An access key id as AWS makes them: `AKIA` and 16 characters.
pub(crate) fn access_key_id(entropy: &dyn Entropy) -> String {
    format!("AKIA{}", random_text(entropy, BASE32, 16))
}

fn random_text(entropy: &dyn Entropy, alphabet: &[u8], len: usize) -> String {
    let pick = |_| {
        let random = u64::from(u32::from_le_bytes(entropy.bytes::<4>()));
        // A 32-bit draw scaled to the alphabet: the bias is below one in 2^26.
        let at = (random * alphabet.len() as u64) >> 32;
        char::from(alphabet[at as usize])
    };
    (0..len).map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemEntropy;

    #[test]
    fn does_not_show_itself_and_matches_only_itself() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter") && !secret.matches("hunter22") && !secret.matches(""));
    }

    #[test]
    fn random_text_has_the_length_and_the_alphabet() {
        let text = alphanumeric(&SystemEntropy, 4000);
        assert_eq!(text.len(), 4000);
        assert!(ALPHANUMERIC.iter().all(|&c| text.contains(char::from(c))), "every character comes up");
        let id = access_key_id(&SystemEntropy);
        assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
    }
}
