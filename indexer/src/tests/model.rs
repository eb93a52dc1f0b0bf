//! The whole index against a plain list of fragments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, StreamId, Timestamp};
use proptest::prelude::*;

use super::world::{World, range_all, search_all};
use crate::assemble::has_fragments;
use crate::{ClockKind, FragmentEntry, Indexer, Window};

#[derive(Clone, Debug)]
enum Step {
    Append { stream: usize, gap: i64, skew: i64, red: bool },
    Advance { millis: i64 },
    ShortenRetention { stream: usize, by: u64 },
    Delete { stream: usize },
    Hold { stream: usize, back: i64, length: i64 },
    ClearHolds { stream: usize },
    Flush,
    Sweep,
    Reopen,
    Reindex,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0_usize..3, 1_i64..3000, -4000_i64..4000, any::<bool>())
            .prop_map(|(stream, gap, skew, red)| Step::Append { stream, gap, skew, red }),
        3 => (0_i64..15_000).prop_map(|millis| Step::Advance { millis }),
        1 => (0_usize..3, 1_u64..20).prop_map(|(stream, by)| Step::ShortenRetention { stream, by }),
        1 => (0_usize..3).prop_map(|stream| Step::Delete { stream }),
        2 => (0_usize..3, 0_i64..5_000, 0_i64..9_000)
            .prop_map(|(stream, back, length)| Step::Hold { stream, back, length }),
        1 => (0_usize..3).prop_map(|stream| Step::ClearHolds { stream }),
        2 => Just(Step::Flush),
        4 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
        1 => Just(Step::Reindex),
    ]
}

/// What must be answered.
#[derive(Default)]
struct Model {
    /// Retention by stream.
    streams: BTreeMap<StreamId, Duration>,
    /// Id and span of each hold that stands.
    holds: BTreeMap<StreamId, Vec<(String, i64, i64)>>,
    fragments: Vec<(FragmentEntry, bool)>,
}

impl Model {
    fn visible(&self, now: Timestamp) -> impl Iterator<Item = &(FragmentEntry, bool)> {
        self.fragments.iter().filter(move |(entry, _)| {
            let retention = self.streams.get(&entry.stream);
            let kept = |kept: &Duration| entry.meta.number.server_timestamp() >= now - *kept;
            retention.is_some_and(|retention| kept(retention) || self.is_held(entry))
        })
    }

    /// Holds a span that begins `back` milliseconds ago.
    async fn hold(&mut self, world: &World, stream: StreamId, back: i64, length: i64) {
        // What has gone already would come back with a rebuild: nobody promises either way.
        let long = Duration::from_secs(15);
        if self.streams.get(&stream).is_some_and(|retention| *retention > long) {
            let start = world.clock.now().millis() - back;
            let holds = self.holds.entry(stream).or_default();
            let id = format!("{}-{start}-{length}", holds.len());
            world.hold(stream, &id, start, start + length).await;
            holds.push((id, start, start + length));
        }
    }

    async fn clear_holds(&mut self, world: &World, stream: StreamId) {
        for (id, ..) in self.holds.remove(&stream).unwrap_or_default() {
            world.clear_hold(stream, &id).await;
        }
    }

    fn is_held(&self, entry: &FragmentEntry) -> bool {
        let begins = [entry.meta.producer_timestamp, entry.meta.number.server_timestamp()];
        let mut holds = self.holds.get(&entry.stream).into_iter().flatten();
        holds.any(|(_, start, end)| {
            begins.iter().any(|at| at.millis() <= *end && at.millis() + 2000 >= *start)
        })
    }

    async fn check(&self, world: &World, indexer: &Indexer) {
        let now = world.clock.now();
        let at = |back: u64| Some(now - Duration::from_millis(back));
        for clock in [ClockKind::Producer, ClockKind::Server] {
            for (start, end) in [(None, None), (at(20_000), at(3000)), (at(9000), None)] {
                let window = Window { clock, start, end };
                let held: Vec<_> = self.visible(now).filter(|(entry, _)| window.holds(&entry.meta)).collect();
                for stream in self.streams.keys() {
                    let of_stream = held.iter().filter(|(entry, _)| entry.stream == *stream);
                    let wanted: Vec<_> = of_stream.map(|(entry, _)| entry.clone()).collect();
                    assert_eq!(range_all(indexer, *stream, window, 4).await, wanted, "{window:?}");
                }
                for (q, red) in [("", None), ("red", Some(true)), ("NOT tags.colour:red", Some(false))] {
                    let mut wanted: Vec<_> = held
                        .iter()
                        .filter(|(_, is)| red.is_none_or(|red| red == *is))
                        .map(|(entry, _)| entry.clone())
                        .collect();
                    wanted
                        .sort_by_key(|entry| (window.time_of(&entry.meta), entry.stream, entry.meta.number));
                    assert_eq!(search_all(indexer, window, q, 6).await, wanted, "{q} {window:?}");
                }
            }
        }
        for stream in self.streams.keys() {
            let last = self.fragments.iter().rfind(|(entry, _)| entry.stream == *stream);
            let newest = last.filter(|last| self.visible(now).any(|visible| visible == *last));
            assert_eq!(indexer.newest(*stream).as_deref(), newest.map(|(entry, _)| entry));
        }
    }

