//! Evidence holds: a span of a stream's time of which nothing may go.

use base::{StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CatalogError;

/// Holds of one stream that may stand at a time: each costs every query of the stream a comparison.
pub(crate) const MAX_STANDING: usize = 100;
/// Holds that one stream may have had, standing or cleared: none is forgotten while its stream exists.
pub(crate) const MAX_HOLDS: usize = 1000;
/// Bytes of a hold's id.
const ID_BYTES: usize = 64;
/// Bytes of a hold's reason.
const REASON_BYTES: usize = 1024;

/// A hold, standing or cleared. What it says of its setting never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The stream it is on.
    pub stream: StreamId,
    /// Its name among the holds of its stream, given once.
    pub id: String,
    /// The first moment that is held.
    pub start: Timestamp,
    /// The last moment that is held; may lie ahead.
    pub end: Timestamp,
    /// Why.
    pub reason: String,
    /// Who set it: an access key's id.
    pub set_by: String,
    /// When.
    pub set: Timestamp,
    /// Who cleared it, and when; `None` while it stands.
    pub cleared: Option<Cleared>,
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleared {
    /// Who cleared it: an access key's id.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A hold to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// See [`Hold::id`]: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// See [`Hold::start`].
    pub start: Timestamp,
    /// See [`Hold::end`].
    pub end: Timestamp,
    /// See [`Hold::reason`]: 1 to 1024 bytes.
    pub reason: String,
}

impl NewHold {
    /// Whether everything is within its limits.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !(1..=ID_BYTES).contains(&self.id.len()) || !self.id.bytes().all(letter) {
            let why = format!("1 to {ID_BYTES} letters, digits, -, _ and .");
            return Err(CatalogError::Invalid { what: "hold id", why });
        }
        if !(1..=REASON_BYTES).contains(&self.reason.len()) {
            return Err(CatalogError::Invalid { what: "reason", why: format!("1 to {REASON_BYTES} bytes") });
        }
        if self.end < self.start {
            return Err(CatalogError::Invalid { what: "end", why: "not before start".into() });
        }
        Ok(())
    }

    pub(crate) fn set(self, stream: StreamId, by: String, now: Timestamp) -> Hold {
        let Self { id, start, end, reason } = self;
        Hold { stream, id, start, end, reason, set_by: by, set: now, cleared: None }
    }
}

impl Hold {
    /// Whether it still protects anything.
    pub fn stands(&self) -> bool {
        self.cleared.is_none()
    }

    /// Whether it says what `new` asks for.
    pub(crate) fn is(&self, new: &NewHold) -> bool {
        (self.start, self.end, &self.reason) == (new.start, new.end, &new.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let at = Timestamp::from_millis;
        let hold = |id: usize, reason: usize, end: i64| {
            let (id, reason) = ("x".repeat(id), "y".repeat(reason));
            NewHold { id, start: at(5), end: at(end), reason }.check().is_ok()
        };
        assert!(hold(1, 1, 5) && hold(64, 1024, 6));
        assert!(!hold(0, 1, 5) && !hold(65, 1, 5) && !hold(1, 0, 5) && !hold(1, 1025, 5) && !hold(1, 1, 4));
        let odd = NewHold { id: "a/b".into(), start: at(0), end: at(0), reason: "r".into() };
        assert!(odd.check().is_err());
    }
}
