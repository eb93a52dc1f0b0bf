//! Text on its way through a deserialiser.

use std::borrow::Cow;

use serde::Deserialize;

/// Text that is copied only where it cannot be borrowed: it is parsed at once and not kept.
#[derive(Deserialize)]
pub(crate) struct Text<'t>(#[serde(borrow)] pub Cow<'t, str>);
