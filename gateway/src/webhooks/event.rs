//! An event as it is posted.

use base::{Clock, Entropy, StreamName, Timestamp};
use bytes::Bytes;
use ingest::StreamState;
use serde::Serialize;

use super::watch::StateChange;

/// What kind of event it is; there is one.
const KIND: &str = "stream.state";

/// One event, written.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// The same however often it is posted, so that a receiver knows it again.
    pub(super) id: String,
    pub(super) body: Bytes,
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    stream: &'a StreamName,
    arn: &'a str,
    state: StreamState,
    before: StreamState,
    disk_full: bool,
    action_needed: bool,
    reason: Option<&'a str>,
}

impl Event {
    pub(super) fn of(change: &StateChange, clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        let StateChange { stream, arn, state, before, disk_full, action_needed, reason } = change;
        let data = Data {
            stream,
            arn,
            state: *state,
            before: *before,
            disk_full: *disk_full,
            action_needed: *action_needed,
            reason: reason.as_deref(),
        };
        let written = Written { r#type: KIND, timestamp: clock.now(), data };
        let body = serde_json::to_vec(&written).expect("text, booleans and a time have a JSON form");
        let id = format!("msg_{:032x}", u128::from_be_bytes(entropy.bytes::<16>()));
        Self { id, body: Bytes::from(body) }
    }
}
