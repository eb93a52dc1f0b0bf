//! Patterns of stream names.

use std::fmt;
use std::str::FromStr;

use base::StreamName;
use serde::{Deserialize, Serialize};

use crate::CatalogError;

/// A pattern of stream names: `*` stands for any run of characters, `?` for any one; all else stands
/// for itself. At most 256 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamGlob(String);

impl StreamGlob {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] where no stream name could match.
    pub fn new(pattern: &str) -> Result<Self, CatalogError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-*?".contains(&b);
        if pattern.is_empty() || pattern.len() > 256 || !pattern.bytes().all(allowed) {
            return Err(CatalogError::Invalid {
                what: "stream pattern",
                why: "use 1 to 256 of a-z A-Z 0-9 _ . - and the wildcards * and ?".into(),
            });
        }
        Ok(Self(pattern.into()))
    }

    /// The pattern that every stream matches.
    pub fn all() -> Self {
        Self("*".into())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name matches, in at most pattern × name steps.
    pub fn matches(&self, name: &StreamName) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_str().as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on when the rest does not fit: after the last star, one more character eaten.
        let mut retry = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                retry = Some((p + 1, n));
                p += 1;
            } else if pattern.get(p).is_some_and(|&b| b == b'?' || b == name[n]) {
                p += 1;
                n += 1;
            } else if let Some((after_star, eaten)) = retry {
                retry = Some((after_star, eaten + 1));
                p = after_star;
                n = eaten + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&b| b == b'*')
    }
}

impl fmt::Display for StreamGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamGlob {
    type Err = CatalogError;
    fn from_str(pattern: &str) -> Result<Self, CatalogError> {
        Self::new(pattern)
    }
}

impl TryFrom<String> for StreamGlob {
    type Error = CatalogError;
    fn try_from(pattern: String) -> Result<Self, CatalogError> {
        Self::new(&pattern)
    }
}

impl From<StreamGlob> for String {
    fn from(glob: StreamGlob) -> Self {
        glob.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        StreamGlob::new(pattern).unwrap().matches(&StreamName::new(name).unwrap())
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in
            [("*", "a"), ("cam-*", "cam-1"), ("cam-*", "cam-"), ("*-door", "front-door"), ("c?m*1", "cam-11")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("cam-*", "Cam-1"), ("cam", "cam-1"), ("?", "ab"), ("a*b*c", "acb")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn refuses_what_no_name_could_match() {
        for bad in ["", "a/b", "[a]", "a b", &"*".repeat(257)] {
            assert!(StreamGlob::new(bad).is_err(), "{bad}");
        }
    }

    /// The definition, exponential but plain.
    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| defined(rest, &name[skip..])),
            ([b'?', rest @ ..], [_, name @ ..]) => defined(rest, name),
            ([a, rest @ ..], [b, name @ ..]) => a == b && defined(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{1,8}", name in "[ab]{1,8}") {
            prop_assert_eq!(matches(&pattern, &name), defined(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
