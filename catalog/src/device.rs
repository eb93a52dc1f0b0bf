//! Device credentials: what a camera or a player is given.

use std::fmt;
use std::str::FromStr;

use base::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};

use crate::secret::{alphanumeric, sha256};
use crate::{CatalogError, Secret, StreamGlob};

/// What the holder of a device credential may do with the streams its pattern matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Push media.
    pub publish: bool,
    /// Watch, live and recorded.
    pub play: bool,
    /// Make the stream by pushing to it for the first time.
    pub create: bool,
}

/// The list as the command line takes it: `publish,play,create`.
impl FromStr for Allow {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self, CatalogError> {
        let mut allow = Self::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "publish" => allow.publish = true,
                "play" => allow.play = true,
                "create" => allow.create = true,
                _ => {
                    let why = format!("{word:?} is none of publish, play, create");
                    return Err(CatalogError::Invalid { what: "list of rights", why });
                }
            }
        }
        Ok(allow)
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.publish, "publish"), (self.play, "play"), (self.create, "create")];
        let words: Vec<_> = words.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
        f.write_str(&words.join(","))
    }
}

/// A device credential, as it is kept. The token is known by its hash only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// At most 32 letters and digits.
    pub username: String,
    /// At most 32 letters and digits. RTSP Digest (RFC 7616) computes with it.
    pub password: Secret,
    /// SHA-256 of the bearer token.
    pub token_sha256: [u8; 32],
    /// The streams it is for.
    pub streams: StreamGlob,
    /// What it is for.
    pub allow: Allow,
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A device credential, as it is told once to whom it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCredential {
    /// For RTSP.
    pub username: String,
    /// For RTSP.
    pub password: Secret,
    /// For WHIP and WHEP, as bearer: 48 letters and digits.
    pub token: Secret,
}

impl Device {
    /// A new credential, and what is kept of it.
    pub(crate) fn generate(
        entropy: &dyn Entropy,
        streams: StreamGlob,
        allow: Allow,
        now: Timestamp,
    ) -> (Self, DeviceCredential) {
        let credential = DeviceCredential {
            username: format!("dev{}", alphanumeric(entropy, 17)),
            password: Secret::new(alphanumeric(entropy, 32)),
            token: Secret::new(alphanumeric(entropy, 48)),
        };
        let device = Self {
            username: credential.username.clone(),
            password: credential.password.clone(),
            token_sha256: sha256(credential.token.expose().as_bytes()),
            streams,
            allow,
            created: now,
            revoked: None,
        };
        (device, credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemEntropy;

    #[test]
    fn rights_read_and_write_as_a_list() {
        let allow: Allow = "publish, create".parse().unwrap();
        assert_eq!(allow, Allow { publish: true, play: false, create: true });
        assert_eq!(allow.to_string(), "publish,create");
        assert!("publish,admin".parse::<Allow>().is_err());
        assert!("".parse::<Allow>().is_err());
    }

    #[test]
    fn cameras_can_hold_what_is_made() {
        let now = Timestamp::from_millis(0);
        let (device, credential) = Device::generate(&SystemEntropy, StreamGlob::all(), Allow::default(), now);
        assert!(credential.username.len() <= 32 && credential.password.expose().len() <= 32);
        assert!(credential.token.expose().len() >= 43);
        assert_eq!(device.token_sha256, sha256(credential.token.expose().as_bytes()));
        assert!(!format!("{device:?}{credential:?}").contains(credential.password.expose()));
    }
}
