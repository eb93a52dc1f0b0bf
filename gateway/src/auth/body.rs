//! Reading a whole body, within limits of size and time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::AuthError;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// A client that sends more than it may is listened to for this much: most look for the answer only
/// when they have sent everything.
const LISTENED_TO: usize = 16 * 1024 * 1024;
/// What a declared length alone may make this server hold ready: most bodies then never move while they grow.
const HELD_READY: usize = 1024 * 1024;

/// The body, if it has at most `limit` bytes.
///
/// # Errors
/// [`AuthError::BodyTooLarge`], [`AuthError::BodyBroken`].
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, AuthError> {
    timeout(PATIENCE, collect(body, limit)).await.unwrap_or(Err(AuthError::BodyBroken))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, AuthError> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut kept = BytesMut::with_capacity(declared.min(limit).min(HELD_READY));
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| AuthError::BodyBroken)?;
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > limit.max(LISTENED_TO) {
            break;
        }
        if size > limit {
            kept = BytesMut::new();
            continue;
        }
        kept.extend_from_slice(&data);
    }
    if size > limit { Err(AuthError::BodyTooLarge(limit)) } else { Ok(kept.freeze()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        assert_eq!(read(Body::from("12345"), 5).await.unwrap(), "12345");
        assert_eq!(read(Body::from("123456"), 5).await, Err(AuthError::BodyTooLarge(5)));
        assert_eq!(read(Body::empty(), 0).await.unwrap(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up() {
        let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(read(Body::from_stream(endless), 5).await, Err(AuthError::BodyBroken));
    }
}
