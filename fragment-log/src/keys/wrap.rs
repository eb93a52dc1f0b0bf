//! How a master key wraps the table key: with 32 bytes of its own, or by a command.

use std::sync::Arc;

use base::Entropy;
use ring::aead::NONCE_LEN;

use super::Secret;
use super::command::{Command, MAX_ANSWER};
use crate::format::{FormatError, TAG_BYTES};

/// The longest wrapped key.
pub(super) const MAX_WRAPPED: usize = MAX_ANSWER;

/// What wraps.
#[derive(Clone)]
pub(super) enum Wrap {
    /// AES-256-GCM with this key.
    Key(Secret),
    /// A program, in whatever form it likes.
    Command(Arc<Command>),
}

/// A wrapped table key, as the key table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// By a key: nonce, sealed key, tag.
    Key([u8; NONCE_LEN + 32 + TAG_BYTES]),
    /// By a command: what it answered, 1 to [`MAX_WRAPPED`] bytes.
    Command(Vec<u8>),
}

impl Wrap {
    /// Wraps the table key; else says in words why it cannot. `context` must be the same to unwrap it
    /// with a key; a command sees none of it.
    pub(super) fn wrap(
        &self,
        table_key: &Secret,
        context: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Wrapped, String> {
        match self {
            Self::Key(key) => {
                let nonce: [u8; NONCE_LEN] = entropy.bytes();
                let mut sealed = table_key.0.to_vec();
                key.seal(nonce, context, &mut sealed);
                let wrapped = [&nonce[..], &sealed].concat();
                Ok(Wrapped::Key(wrapped.try_into().expect("nonce, key and tag have a fixed length")))
            }
            Self::Command(command) => {
                let wrapped = command.run("wrap", &table_key.0)?;
                if wrapped.is_empty() {
                    return Err("the command answered nothing to `wrap`".to_owned());
                }
                // Before anything depends on it.
                if command.run("unwrap", &wrapped)? != table_key.0 {
                    return Err("the command does not unwrap what it has wrapped".to_owned());
                }
                Ok(Wrapped::Command(wrapped))
            }
        }
    }

    /// The table key; else says in words why there is none.
    pub(super) fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<Secret, String> {
        match (self, wrapped) {
            (Self::Key(key), Wrapped::Key(wrapped)) => {
                let (nonce, sealed) = wrapped.split_first_chunk().expect("it begins with a nonce");
                let mut sealed = sealed.to_vec();
                let plain = key.open(*nonce, context, &mut sealed).and_then(|plain| plain.try_into().ok());
                plain.map(Secret).ok_or_else(|| "this is not the key that wrapped it".to_owned())
            }
            (Self::Command(command), Wrapped::Command(wrapped)) => {
                let plain = command.run("unwrap", wrapped)?;
                let length = plain.len();
                let plain = plain.try_into().map(Secret);
                plain.map_err(|_| format!("the command answered {length} bytes to `unwrap` instead of 32"))
            }
            (Self::Key(_), Wrapped::Command(_)) => {
                Err("a command wrapped it: set master_key_command, and no other master key".to_owned())
            }
            (Self::Command(_), Wrapped::Key(_)) => {
                Err("a key of 32 bytes wrapped it, and no command: set master_key_file".to_owned())
            }
        }
    }
}

impl Wrapped {
    /// The byte that names the kind, and the bytes.
    pub(super) fn to_stored(&self) -> (u8, &[u8]) {
        match self {
            Self::Key(wrapped) => (0, wrapped),
            Self::Command(wrapped) => (1, wrapped),
        }
    }

    /// Undoes [`Self::to_stored`].
    pub(super) fn from_stored(kind: u8, bytes: &[u8]) -> Result<Self, FormatError> {
        match (kind, bytes.len()) {
            (0, _) => {
                let wrapped = bytes.try_into().map(Self::Key);
                wrapped.map_err(|_| FormatError("the wrapped table key has another length"))
            }
            (1, 1..=MAX_WRAPPED) => Ok(Self::Command(bytes.to_vec())),
            (1, _) => Err(FormatError("the wrapped table key is too long or missing")),
            _ => Err(FormatError("the table key is wrapped in an unknown way")),
        }
    }
}
