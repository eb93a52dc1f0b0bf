//! Events against a plain list of them, and through everything that the log goes through.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, FragmentNumber, StreamId, Tags, Timestamp};
use catalog::Stream;
use fixtures::FaultyDisk;
use proptest::prelude::*;

use super::world::{Sizes, World, search_all};
use crate::assemble::has_fragments;
use crate::{ClockKind, Event, EventQuery, FragmentEntry, IndexError, Indexer, NewEvent, Window};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_secs(60);

fn tags(tags: &[(&str, &str)]) -> Tags {
    tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An event that begins `from` milliseconds after now.
async fn post(
    world: &World,
    indexer: &Indexer,
    stream: &Stream,
    (from, length): (i64, i64),
    with: &[(&str, &str)],
) -> Event {
    let start = world.clock.now().millis() + from;
    let at = Timestamp::from_millis;
    let new = NewEvent { start: at(start), end: at(start + length), tags: tags(with) };
    indexer.post_event(stream, new, "detector").await.unwrap()
}

async fn listed(indexer: &Indexer, stream: &Stream, query: EventQuery) -> Vec<Event> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = EventQuery { limit: 3, cursor: cursor.take(), ..query.clone() };
        let page = indexer.events(stream, query).await.unwrap();
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn numbers(indexer: &Indexer, q: &str) -> Vec<FragmentNumber> {
    let found = search_all(indexer, Window::ALL, q, 4).await;
    found.into_iter().map(|entry| entry.meta.number).collect()
}

fn overlaps(event: &Event, entry: &FragmentEntry) -> bool {
    let begin = entry.meta.producer_timestamp.millis();
    let end = begin + i64::from(entry.meta.duration_ms);
    event.start.millis() < end && event.end.millis() >= begin
}

#[tokio::test]
async fn an_event_tags_what_it_overlaps_before_and_after_it_was_posted() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let stream = world.stream("door", HOUR).await;
    let mut all = Vec::new();
    // Fragments of two seconds, one after the other; the event begins in the second and ends in the fourth.
    for at in 0..5 {
        if at == 2 {
            post(&world, &indexer, &stream, (-1, 3000), &[("what", "Red truck"), ("zone", "7")]).await;
        }
        if at == 3 {
            indexer.flush().await.unwrap();
        }
        all.push(world.append(stream.id, 0, &[("own", "red car")]).await.meta.number);
        world.clock.advance(2000);
    }
    for (q, wanted) in [
        ("tags.what:\"red truck\"", &all[1..4]),
        ("tags.what:truck", &all[1..4]),
        ("\"red truck\"", &all[1..4]),
        ("tags.zone:7 AND tags.own:car", &all[1..4]),
        ("red", &all[..]),
        ("tags.what:\"truck 7\"", &[]),
        ("tags.zone:truck", &[]),
    ] {
        assert_eq!(numbers(&indexer, q).await, wanted, "{q}");
    }
    assert_eq!(numbers(&indexer, "NOT tags.zone:7").await, [all[0], all[4]]);
    let found = search_all(&indexer, Window::ALL, "", 9).await;
    let of = indexer.events_of(&found.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(of.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
    assert_eq!(of[1][0].tags, tags(&[("what", "Red truck"), ("zone", "7")]));
    assert_eq!(of[1][0].posted_by, "detector");
}

#[tokio::test]
async fn a_removed_event_stays_removed_whatever_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let mut indexer = world.index();
    let stream = world.stream("door", HOUR).await;
    world.append(stream.id, 0, &[]).await;
    let gone = post(&world, &indexer, &stream, (0, 10), &[("what", "cat")]).await;
    let stays = post(&world, &indexer, &stream, (0, 10), &[("what", "dog")]).await;
    assert!(gone.id < stays.id, "two at one moment are told apart");
    // To another lane, which is read before the one that the event is in.
    world.retain(stream.id, Duration::from_hours(24 * 300)).await;
    let moved = world.catalog.stream_by_id(stream.id).unwrap();
    assert!(indexer.remove_event(&moved, gone.id, "somebody").await.unwrap());
    assert!(!indexer.remove_event(&moved, gone.id, "somebody").await.unwrap());
    assert!(!indexer.remove_event(&moved, FragmentNumber::from_u64(5), "somebody").await.unwrap());
    for round in 0..3 {
        assert_eq!(listed(&indexer, &stream, EventQuery::default()).await, std::slice::from_ref(&stays));
        assert_eq!(numbers(&indexer, "tags.what:cat").await, []);
        assert_eq!(numbers(&indexer, "tags.what:dog").await.len(), 1);
        world = world.reopen(Some(indexer));
        if round == 1 {
            let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
            Indexer::reindex(log, catalog, &world.options(), &mut |_| {}).unwrap();
        }
        indexer = world.index();
    }
    let next = post(&world, &indexer, &stream, (0, 0), &[("what", "fox")]).await;
    assert!(next.id > stays.id);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_end_with_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let (stream, other) = (world.stream("a", HOUR).await, world.stream("b", HOUR).await);
    let mut all = Vec::new();
    for at in 0..20 {
        let what = if at % 5 == 0 { "dog" } else { "cat" };
        all.push(post(&world, &indexer, &stream, (at * 100, 50), &[("what", what)]).await);
    }
    let of_other = post(&world, &indexer, &other, (0, 0), &[("what", "dog")]).await;
    let of = |query| listed(&indexer, &stream, query);
    assert_eq!(of(EventQuery::default()).await, all);
    let dogs: Vec<_> = all.iter().step_by(5).cloned().collect();
    assert_eq!(of(EventQuery { q: Some("tags.what:dog".into()), ..EventQuery::default() }).await, dogs);
    let window = EventQuery { start: Some(all[3].end), end: Some(all[6].start), ..EventQuery::default() };
    assert_eq!(of(window).await, all[3..=6]);
    let bad = EventQuery { limit: 1, q: Some("what:dog".into()), ..EventQuery::default() };
    assert!(matches!(indexer.events(&stream, bad).await, Err(IndexError::Query(_))));
    let bad = EventQuery { limit: 1, cursor: Some("x".into()), ..EventQuery::default() };
    assert!(matches!(indexer.events(&stream, bad).await, Err(IndexError::Cursor(_))));
    world.catalog.delete_stream(stream.id, None).await.unwrap();
    assert_eq!(of(EventQuery::default()).await, []);
    indexer.sweep().await.unwrap();
    assert_eq!(listed(&indexer, &other, EventQuery::default()).await, [of_other]);
    let live: u64 = indexer.space().iter().map(|space| space.live).sum();
    assert!(live < 400, "{live}: only the other stream's event");
}

/// The oldest segment that fragments are in.
fn first_segment(world: &World) -> Option<u64> {
    let segments = world.log.segments();
    segments.iter().filter(|info| has_fragments(info.lane)).map(|info| info.segment).min()
}

/// Fills the lane's segment up, so that it is complete.
async fn fill(world: &World, stream: StreamId, fragments: usize) {
    for _ in 0..fragments {
        world.append(stream, 0, &[]).await;
        world.clock.advance(1000);
    }
}

#[tokio::test]
async fn an_event_is_kept_with_its_footage_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let (stream, other) = (world.stream("door", MINUTE).await, world.stream("other", HOUR).await);
    let event = post(&world, &indexer, &stream, (1000, 3_590_000), &[("what", "works")]).await;
    let before = first_segment(&world);
    let short = post(&world, &indexer, &stream, (0, 0), &[("what", "cat")]).await;
    fill(&world, stream.id, 60).await;
    let list = || listed(&indexer, &stream, EventQuery::default());
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    assert_eq!(list().await, [short, event.clone()]);
    // Footage that was made long ago, and came now, keeps an event of then.
    world.clock.advance(3_700_000);
    let late = world.append(stream.id, -3_600_000, &[]).await;
    fill(&world, other.id, 30).await;
    indexer.flush().await.unwrap();
    indexer.sweep().await.unwrap();
    assert_eq!(list().await, [event]);
    assert_eq!(numbers(&indexer, "tags.what:works").await, [late.meta.number]);
    world.clock.advance(61_000);
    indexer.sweep().await.unwrap();
    assert_eq!(list().await, []);
    indexer.sweep().await.unwrap();
    assert!(first_segment(&world) > before, "segments with nothing but old events go");
}

