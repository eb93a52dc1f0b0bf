//! The native API under `/v1`, the sign-in link and the page.
//!
//! A route is a [`route::Route`] in the list of its file; the lists together are the API. Mounting, the check of
//! parameters and the OpenAPI document come from them.

mod caller;
mod clip;
mod clock_corrections;
mod data_streams;
mod deliveries;
mod discover;
mod encryption;
mod events;
mod fragments;
mod hls;
mod holds;
mod info;
mod keys;
mod labels;
mod media;
mod openapi;
pub mod page;
mod params;
mod probe;
mod records;
mod refusal;
mod retention;
mod route;
mod secrets;
mod session;
mod sign_in;
mod source;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod timestamps;
mod urls;
mod viewer;
pub mod whip;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use route::Route;

pub use encryption::master_key_place;
pub use fragments::FragmentInfo;
pub use keys::credentials;
pub use sign_in::SignInLinks;

/// Every route of the API, by file.
static ROUTES: &[&[&Route]] = &[
    streams::ROUTES,
    labels::ROUTES,
    events::ROUTES,
    retention::ROUTES,
    timestamps::ROUTES,
    clock_corrections::ROUTES,
    source::ROUTES,
    secrets::ROUTES,
    probe::ROUTES,
    discover::ROUTES,
    holds::ROUTES,
    timeline::ROUTES,
    hls::ROUTES,
    clip::ROUTES,
    urls::ROUTES,
    whip::ROUTES,
    fragments::ROUTES,
    data_streams::ROUTES,
    records::ROUTES,
    deliveries::ROUTES,
    session::ROUTES,
    sign_in::ROUTES,
    keys::ROUTES,
    encryption::ROUTES,
    info::ROUTES,
    openapi::ROUTES,
];

/// Everything under `/v1`, `/whip` and `/signin`. Mounted by [`crate::router`], behind its authentication
/// layer.
pub fn routes() -> Router<Arc<App>> {
    let all = ROUTES.iter().copied().flatten();
    let router = all.fold(Router::new(), |router, route| router.route(route.path, route.mounted()));
    router.method_not_allowed_fallback(refusal::other_method)
}
