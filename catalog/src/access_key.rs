//! Access keys: what AWS clients sign with.

use base::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};

use crate::secret::{access_key_id, alphanumeric};
use crate::{CatalogError, Policy, Secret};

/// An access key of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// `AKIA` and 16 characters, unless it was chosen.
    pub id: String,
    /// 40 characters, unless it was chosen.
    pub secret: Secret,
    /// Whether it is the key of `DATA/credentials`.
    pub root: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// What it may do; everything, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

impl AccessKey {
    /// A new key with random id and secret.
    pub(crate) fn generate(entropy: &dyn Entropy, root: bool, now: Timestamp) -> Self {
        let secret = Secret::new(alphanumeric(entropy, 40));
        Self { id: access_key_id(entropy), secret, root, created: now, revoked: None, policy: None }
    }

    /// A new key whose id and secret someone chose.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] where a SigV4 client could not use them.
    pub(crate) fn chosen(id: String, secret: Secret, now: Timestamp) -> Result<Self, CatalogError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=128).contains(&id.len()) || !id.bytes().all(word) {
            let why = "use 1 to 128 of a-z A-Z 0-9 _ -".into();
            return Err(CatalogError::Invalid { what: "access key id", why });
        }
        let text = secret.expose();
        if !(8..=128).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let why = "use 8 to 128 visible ASCII characters".into();
            return Err(CatalogError::Invalid { what: "secret access key", why });
        }
        Ok(Self { id, secret, root: false, created: now, revoked: None, policy: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemEntropy;

    #[test]
    fn looks_like_an_aws_key() {
        let key = AccessKey::generate(&SystemEntropy, true, Timestamp::from_millis(0));
        assert!(key.id.starts_with("AKIA"));
        assert_eq!((key.id.len(), key.secret.expose().len()), (20, 40));
    }

    #[test]
    fn chosen_keys_are_checked() {
        let take = |id: &str, secret: &str| {
            AccessKey::chosen(id.into(), Secret::new(secret), Timestamp::from_millis(0)).is_ok()
        };
        assert!(take("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
        assert!(
            !take("", "longenough") && !take("a/b", "longenough") && !take(&"a".repeat(129), "longenough")
        );
        assert!(!take("id", "short") && !take("id", "with a space") && !take("id", "new\nline secret"));
    }
}
