//! PutMedia connections onto a real log.

#![allow(clippy::unwrap_used, reason = "a test's own machinery")]

use base::{FragmentNumber, Timestamp};
use fixtures::{put_cluster, put_end_of_fragment, put_frame, put_header, put_tag};
use ingest::put_media::{Ack, Ending, PutSession, Stop, Timecodes};
use ingest::{IngestError, Publisher, StreamState};
use media::live::LiveState;
use media::mkv::read_fragment;
use tokio::sync::mpsc;

use crate::installation::{Installation, peer, stream};

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// A connection, and what it was told.
struct Producer {
    session: Option<PutSession>,
    told: mpsc::Receiver<Ack>,
}

impl Producer {
    async fn connect(installation: &Installation) -> Result<Self, IngestError> {
        let catalog = &installation.catalog;
        let stream = catalog.stream_to_publish(&stream("cam-1"), &installation.device).await.unwrap();
        let by = Publisher { peer: peer(), principal: installation.device.clone() };
        let (acks, told) = mpsc::channel(1000);
        let session = installation.ingest.put_media(stream, by, Timecodes::Relative(START), acks).await?;
        let mut producer = Self { session: Some(session), told };
        producer.send(&put_header(&["V_VP8", "D_SENSOR/RAW"])).await.unwrap();
        Ok(producer)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.session.as_mut().unwrap().take(bytes).await
    }

    /// A whole fragment.
    async fn fragment(&mut self, timecode: u64, data: &[u8]) -> Result<(), Stop> {
        let fragment =
            [put_cluster(timecode), put_frame(1, 0, true, data), put_frame(2, 40, true, data)].concat();
        self.send(&[fragment, put_end_of_fragment()].concat()).await
    }

    /// Ends the connection; what it was told in all, in words.
    async fn end(mut self, how: Ending) -> Vec<(&'static str, Option<u64>, Option<FragmentNumber>)> {
        self.session.take().unwrap().end(how).await;
        let mut told = Vec::new();
        while let Some(ack) = self.told.recv().await {
            told.push((ack.event_type, ack.fragment_timecode, ack.fragment_number));
        }
        told
    }
}

