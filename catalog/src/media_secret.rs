//! Secrets that hold the URL of a camera: what AWS keeps in Secrets Manager for the edge agent.

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::source::check_url;
use crate::{CatalogError, Secret};

/// Secrets that there may be.
pub(crate) const MAX_SECRETS: usize = 10_000;
/// Bytes of a secret's name.
const NAME_BYTES: usize = 256;
/// Random characters that an ARN ends with, after a hyphen, as Secrets Manager makes them.
pub(crate) const SUFFIX_LEN: usize = 6;

/// The URL of a camera under a name. It is told to nobody but pullers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSecret {
    /// Its name.
    pub name: String,
    /// `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX`: stays when the URL is replaced, and is
    /// another one once the secret was deleted and made again.
    pub arn: String,
    /// Where the camera is and how to sign in there.
    pub media_uri: Secret,
    /// When it was made.
    pub created: Timestamp,
    /// When its URL was set last.
    pub changed: Timestamp,
}

/// Whether a secret may have this name and this URL.
pub(crate) fn check(name: &str, media_uri: &Secret) -> Result<(), CatalogError> {
    // What the pattern of MediaUriSecretArn takes in an ARN.
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !(1..=NAME_BYTES).contains(&name.len()) || !name.bytes().all(letter) {
        let why = format!("1 to {NAME_BYTES} letters, digits, -, _ and .");
        return Err(CatalogError::Invalid { what: "name", why });
    }
    check_url("MediaURI", media_uri)
}

/// The name in a secret's ARN; `None` for text that is no such ARN.
pub(crate) fn name_in(arn: &str) -> Option<&str> {
    let (_, name) = arn.split_once(":secret:")?;
    let (name, suffix) = name.rsplit_once('-')?;
    (suffix.len() == SUFFIX_LEN).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_the_name() {
        let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}");
        assert_eq!(name_in(&arn("front-door-aB3dE9")), Some("front-door"));
        for bad in ["front-door", "aB3dE9", ""] {
            assert_eq!(name_in(&arn(bad)), None, "{bad}");
        }
        assert_eq!(name_in("front-door-aB3dE9"), None);
    }

    #[test]
    fn limits_are_inclusive() {
        let taken = |name: &str, url: &str| check(name, &Secret::new(url)).is_ok();
        assert!(taken("a", "u") && taken(&"a".repeat(256), &"u".repeat(4096)));
        assert!(!taken("", "u") && !taken(&"a".repeat(257), "u") && !taken("a/b", "u"));
        assert!(!taken("a", "") && !taken("a", &"u".repeat(4097)));
    }
}
