//! One PutMedia connection: bytes in, acknowledgements out.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Principal, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Timecodes;
use super::ack::{Ack, Which};
use super::cluster::{Cluster, Clusters, Step};
use super::refusal::Refusal;
use super::shared::{Seat, Turn};
use crate::ingest::Publisher;
use crate::{Ingest, IngestError};

/// A connection. Fragments are stored one after the other while the next ones arrive; as many as
/// [`base::Limits::fragments_in_flight`] may wait for the disk.
pub struct PutSession {
    seat: Arc<Seat>,
    clusters: Clusters,
    acks: mpsc::Sender<Ack>,
    /// The fragment that arrives.
    open: Option<(Turn, Which)>,
    whole: mpsc::Sender<Whole>,
    writer: JoinHandle<Result<(), Refusal>>,
}

struct Whole {
    turn: Turn,
    which: Which,
    cluster: Box<Cluster>,
}

/// Why a connection takes no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its producer is to be told why.
    Refused(Refusal),
    /// A fragment could not be stored, or nobody takes the acknowledgements.
    Ended,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its producer has sent all it wanted.
    Finished,
    /// It broke, or its producer fell silent: the open fragment is not whole.
    Broken,
    /// It is ended from here, and the producer is told why.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl PutSession {
    pub(crate) async fn open(
        ingest: &Ingest,
        stream: Arc<Stream>,
        by: Publisher,
        timecodes: Timecodes,
        acks: mpsc::Sender<Ack>,
        connection: u64,
    ) -> Result<Self, IngestError> {
        let seat = Arc::new(Seat::take(ingest, stream, by.peer, connection).await?);
        let limits = &ingest.options().limits;
        let (whole, incoming) = mpsc::channel(limits.fragments_in_flight.max(1));
        let writer = write(Arc::clone(&seat), incoming, acks.clone(), timecodes, by.principal);
        Ok(Self {
            clusters: Clusters::new(timecodes, limits),
            seat,
            acks,
            open: None,
            whole,
            writer: tokio::spawn(writer),
        })
    }

    /// Takes the next bytes. Waits while too many fragments wait for the disk, or acknowledgements for their
    /// reader.
    ///
    /// # Errors
    /// [`Stop`]: nothing more can be taken; what the session is to be ended with.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.clusters.push(bytes);
        self.steps().await
    }

    /// After how much silence [`Self::settle`] is to be called; `None` where there is no need.
    pub fn settles_after(&self) -> Option<Duration> {
        self.clusters.settles_after()
    }

    /// The producer has been silent for that long: the fragment is whole.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn settle(&mut self) -> Result<(), Stop> {
        self.clusters.settle();
        self.steps().await
    }

    /// Tells the producer that the connection stands.
    ///
    /// # Errors
    /// [`Stop::Ended`].
    pub async fn idle(&mut self) -> Result<(), Stop> {
        self.tell(Ack::idle()).await
    }

    /// Whether more of a fragment is to come.
    pub fn is_within_fragment(&self) -> bool {
        self.clusters.is_open()
    }

    /// Resolves when a fragment could not be stored.
    pub async fn failed(&self) {
        self.whole.closed().await;
    }

    /// Ends the connection, and waits until what is whole is stored and acknowledged.
    pub async fn end(mut self, how: Ending) {
        let mut refusal = None;
        match how {
            Ending::Finished => {
                self.clusters.finish();
                if let Err(Stop::Refused(why)) = self.steps().await {
                    refusal = Some(why);
                }
            }
            Ending::Broken => {}
            Ending::Refused(why) => refusal = Some(why),
        }
        let Self { seat, acks, open, whole, writer, .. } = self;
        let which = open.as_ref().map(|(_, which)| *which);
        drop((open, whole));
        let stored = writer.await.unwrap_or(Ok(()));
        if let Some(why) = refusal.filter(|_| stored.is_ok()) {
            tracing::warn!(stream = %seat.shared.stream().name, reason = %why, "a PutMedia connection is ended");
            let _ = acks.send(Ack::error(which, &why)).await;
        }
    }

    async fn steps(&mut self) -> Result<(), Stop> {
        while let Some(step) = self.clusters.step()? {
            match step {
                Step::Begun(begun) => {
                    let turn = self.seat.begin(&begun);
                    let which = (begun.timecode, turn.number);
                    self.open = Some((turn, which));
                    self.tell(Ack::buffering(which)).await?;
                }
                Step::Block(block) => {
                    if let Some((turn, _)) = &self.open {
                        turn.block(&block);
                    }
                }
                Step::Whole(cluster) => {
                    let Some((turn, which)) = self.open.take() else { continue };
                    turn.whole()?;
                    self.tell(Ack::received(which)).await?;
                    let whole = Whole { turn, which, cluster };
                    self.whole.send(whole).await.map_err(|_| Stop::Ended)?;
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, ack: Ack) -> Result<(), Stop> {
        self.acks.send(ack).await.map_err(|_| Stop::Ended)
    }
}

/// Stores one fragment after the other, also when nobody takes the acknowledgements any more.
async fn write(
    seat: Arc<Seat>,
    mut incoming: mpsc::Receiver<Whole>,
    acks: mpsc::Sender<Ack>,
    timecodes: Timecodes,
    principal: Principal,
) -> Result<(), Refusal> {
    while let Some(Whole { turn, which, cluster }) = incoming.recv().await {
        let stored = turn.store(&cluster, timecodes, &principal).await;
        // Other connections' fragments do not wait for the reader of these acknowledgements.
        drop(turn);
        match stored {
            Ok(Some(number)) => {
                let _ = acks.send(Ack::persisted((which.0, number))).await;
            }
            Ok(None) => {}
            Err(refusal) => {
                tracing::warn!(stream = %seat.shared.stream().name, reason = %refusal, "a fragment is not stored");
                incoming.close();
                let _ = acks.send(Ack::error(Some(which), &refusal)).await;
                return Err(refusal);
            }
        }
    }
    Ok(())
}