/// The events of a connection, without numbers.
fn events(told: &[(&'static str, Option<u64>, Option<FragmentNumber>)]) -> Vec<(&'static str, u64)> {
    told.iter().map(|(event, timecode, _)| (*event, timecode.unwrap_or(u64::MAX))).collect()
}

fn persisted(told: &[(&'static str, Option<u64>, Option<FragmentNumber>)]) -> Vec<FragmentNumber> {
    told.iter().filter(|(event, ..)| *event == "PERSISTED").filter_map(|(.., number)| *number).collect()
}

#[tokio::test]
async fn what_is_persisted_is_on_disk_as_it_came() {
    let installation = Installation::new().await;
    let mut producer = Producer::connect(&installation).await.unwrap();
    producer.send(&put_tag("door", "open")).await.unwrap();
    producer.fragment(0, b"one").await.unwrap();
    producer.fragment(40, b"two").await.unwrap();
    // The last one is whole when the producer ends.
    let open = [put_cluster(80), put_frame(1, 0, false, b"three")].concat();
    producer.send(&open).await.unwrap();
    let told = producer.end(Ending::Finished).await;
    for timecode in [0, 40, 80] {
        let of_one = events(&told).into_iter().filter(|(_, at)| *at == timecode);
        let words: Vec<_> = of_one.map(|(event, _)| event).collect();
        assert_eq!(words, ["BUFFERING", "RECEIVED", "PERSISTED"]);
    }
    let stored = installation.stored("cam-1");
    assert_eq!(stored.iter().map(|(meta, _)| meta.number).collect::<Vec<_>>(), persisted(&told));
    for ((meta, pieces), data) in stored.iter().zip([&b"one"[..], b"two", b"three"]) {
        let file = installation.file(pieces).await;
        let fragment = read_fragment(&file).unwrap();
        assert_eq!(fragment.frames[0].data, data);
        assert_eq!((file.len() as u64, fragment.tracks.len()), (meta.size_bytes, 2));
        assert_eq!(fragment.frames[0].pts, meta.tracks[0].start);
    }
    let metas: Vec<_> = stored.iter().map(|(meta, _)| meta).collect();
    assert_eq!((metas[0].tags["door"].as_str(), metas[1].tags.len()), ("open", 0));
    assert_eq!([0, 1, 2].map(|index| metas[index].producer_timestamp.millis() - START.millis()), [0, 40, 80]);
    assert!(metas.iter().all(|meta| meta.run_id == metas[0].run_id), "they follow each other without a gap");
    assert_eq!([true, true, false], [0, 1, 2].map(|index| metas[index].starts_with_key));
    assert_eq!(metas[2].decodes_from, Some(metas[1].number));
    assert_eq!((metas[2].tracks.len(), &*metas[0].tracks[1].codec_string), (1, "D_SENSOR/RAW"));
    let health = installation.health("cam-1");
    assert_eq!((health.state, health.fragments), (StreamState::Offline, 3));
}

#[tokio::test]
async fn what_lies_apart_or_overlaps_is_another_run() {
    let installation = Installation::new().await;
    let mut producer = Producer::connect(&installation).await.unwrap();
    for timecode in [0, 40, 5000] {
        producer.fragment(timecode, b"x").await.unwrap();
    }
    producer.end(Ending::Finished).await;
    let mut again = Producer::connect(&installation).await.unwrap();
    again.send(&[put_cluster(4000), put_frame(1, 0, false, b"y")].concat()).await.unwrap();
    again.end(Ending::Finished).await;
    let stored = installation.stored("cam-1");
    let runs: Vec<_> = stored.iter().map(|(meta, _)| meta.discontinuity_sequence).collect();
    assert_eq!(runs, [0, 0, 1, 2]);
    assert_eq!((stored[3].0.starts_with_key, stored[3].0.decodes_from), (false, None), "of another run");
    assert_eq!(stored.iter().map(|(meta, _)| meta.media_sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn connections_overlap_and_their_fragments_keep_the_order_of_their_numbers() {
    let installation = Installation::new().await;
    let mut first = Producer::connect(&installation).await.unwrap();
    first.send(&[put_cluster(0), put_frame(1, 0, true, b"a")].concat()).await.unwrap();
    let mut second = Producer::connect(&installation).await.unwrap();
    second.fragment(2000, b"b").await.unwrap();
    assert!(installation.stored("cam-1").is_empty(), "the later one waits");
    let told = first.end(Ending::Finished).await;
    let mut numbers = persisted(&told);
    numbers.extend(persisted(&second.end(Ending::Finished).await));
    let stored: Vec<_> = installation.stored("cam-1").into_iter().map(|(meta, _)| meta.number).collect();
    assert_eq!((stored.len(), &stored), (2, &numbers));

    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(Producer::connect(&installation).await.unwrap());
    }
    let refused = Producer::connect(&installation).await.err().unwrap();
    assert!(matches!(refused, IngestError::Connections { most: 5, .. }), "{refused}");
    assert!(matches!(installation.publish("cam-1").await, Err(IngestError::Busy { .. })));
    for producer in open {
        producer.end(Ending::Broken).await;
    }
    assert!(installation.publish("cam-1").await.is_ok(), "the stream is free again");
}

#[tokio::test]
async fn a_fragment_that_is_sent_again_is_kept_once() {
    let installation = Installation::new().await;
    let mut lost = Producer::connect(&installation).await.unwrap();
    lost.fragment(0, b"whole").await.unwrap();
    lost.send(&[put_cluster(40), put_frame(1, 0, true, b"half")].concat()).await.unwrap();
    // It is not noticed yet that the first connection is gone.
    let mut again = Producer::connect(&installation).await.unwrap();
    again.fragment(0, b"whole").await.unwrap();
    again.fragment(40, b"half").await.unwrap();
    again.fragment(80, b"new").await.unwrap();
    let told = again.end(Ending::Finished).await;
    let stored: Vec<_> = installation.stored("cam-1").into_iter().map(|(meta, _)| meta.number).collect();
    assert_eq!((stored.len(), &stored), (3, &persisted(&told)), "PERSISTED names what is kept");
    // Whoever was overtaken is told when it goes on.
    let late = lost.send(&put_end_of_fragment()).await;
    assert!(matches!(late, Err(Stop::Refused(_))), "{late:?}");
    drop(lost);

    let mut other = Producer::connect(&installation).await.unwrap();
    other.fragment(80, b"other media of the same time").await.unwrap();
    other.end(Ending::Finished).await;
    assert_eq!(installation.stored("cam-1").len(), 4);
}

#[tokio::test]
async fn what_was_never_whole_is_not_stored() {
    let installation = Installation::new().await;
    let mut producer = Producer::connect(&installation).await.unwrap();
    producer.fragment(0, b"whole").await.unwrap();
    producer.send(&[put_cluster(40), put_frame(1, 0, true, b"half")].concat()).await.unwrap();
    let told = producer.end(Ending::Broken).await;
    assert_eq!(events(&told).last(), Some(&("PERSISTED", 0)));
    let mut wrong = Producer::connect(&installation).await.unwrap();
    wrong.fragment(5000, b"x").await.unwrap();
    let refused = wrong.fragment(4000, b"back in time").await.unwrap_err();
    let Stop::Refused(refusal) = refused else { panic!("{refused:?}") };
    let told = wrong.end(Ending::Refused(refusal)).await;
    assert_eq!(events(&told)[3..], [("ERROR", 4000)]);
    assert_eq!(installation.stored("cam-1").len(), 2);
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_acknowledged_that_is_not_there() {
    let installation = Installation::new().await;
    let mut producer = Producer::connect(&installation).await.unwrap();
    producer.fragment(0, b"kept").await.unwrap();
    while producer.told.recv().await.unwrap().event_type != "PERSISTED" {}
    installation.disk.set_full(true);
    producer.fragment(40, &vec![7; 100_000]).await.unwrap();
    let told = producer.end(Ending::Finished).await;
    let last = told.last().unwrap();
    assert_eq!((last.0, last.1), ("ERROR", Some(40)), "{told:?}");
    assert_eq!((persisted(&told).len(), installation.stored("cam-1").len()), (0, 1));
}

#[tokio::test]
async fn who_watches_sees_frames_as_they_come() {
    let installation = Installation::new().await;
    let mut producer = Producer::connect(&installation).await.unwrap();
    let id = installation.catalog.stream(&stream("cam-1")).unwrap().id;
    let live = installation.ingest.live(id);
    let bell = live.watch();
    producer.send(&[put_cluster(0), put_frame(1, 0, true, b"one")].concat()).await.unwrap();
    assert!(bell.has_changed().unwrap());
    let seen = live.after(None).unwrap();
    assert_eq!((seen.read(0).0.len(), seen.read(0).1), (1, LiveState::Open));
    producer.send(&put_frame(1, 40, false, b"two")).await.unwrap();
    assert_eq!(seen.read(1).0.len(), 1);
    let late = [put_tag("late", "1"), put_end_of_fragment()].concat();
    producer.send(&late).await.unwrap();
    producer.end(Ending::Finished).await;
    let LiveState::Complete(tags) = seen.read(0).1 else { panic!("{seen:?}") };
    assert_eq!(tags["late"], "1");
    assert!(live.after(None).is_none(), "it is found on disk from here on");
}
