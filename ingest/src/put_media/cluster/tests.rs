//! Which bytes make which fragments.

use fixtures::{put_cluster, put_end_of_fragment, put_frame, put_header, put_tag};
use proptest::prelude::*;

use super::*;

fn clusters() -> Clusters {
    Clusters::new(Timecodes::Absolute, &Limits::default())
}

/// What becomes of a stream that comes in these portions.
fn take(stream: &[u8], portion: usize) -> (Vec<Cluster>, Option<ErrorId>) {
    let (mut clusters, mut whole) = (clusters(), Vec::new());
    let mut drain = |clusters: &mut Clusters| loop {
        match clusters.step() {
            Ok(Some(Step::Whole(cluster))) => whole.push(*cluster),
            Ok(Some(Step::Begun(_) | Step::Block(_))) => {}
            Ok(None) => return None,
            Err(refusal) => return Some(refusal.id),
        }
    };
    for bytes in stream.chunks(portion) {
        clusters.push(bytes);
        if let Some(refused) = drain(&mut clusters) {
            return (whole, Some(refused));
        }
    }
    clusters.finish();
    let refused = drain(&mut clusters);
    (whole, refused)
}

fn tags(cluster: &Cluster) -> Vec<&str> {
    cluster.begun.tags.keys().chain(cluster.late.keys()).map(String::as_str).collect()
}

fn fragment(timecode: u64) -> Vec<u8> {
    [put_cluster(timecode), put_frame(1, 0, true, b"x")].concat()
}

#[test]
fn tags_that_aws_gives_a_meaning_do_not_count() {
    let own = |count: usize| (0..count).map(|n| put_tag(&format!("t{n}"), "1")).collect::<Vec<_>>().concat();
    let most = Limits::default().fragment_tags;
    let reserved = put_tag("AWS_KINESISVIDEO_NOTIFICATION", "");
    let before = [put_header(&["D_ANY"]), own(most), reserved.repeat(3), fragment(0)].concat();
    let (found, refused) = take(&before, usize::MAX);
    assert_eq!((found.len(), refused), (1, None));
    assert_eq!(tags(&found[0]).len(), most + 1);
    let behind = [put_header(&["D_ANY"]), reserved, fragment(0), own(most), put_end_of_fragment()].concat();
    let (found, refused) = take(&behind, usize::MAX);
    assert_eq!((found.len(), refused), (1, None));
    assert_eq!(tags(&found[0]).len(), most + 1);
    let more = [put_header(&["D_ANY"]), own(most + 1), fragment(0)].concat();
    assert_eq!(take(&more, usize::MAX).1, Some(ErrorId::FragmentMetadataLimit));
}

#[test]
fn a_fragment_of_very_many_blocks_is_refused() {
    let blocks = put_frame(1, 0, true, b"").repeat(BLOCKS + 1);
    let stream = [put_header(&["D_ANY"]), put_cluster(0), blocks].concat();
    assert_eq!(take(&stream, usize::MAX).1, Some(ErrorId::MaxFragmentSize));
}