/// Where the file system has no holes.
async fn moving(dir: &Path) -> (World, Arc<Indexer>, Arc<Stream>, Event) {
    let disk = FaultyDisk::default();
    disk.set_no_holes(true);
    let world = World::on(dir, Sizes { segment: 4 * 1024 * 1024, piece: 100_000 }, Arc::new(disk));
    let indexer = world.index();
    let (long, short) = (world.stream("long", HOUR).await, world.stream("short", MINUTE).await);
    let event = post(&world, &indexer, &long, (0, 10), &[("what", "cat")]).await;
    let gone = post(&world, &indexer, &long, (0, 10), &[("what", "dog")]).await;
    assert!(indexer.remove_event(&long, gone.id, "somebody").await.unwrap());
    fill(&world, short.id, 60).await;
    (world, indexer, long, event)
}

#[tokio::test]
async fn events_move_where_there_are_no_holes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut indexer, long, event) = moving(dir.path()).await;
    let first = first_segment(&world);
    world.clock.advance(100_000);
    for _ in 0..3 {
        indexer.sweep().await.unwrap();
        indexer.flush().await.unwrap();
    }
    assert!(first_segment(&world) > first, "the segment that the event was in has gone");
    for round in 0..3 {
        assert_eq!(
            listed(&indexer, &long, EventQuery::default()).await,
            std::slice::from_ref(&event),
            "{round}"
        );
        world = world.reopen(Some(indexer));
        if round == 1 {
            let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
            Indexer::reindex(log, catalog, &world.options(), &mut |_| {}).unwrap();
        }
        indexer = world.index();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append { stream: usize, gap: i64, skew: i64, red: bool },
    Post { stream: usize, from: i64, length: i64, red: bool },
    Remove { place: usize },
    Hold { stream: usize },
    Advance { millis: i64 },
    Delete { stream: usize },
    Flush,
    Sweep,
    Reopen,
    Reindex,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_usize..2, 1_i64..3000, -4000_i64..4000, any::<bool>())
            .prop_map(|(stream, gap, skew, red)| Step::Append { stream, gap, skew, red }),
        10 => (0_usize..2, -9000_i64..3000, 0_i64..9000, any::<bool>())
            .prop_map(|(stream, from, length, red)| Step::Post { stream, from, length, red }),
        4 => (0_usize..50).prop_map(|place| Step::Remove { place }),
        1 => (0_usize..2).prop_map(|stream| Step::Hold { stream }),
        3 => (0_i64..15_000).prop_map(|millis| Step::Advance { millis }),
        1 => (0_usize..9).prop_map(|stream| Step::Delete { stream }),
        2 => Just(Step::Flush),
        4 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
        1 => Just(Step::Reindex),
    ]
}