    /// What is within its retention is still in the log.
    async fn check_media(&self, world: &World) {
        for (entry, _) in self.visible(world.clock.now()) {
            let media = world.log.read_all(&entry.pieces).await.unwrap();
            assert_eq!(media.len() as u64, entry.meta.size_bytes);
            world.log.read(&entry.commit).await.unwrap();
        }
    }
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let mut indexer = world.index();
    let mut model = Model::default();
    let mut ids = Vec::new();
    for (name, seconds) in [("a", 20), ("b", 45), ("c", 100_000)] {
        let retention = Duration::from_secs(seconds);
        let stream = world.stream(name, retention).await;
        model.streams.insert(stream.id, retention);
        ids.push(stream.id);
    }
    for step in steps {
        match step {
            Step::Append { stream, gap, skew, red } => {
                world.clock.advance(gap);
                if model.streams.contains_key(&ids[stream]) {
                    let tags: &[_] = if red { &[("colour", "Red")] } else { &[] };
                    model.fragments.push((world.append(ids[stream], skew, tags).await, red));
                }
            }
            Step::Advance { millis } => drop(world.clock.advance(millis)),
            Step::ShortenRetention { stream, by } => {
                if let Some(retention) = model.streams.get_mut(&ids[stream]) {
                    *retention = retention.saturating_sub(Duration::from_secs(by));
                    world.retain(ids[stream], *retention).await;
                }
            }
            Step::Hold { stream, back, length } => model.hold(&world, ids[stream], back, length).await,
            Step::ClearHolds { stream } => model.clear_holds(&world, ids[stream]).await,
            Step::Delete { stream } => {
                model.clear_holds(&world, ids[stream]).await;
                if model.streams.remove(&ids[stream]).is_some() {
                    world.catalog.delete_stream(ids[stream], None).await.unwrap();
                }
            }
            Step::Flush => indexer.flush().await.unwrap(),
            Step::Sweep => {
                indexer.sweep().await.unwrap();
                model.check_media(&world).await;
            }
            Step::Reopen => {
                world = world.reopen(Some(indexer));
                indexer = world.index();
            }
            Step::Reindex => {
                world = world.reopen(Some(indexer));
                let (log, catalog) = (Arc::clone(&world.log), Arc::clone(&world.catalog));
                Indexer::reindex(log, catalog, &world.options(), &mut |_| {}).unwrap();
                indexer = world.index();
            }
        }
        if !matches!(step, Step::Append { .. }) {
            model.check(&world, &indexer).await;
        }
    }
    model.check(&world, &indexer).await;
    model.check_media(&world).await;
    indexer.flush().await.unwrap();
    model.check(&world, &indexer).await;
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn the_index_answers_like_a_list(steps in prop::collection::vec(step(), 1..70)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}

#[tokio::test]
async fn space_comes_back_and_only_that_of_what_has_expired() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let indexer = world.index();
    let (short, long) = (
        world.stream("short", Duration::from_secs(60)).await,
        world.stream("long", Duration::from_hours(1)).await,
    );
    let gone = world.stream("gone", Duration::from_hours(1)).await;
    for at in 0..200 {
        for stream in [&short, &long, &gone] {
            if stream.id != long.id || at >= 100 {
                world.append(stream.id, 0, &[]).await;
            }
        }
        world.clock.advance(1000);
    }
    let count = || {
        let segments = world.log.segments();
        segments.iter().filter(|info| has_fragments(info.lane)).count() as u64
    };
    let all = count();
    assert!(all > 20, "{all}");
    let swept = indexer.sweep().await.unwrap();
    assert_eq!((swept.fragments, swept.segments), (140, 0), "the others still need the space");
    world.catalog.delete_stream(gone.id, None).await.unwrap();
    let swept = indexer.sweep().await.unwrap();
    assert_eq!(swept.fragments, 200);
    assert!(swept.segments > 5 && !swept.more, "{swept:?}");
    assert_eq!(count(), all - swept.segments);
    assert_eq!(range_all(&indexer, long.id, Window::ALL, 50).await.len(), 100);
    for entry in range_all(&indexer, short.id, Window::ALL, 50).await {
        world.log.read_all(&entry.pieces).await.unwrap();
    }
    // Raising the retention keeps what is there and brings nothing back.
    world.retain(short.id, Duration::from_hours(1)).await;
    assert_eq!(range_all(&indexer, short.id, Window::ALL, 50).await.len(), 60);
    assert!(indexer.last_recorded(gone.id).is_none());
}