#[test]
fn tags_go_to_the_next_fragment_or_where_its_end_stands() {
    let stream = [
        put_header(&["D_ANY"]),
        put_tag("a", "1"),
        fragment(0),
        put_tag("b", "1"),
        fragment(1000),
        put_tag("c", "1"),
        put_end_of_fragment(),
        put_tag("d", "1"),
        put_tag("AWS_KINESISVIDEO_NOTIFICATION", ""),
        put_tag("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "1"),
        fragment(2000),
        put_tag("for nobody", "1"),
    ]
    .concat();
    let (found, refused) = take(&stream, usize::MAX);
    assert_eq!((found.len(), refused), (3, None));
    assert_eq!(tags(&found[0]), ["a"]);
    assert_eq!(tags(&found[1]), ["b", "c"]);
    assert_eq!(tags(&found[2]), ["AWS_KINESISVIDEO_NOTIFICATION", "d"]);
}

#[test]
fn a_cluster_is_whole_when_its_end_is_told_or_nothing_follows() {
    let mut clusters = clusters();
    clusters.push(&[put_header(&["D_ANY"]), fragment(0)].concat());
    let mut steps = 0;
    while clusters.step().unwrap().is_some() {
        steps += 1;
    }
    assert_eq!((steps, clusters.settles_after(), clusters.is_open()), (2, None, true), "more may come");
    clusters.push(&put_tag("a", "1"));
    assert!(clusters.step().unwrap().is_none());
    assert_eq!(clusters.settles_after(), Some(MUST_FOLLOW));
    clusters.settle();
    assert!(matches!(clusters.step(), Ok(Some(Step::Whole(_)))));
    assert_eq!(clusters.settles_after(), None);
    // Too late for the fragment that it was to end: not the next one's either.
    clusters.push(&[put_end_of_fragment(), fragment(1000)].concat());
    let Ok(Some(Step::Begun(begun))) = clusters.step() else { panic!("a fragment") };
    assert!(begun.tags.is_empty());
}

#[test]
fn what_is_whole_before_a_fault_stays_so() {
    for (fault, id) in [
        (fragment(0), None),
        (put_header(&["D_ANY"]), Some(ErrorId::InvalidMkvData)),
        ([fragment(2000), fragment(1000)].concat(), Some(ErrorId::FragmentTimecode)),
        ([put_cluster(2000), fragment(3000)].concat(), Some(ErrorId::FramesMissing)),
    ] {
        let stream = [put_header(&["D_ANY"]), fragment(0), fault].concat();
        let (found, refused) = take(&stream, usize::MAX);
        assert_eq!((found.is_empty(), refused), (false, id));
    }
}

#[test]
fn times_are_those_of_the_blocks_and_durations_add_up() {
    let frames = [(0, true), (80, false), (40, false), (120, true)];
    let blocks: Vec<u8> = frames
        .iter()
        .flat_map(|(time, key)| put_frame(1, *time, *key, b"x"))
        .chain(put_frame(2, 7, true, b""))
        .collect();
    let stream = [put_header(&["V_VP8", "D_ANY"]), put_cluster(1_795_000_000_000), blocks].concat();
    let (found, _) = take(&stream, usize::MAX);
    let of = |track: u8| {
        let of_track = found[0].frames.iter().filter(move |frame| frame.track == track);
        let from = 1_795_000_000_000;
        of_track.map(|frame| (frame.dts - from, frame.pts - from, frame.duration)).collect::<Vec<_>>()
    };
    assert_eq!(of(1), [(0, 0, 40), (40, 80, 40), (80, 40, 40), (120, 120, 40)]);
    assert_eq!(of(2), [(7, 7, 40)], "a lone frame is shown for a while");
    assert_eq!(found[0].begun.producer.millis(), 1_795_000_000_000);
}

proptest! {
    #[test]
    fn portions_make_no_difference(
        parts in prop::collection::vec(
            prop_oneof![
                4 => (0u64..9).prop_map(|time| fragment(time * 1000)),
                2 => Just(put_tag("name", "value")),
                1 => Just(put_end_of_fragment()),
                1 => Just(put_frame(1, 30_000, true, b"late")),
            ],
            0..12,
        ),
        portion in 1usize..60,
    ) {
        let stream = [put_header(&["D_ANY"]), parts.concat()].concat();
        let summary = |(found, refused): (Vec<Cluster>, Option<ErrorId>)| {
            let told = |cluster: &Cluster| (cluster.begun.timecode, cluster.blocks.clone(), cluster.late.clone(), cluster.begun.tags.clone());
            (found.iter().map(told).collect::<Vec<_>>(), refused)
        };
        prop_assert_eq!(summary(take(&stream, portion)), summary(take(&stream, usize::MAX)));
    }
}
