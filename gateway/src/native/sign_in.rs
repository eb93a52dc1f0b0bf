//! One-time links that sign in, so that nobody pastes a secret to see the first picture.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{Clock, Entropy, Timestamp};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{Method, StatusCode, Uri};

use super::route::{Access, Answer, Kind, Param, Route};
use crate::app::{App, Arrival};
use crate::auth::session::cookie;
use crate::error::ApiError;

/// How long a link is good.
const LIFETIME: Duration = Duration::from_mins(10);

/// Links that may be open at one time.
const MOST: usize = 64;

static USE: Route = Route {
    method: Method::GET,
    path: "/signin",
    summary: "Sign in by a one-time link, as `make run` prints it",
    access: Access::Public,
    asked: None,
    query: &[Param::new("token", Kind::Text, "of the link; good once, for ten minutes")],
    body: None,
    answer: Answer::Other(303, "text/html"),
    handler: || get(use_link),
};

pub(super) static ROUTES: &[&Route] = &[&USE];

/// The links that were made and not used yet. They are forgotten when the server stops.
#[derive(Debug, Default)]
pub struct SignInLinks(Mutex<HashMap<String, Link>>);

#[derive(Debug)]
struct Link {
    access_key_id: String,
    expires: Timestamp,
}

impl SignInLinks {
    /// A new link's path, `/signin?token=…`, that signs in with this access key once, within ten minutes.
    pub fn make(&self, clock: &dyn Clock, entropy: &dyn Entropy, access_key_id: &str) -> String {
        let now = clock.now();
        let token = entropy.bytes::<32>().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes any text");
            hex
        });
        let mut links = self.links();
        links.retain(|_, link| link.expires > now);
        if links.len() < MOST {
            let link = Link { access_key_id: access_key_id.to_owned(), expires: now + LIFETIME };
            links.insert(token.clone(), link);
        }
        format!("/signin?token={token}")
    }

    /// Whom the link signs in; it is gone afterwards.
    fn take(&self, token: &str, now: Timestamp) -> Option<String> {
        let link = self.links().remove(token)?;
        (link.expires > now).then_some(link.access_key_id)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn use_link(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = USE.params(&uri)?;
    let taken = params.text("token").and_then(|token| app.sign_in_links.take(token, app.clock.now()));
    let key = taken.and_then(|id| app.catalog.access_key(&id));
    let Some(key) = key else {
        return Err(ApiError::forbidden(
            "this sign-in link was used, or is older than ten minutes: sign in with DATA/credentials",
        ));
    };
    let cookie = cookie(&app, &key.id, arrival.tls);
    let target = http::HeaderValue::from_static("/");
    let never = http::HeaderValue::from_static("no-store");
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, target), (CACHE_CONTROL, never)])
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_link_is_good_once_and_for_ten_minutes() {
        let links = SignInLinks::default();
        let entropy = base::SystemEntropy;
        let token = |path: String| path.strip_prefix("/signin?token=").unwrap().to_owned();
        let first = token(links.make(&At(0), &entropy, "AKIA"));
        assert_eq!(links.take(&first, Timestamp::from_millis(599_999)).as_deref(), Some("AKIA"));
        assert_eq!(links.take(&first, Timestamp::from_millis(0)), None);
        let second = token(links.make(&At(0), &entropy, "AKIA"));
        assert_eq!(links.take(&second, Timestamp::from_millis(600_000)), None);
        assert_eq!(links.take("", Timestamp::from_millis(0)), None);
    }

    #[test]
    fn open_links_are_bounded() {
        let links = SignInLinks::default();
        for _ in 0..2 * MOST {
            links.make(&At(0), &base::SystemEntropy, "AKIA");
        }
        assert_eq!(links.links().len(), MOST);
    }
}
