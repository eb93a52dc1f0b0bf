//! Names that a delivery has by itself: the same at every try, also after a crash.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of `!{firehose:random-string}`.
const RANDOM: usize = 11;

/// What a delivery is known by: a digest of what it is made of. Whoever delivers the same once more comes to the
/// same names, so that an object replaces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity([u8; 32]);

impl Identity {
    /// Of these parts.
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// With one part more.
    pub fn with(&self, part: &[u8]) -> Self {
        Self::new(&[&self.0, part])
    }

    /// As a UUID of version 8 (RFC 9562 §5.8).
    pub fn uuid(&self) -> String {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.0[..16].iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let byte = match at {
                6 => byte & 0x0f | 0x80,
                8 => byte & 0x3f | 0x80,
                _ => *byte,
            };
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Eleven letters and digits, others for every `place`.
    pub fn random_string(&self, place: u32) -> String {
        let digest = self.with(&place.to_be_bytes());
        digest.0[..RANDOM]
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_names_have_their_forms() {
        let identity = Identity::new(&[b"ab", b"c"]);
        assert_ne!(identity, Identity::new(&[b"a", b"bc"]));
        assert_eq!(identity, Identity::new(&[b"ab", b"c"]));
        let uuid = identity.uuid();
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert!(uuid[14..].starts_with('8') && "89ab".contains(&uuid[19..20]), "{uuid}");
        assert_ne!(identity.random_string(1), identity.random_string(2));
    }
}