#[derive(Default)]
struct Model {
    streams: BTreeMap<StreamId, Arc<Stream>>,
    /// What is held of a stream, in milliseconds.
    held: BTreeMap<StreamId, (i64, i64)>,
    fragments: Vec<(FragmentEntry, bool)>,
    events: Vec<(StreamId, Event, bool)>,
}

impl Model {
    fn is_visible(&self, entry: &FragmentEntry, now: Timestamp) -> bool {
        let begins = [entry.meta.producer_timestamp, entry.meta.number.server_timestamp()];
        let held = self.held.get(&entry.stream).is_some_and(|(start, end)| {
            begins.iter().any(|at| at.millis() <= *end && at.millis() + 2000 >= *start)
        });
        let stream = self.streams.get(&entry.stream);
        stream.is_some_and(|stream| held || begins[1] >= now - stream.retention)
    }

    fn is_red(&self, (entry, red): &(FragmentEntry, bool)) -> bool {
        let events = self.events.iter().filter(|(of, _, red)| *of == entry.stream && *red);
        *red || events.into_iter().any(|(_, event, _)| overlaps(event, entry))
    }

    fn is_kept(&self, stream: &Stream, event: &Event, now: Timestamp) -> bool {
        let visible = |entry: &FragmentEntry| entry.stream == stream.id && self.is_visible(entry, now);
        event.end.max(event.id.server_timestamp()) >= now - stream.retention
            || self.fragments.iter().any(|(entry, _)| visible(entry) && overlaps(event, entry))
    }

