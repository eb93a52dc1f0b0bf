//! The console's sessions: a sealed cookie, so that the server keeps no list of them.

use std::time::Duration;

use base::Timestamp;
use catalog::Principal as Known;
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::{AuthError, Principal};
use crate::app::App;
use crate::seal::Purpose;

/// How long a sign-in lasts.
const LIFETIME: Duration = Duration::from_hours(12);
const COOKIE_NAME: &str = "millrace_session";
/// A page of another origin cannot send this without asking first, and is never allowed to.
const CONSOLE_HEADER: &str = "x-millrace-console";

#[derive(Serialize, Deserialize)]
struct Session {
    access_key_id: String,
    expires: Timestamp,
}

/// The `Set-Cookie` value that signs the holder of an access key in.
pub fn cookie(app: &App, access_key_id: &str, tls: bool) -> HeaderValue {
    let expires = app.clock.now() + LIFETIME;
    let session = Session { access_key_id: access_key_id.to_owned(), expires };
    let value = app.sealer.seal(Purpose::ConsoleSession, &session);
    set_cookie(&value, LIFETIME, tls)
}

/// The `Set-Cookie` value that signs out.
pub fn no_cookie(tls: bool) -> HeaderValue {
    set_cookie("", Duration::ZERO, tls)
}

fn set_cookie(value: &str, lifetime: Duration, tls: bool) -> HeaderValue {
    let secure = if tls { "; Secure" } else { "" };
    let seconds = lifetime.as_secs();
    let text = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("sealed values are URL-safe base64")
}

/// Who is signed in, by the request's cookie.
///
/// # Errors
/// [`AuthError::Missing`] without a session, also one that has ended: the page asks to sign in again.
pub fn caller(app: &App, parts: &Parts) -> Result<Principal, AuthError> {
    let session: Session = cookies(parts)
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
        .and_then(|value| app.sealer.open(Purpose::ConsoleSession, value))
        .filter(|session: &Session| session.expires > app.clock.now())
        .ok_or(AuthError::Missing)?;
    let changes = !matches!(parts.method, Method::GET | Method::HEAD);
    if changes && !parts.headers.contains_key(CONSOLE_HEADER) {
        return Err(AuthError::Token("a signed-in page must send the header x-millrace-console"));
    }
    let key = app.catalog.access_key(&session.access_key_id).ok_or(AuthError::Missing)?;
    Ok(Principal::new(Known::AccessKey(key), &app.catalog, parts))
}

fn cookies(parts: &Parts) -> impl Iterator<Item = (&str, &str)> {
    parts
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}
