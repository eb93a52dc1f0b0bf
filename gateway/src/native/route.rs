//! What the native API is made of: the shape of one route.

use std::sync::Arc;

use axum::Extension;
use axum::routing::MethodRouter;
use http::Method;
use http::Uri;

use super::params::Params;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

/// One method of one path. Mounting, parameter checks and the OpenAPI document all come from it.
pub(super) struct Route {
    pub(super) method: Method,
    /// As axum and OpenAPI write it: `/v1/streams/{name}`.
    pub(super) path: &'static str,
    /// One line: what it does.
    pub(super) summary: &'static str,
    pub(super) access: Access,
    /// What a policy has to allow; nothing, where everyone with credentials may.
    pub(super) asked: Option<Asked>,
    /// Everything that may stand in the query.
    pub(super) query: &'static [Param],
    /// Members of the JSON body, where it takes one.
    pub(super) body: Option<&'static [Field]>,
    pub(super) answer: Answer,
    pub(super) handler: fn() -> MethodRouter<Arc<App>>,
}

impl Route {
    /// The handler, which finds here what its caller asks for.
    pub(super) fn mounted(&self) -> MethodRouter<Arc<App>> {
        match self.asked {
            Some(asked) => (self.handler)().route_layer(Extension(asked)),
            None => (self.handler)(),
        }
    }

    /// The query of a request to this route.
    ///
    /// # Errors
    /// 400 naming a parameter that the route does not have, or that stands there twice.
    pub(super) fn params(&self, uri: &Uri) -> Result<Params, ApiError> {
        Params::read(uri, self.query.iter().map(|param| param.name))
    }
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone.
    Public,
    /// Holders of an access key, and devices as far as their credential allows it.
    Caller,
    /// These, and whoever has a signed URL.
    Viewer,
    /// Holders of an access key.
    Administrator,
}

/// One query parameter.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
}

impl Param {
    pub(super) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about }
    }
}

/// One member of a JSON body or answer.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

impl Field {
    /// A member that is always there.
    pub(super) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: true, about }
    }

    /// A member that may be left out, or be null in an answer.
    pub(super) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, about }
    }
}

/// The form of a value.
pub(super) enum Kind {
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    Whole {
        least: u64,
        most: u64,
    },
    Number,
    Boolean,
    /// ISO 8601, or epoch seconds or milliseconds; answers are ISO 8601.
    Time,
    /// Names and text values.
    Tags,
    List(&'static Kind),
    Object(&'static [Field]),
}

/// What a successful call gets.
pub(super) enum Answer {
    Json(u16, &'static [Field]),
    /// An object with the members of both lists.
    Joined(u16, &'static [Field], &'static [Field]),
    /// An object of names and text values.
    Tags(u16),
    /// No body.
    Empty(u16),
    /// JSON lines: objects with some of these members.
    Lines(u16, &'static [Field]),
    /// Something else, of this media type.
    Other(u16, &'static str),
}

/// The window parameters that search, playlists and clips share.
pub(super) const START: Param =
    Param::new("start", Kind::Time, "fragments that start no earlier; ISO 8601 or epoch seconds or ms");
pub(super) const END: Param =
    Param::new("end", Kind::Time, "fragments that start no later; ISO 8601 or epoch seconds or ms");
pub(super) const CLOCK: Param = Param::new(
    "clock",
    Kind::Choice(CLOCKS),
    "which time is compared: when the picture was made (producer, the default) or arrived (server)",
);
pub(super) const TOKEN: Param =
    Param::new("token", Kind::Text, "of a signed URL: stands for credentials and for the window");

/// The two clocks, as `clock` names them.
pub(super) const CLOCKS: &[&str] = &["producer", "server"];
