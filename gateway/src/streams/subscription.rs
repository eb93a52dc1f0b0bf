//! An open subscription: reads when its reader has taken what was read before, so that a slow one costs
//! no more memory than a fast one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Consumer, Shard};
use data_streams::{Batch, ReadLimits, SequenceNumber};
use futures::stream::{self, Stream};
use serde_json::json;
use tokio::time::timeout;

use super::source::{Source, records};
use super::stream::Found;
use super::subscribe_to_shard::Event;
use super::subscriptions::Place;
use crate::app::App;
use crate::aws::event_stream::message;
use crate::aws::wire::Wire;
use crate::exception::{Code, Exception};

/// A subscription ends after this; its reader subscribes again.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// An event goes out at least as often, with no records in it if there are none.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// Between two looks at whether the subscription still stands.
const LOOK: Duration = Duration::from_millis(100);
/// Most of one event, but for a single record that is larger.
const LIMITS: ReadLimits = ReadLimits { records: 10_000, bytes: 1024 * 1024 };

/// A subscription of one consumer to one shard.
pub struct Subscription {
    app: Arc<App>,
    wire: Wire,
    found: Found,
    shard: Shard,
    consumer: Arc<Consumer>,
    position: u64,
    place: Place,
    /// By the monotonic clock.
    began: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begun,
    Open,
    Ended,
}

/// Why a subscription goes on no more.
enum End {
    /// Its time is over, or the server's.
    Clean,
    /// Its reader is told why.
    Refused(Exception),
}

impl Subscription {
    /// From this position on.
    pub fn new(
        app: Arc<App>,
        wire: Wire,
        (found, shard, consumer): (Found, Shard, Arc<Consumer>),
        position: u64,
        place: Place,
    ) -> Self {
        let began = app.clock.monotonic();
        Self { app, wire, found, shard, consumer, position, place, began, state: State::Begun }
    }

    /// The messages of the answer's body.
    pub fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, async |mut subscription| {
            let message = subscription.next().await?;
            Some((Ok(message), subscription))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Ended => None,
            State::Begun => {
                self.state = State::Open;
                Some(self.message("initial-response", &json!({})))
            }
            State::Open => match self.event().await {
                Ok(event) => Some(self.message("SubscribeToShardEvent", &event)),
                Err(end) => {
                    self.state = State::Ended;
                    match end {
                        End::Clean => None,
                        End::Refused(exception) => Some(self.exception(&exception)),
                    }
                }
            },
        }
    }

    /// The next event: as soon as there are records, or when nothing was told for a while.
    async fn event(&mut self) -> Result<Event, End> {
        let silent = self.app.clock.monotonic();
        let mut bell = self.app.records.bell(&self.found, self.shard.id);
        loop {
            self.check()?;
            let source = Source { app: &self.app, found: &self.found };
            if source.durable(self.shard.id) > self.position {
                let batch = source.read(self.shard.id, self.position, LIMITS).await.map_err(End::Refused)?;
                if !batch.records.is_empty() {
                    return Ok(self.told(batch));
                }
                self.position = batch.next;
            }
            if self.app.clock.monotonic().saturating_sub(silent) >= HEARTBEAT {
                return Ok(self.told(Batch {
                    records: Vec::new(),
                    next: self.position,
                    behind: Duration::ZERO,
                }));
            }
            // Whichever comes first: a new record, or the next look.
            let _ = timeout(LOOK, bell.rung()).await;
        }
    }

    fn told(&mut self, batch: Batch) -> Event {
        self.position = batch.next;
        let arrived = batch.records.last().map_or(self.shard.created, |record| record.arrived);
        let last = SequenceNumber::new(&self.shard, batch.next.saturating_sub(1), arrived);
        Event {
            continuation_sequence_number: last.to_string(),
            millis_behind_latest: u64::try_from(batch.behind.as_millis()).unwrap_or(u64::MAX),
            records: records(&self.shard, batch),
        }
    }

    /// Whether it still stands.
    fn check(&self) -> Result<(), End> {
        let app = &self.app;
        let over = app.clock.monotonic().saturating_sub(self.began) >= LIFE;
        if over || !app.ready.load(std::sync::atomic::Ordering::Acquire) {
            return Err(End::Clean);
        }
        let name = &self.consumer.name;
        if self.place.is_replaced() {
            let text = format!("Consumer {name} has subscribed to this shard again.");
            return Err(End::Refused(Exception::new(Code::ResourceInUse, text)));
        }
        if app.catalog.consumer(self.consumer.stream, name).as_ref() != Some(&self.consumer) {
            let text = format!("Consumer {name} is not registered any more.");
            return Err(End::Refused(Exception::new(Code::ResourceNotFound, text)));
        }
        Ok(())
    }

    fn message(&self, event: &str, payload: &impl serde::Serialize) -> Bytes {
        let content_type = self.wire.content_type();
        let headers = [
            (":message-type", "event"),
            (":event-type", event),
            (":content-type", content_type.to_str().unwrap_or_default()),
        ];
        message(&headers, &self.wire.encode(payload))
    }

    fn exception(&self, exception: &Exception) -> Bytes {
        let content_type = self.wire.content_type();
        let headers = [
            (":message-type", "exception"),
            (":exception-type", self.wire.name(exception.code)),
            (":content-type", content_type.to_str().unwrap_or_default()),
        ];
        message(&headers, &self.wire.encode(&json!({ "message": exception.message })))
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::Value;

    use super::super::record::tests::{sample_record, with_child_shards};
    use super::*;

    /// Every event that a subscription may tell, as the AWS model lists them.
    pub fn sample_events() -> Value {
        let event = with_child_shards(Event {
            records: vec![sample_record()],
            continuation_sequence_number: "1".into(),
            millis_behind_latest: 1,
        });
        let mut events = json!({ "SubscribeToShardEvent": event });
        for code in [
            Code::ResourceNotFound,
            Code::ResourceInUse,
            Code::KmsDisabled,
            Code::KmsInvalidState,
            Code::KmsAccessDenied,
            Code::KmsNotFound,
            Code::KmsOptInRequired,
            Code::KmsThrottling,
            Code::InternalFailure,
        ] {
            events[Wire::Json.name(code)] = json!({ "message": "text" });
        }
        json!({ "EventStream": events })
    }
}
