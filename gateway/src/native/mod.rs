//! The native API under `/v1`.

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// Everything under `/v1`. Mounted by [`crate::router`], behind its authentication layer.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
}
