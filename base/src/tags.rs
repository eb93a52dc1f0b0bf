//! Name and value pairs: stream labels, fragment tags, resource tags.

use std::collections::BTreeMap;

/// Tags in a stable order. Limits are the caller's: each service has its own.
pub type Tags = BTreeMap<String, String>;
