//! Which path leads to which handler.

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::native;

/// All paths of the HTTP and HTTPS listeners.
pub fn router(app: Arc<App>) -> Router {
    Router::new().merge(native::routes()).with_state(app)
}