    async fn check(&self, world: &World, indexer: &Indexer, flushed: bool) {
        let now = world.clock.now();
        let at = |back: u64| Some(now - Duration::from_millis(back));
        for clock in [ClockKind::Producer, ClockKind::Server] {
            for (start, end) in [(None, None), (at(9000), at(1000))] {
                let window = Window { clock, start, end };
                for (q, red) in [("tags.colour:red", true), ("red", true), ("NOT tags.colour:\"red\"", false)]
                {
                    let mut wanted: Vec<_> = self
                        .fragments
                        .iter()
                        .filter(|one| window.holds(&one.0.meta) && self.is_visible(&one.0, now))
                        .filter(|one| self.is_red(one) == red)
                        .map(|(entry, _)| entry.clone())
                        .collect();
                    wanted.sort_by_key(|one| (window.time_of(&one.meta), one.stream, one.meta.number));
                    assert_eq!(search_all(indexer, window, q, 6).await, wanted, "{q} {window:?}");
                }
            }
        }
        // Before, a fragment may be in memory only that keeps an event.
        for stream in self.streams.values().filter(|_| flushed) {
            let of_stream = self.events.iter().filter(|(of, ..)| *of == stream.id);
            let kept = of_stream.filter(|(_, event, _)| self.is_kept(stream, event, now));
            let mut wanted: Vec<_> = kept.map(|(_, event, _)| event.clone()).collect();
            wanted.sort_by_key(|event| (event.start, event.id));
            assert_eq!(listed(indexer, stream, EventQuery::default()).await, wanted);
        }
    }
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let mut indexer = world.index();
    let mut model = Model::default();
    let mut all = Vec::new();
    for (name, seconds) in [("a", 20), ("b", 100_000)] {
        all.push(world.stream(name, Duration::from_secs(seconds)).await);
    }
    model.streams = all.iter().map(|stream| (stream.id, Arc::clone(stream))).collect();
    for step in steps {
        let there = |stream: usize| all.get(stream).filter(|one| model.streams.contains_key(&one.id));
        let flushed = matches!(step, Step::Flush | Step::Reopen | Step::Reindex);
        match step {
            Step::Append { stream, gap, skew, red } => {
                world.clock.advance(gap);
                if let Some(stream) = there(stream) {
                    let tags: &[_] = if red { &[("colour", "Red")] } else { &[] };
                    model.fragments.push((world.append(stream.id, skew, tags).await, red));
                }
            }
            Step::Post { stream, from, length, red } => {
                if let Some(stream) = there(stream) {
                    let tags = [("colour", if red { "RED" } else { "blue" })];
                    let event = post(&world, &indexer, stream, (from, length), &tags).await;
                    model.events.push((stream.id, event, red));
                }
            }
            Step::Remove { place } if place < model.events.len() => {
                let (of, event, _) = model.events.remove(place);
                if let Some(stream) = model.streams.get(&of) {
                    indexer.flush().await.unwrap();
                    let kept = model.is_kept(stream, &event, world.clock.now());
                    assert_eq!(indexer.remove_event(stream, event.id, "x").await.unwrap(), kept);
                }
            }
            Step::Remove { .. } => {}
            Step::Hold { stream } => {
                if let Some(stream) = there(stream)
                    && !model.held.contains_key(&stream.id)
                {
                    let start = world.clock.now().millis() - 3000;
                    world.hold(stream.id, "one", start, start + 6000).await;
                    model.held.insert(stream.id, (start, start + 6000));
                }
            }
            Step::Advance { millis } => drop(world.clock.advance(millis)),
            Step::Delete { stream } => {
                if let Some(id) = there(stream).map(|stream| stream.id)
                    && !model.held.contains_key(&id)
                {
                    model.streams.remove(&id);
                    world.catalog.delete_stream(id, None).await.unwrap();
                }
            }
            Step::Flush => indexer.flush().await.unwrap(),
            Step::Sweep => drop(indexer.sweep().await.unwrap()),
            Step::Reopen | Step::Reindex => {
                world = world.reopen(Some(indexer));
                if matches!(step, Step::Reindex) {
                    let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
                    Indexer::reindex(log, catalog, &world.options(), &mut |_| {}).unwrap();
                }
                indexer = world.index();
            }
        }
        model.check(&world, &indexer, flushed).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn events_answer_like_a_list(steps in prop::collection::vec(step(), 1..50)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
