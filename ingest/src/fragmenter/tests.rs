use super::*;
use bytes::Bytes;
use fixtures::{AUDIO, VIDEO, aac_track, h264_track};

const SECOND: i64 = 90_000;
const VIDEO_AT: usize = 0;
const AUDIO_AT: usize = 1;

/// Frames of 40 ms by hand.
struct Bench {
    fragmenter: Fragmenter,
    cuts: Vec<Cut>,
    announced: [bool; 2],
    dropped: usize,
}

impl Bench {
    fn new(limits: &Limits) -> Self {
        let source = |(number, clock_rate), video| TrackSource { number, video, clock_rate };
        let fragmenter = Fragmenter::new(&[source(VIDEO, true), source(AUDIO, false)], limits);
        Self { fragmenter, cuts: Vec::new(), announced: [false; 2], dropped: 0 }
    }

    fn unit(&mut self, index: usize, key: bool) -> AccessUnit {
        let first = !std::mem::replace(&mut self.announced[index], true);
        let track = if index == VIDEO_AT { h264_track(0) } else { aac_track() };
        let data = Bytes::from_static(&[0; 100]);
        let track = first.then(|| Arc::new(track));
        AccessUnit { rtp_timestamp: 0, key, data, track, damaged: false }
    }

    fn take(&mut self, index: usize, ticks: i64, arrival_ms: i64, unit: AccessUnit) {
        let arrival = Duration::from_millis(u64::try_from(arrival_ms).unwrap());
        let kept = self.fragmenter.push(index, ticks, unit, arrival, &mut self.cuts);
        self.dropped += usize::from(!kept);
    }

    /// A picture at a media time in milliseconds, arriving then.
    fn picture(&mut self, at_ms: i64, key: bool) {
        let unit = self.unit(VIDEO_AT, key);
        self.take(VIDEO_AT, at_ms * SECOND / 1000, at_ms, unit);
    }

    fn sound(&mut self, at_ms: i64) {
        let unit = self.unit(AUDIO_AT, true);
        self.take(AUDIO_AT, at_ms * 48, at_ms, unit);
    }

    /// Pictures every 40 ms with a key frame every `gop` ms.
    fn pictures(&mut self, from_ms: i64, to_ms: i64, gop_ms: i64) {
        for at_ms in (from_ms..to_ms).step_by(40) {
            self.picture(at_ms, (at_ms - from_ms) % gop_ms == 0);
        }
    }

    /// Ends, and tells each fragment's video or audio duration in milliseconds.
    fn lengths(&mut self) -> Vec<i64> {
        self.fragmenter.end_run(&mut self.cuts);
        self.cuts.iter().map(length_ms).collect()
    }
}

fn length_ms(cut: &Cut) -> i64 {
    let (number, clock_rate) = if cut.lead == VIDEO_AT { VIDEO } else { AUDIO };
    let frames = cut.frames.iter().filter(|frame| frame.track == number);
    ticks_to_us(frames.map(|frame| i64::from(frame.duration)).sum(), clock_rate) / 1000
}

fn frames_of(cut: &Cut, (number, _): (u8, u32)) -> usize {
    cut.frames.iter().filter(|frame| frame.track == number).count()
}

#[test]
fn short_groups_are_gathered_up_to_the_target_and_long_ones_kept_whole() {
    for (gop_ms, expected_ms) in [(480, 1920), (1000, 2000), (2000, 2000), (1920, 1920), (3200, 3200)] {
        let mut bench = Bench::new(&Limits::default());
        bench.pictures(0, expected_ms * 4, gop_ms);
        assert_eq!(bench.lengths(), [expected_ms; 4], "key frames every {gop_ms} ms");
        assert!(bench.cuts.iter().all(|cut| cut.starts_with_key));
        assert!(bench.cuts.iter().skip(1).all(|cut| !cut.starts_run));
    }
}

#[test]
fn two_key_frames_in_a_row_make_no_tiny_fragment() {
    let mut bench = Bench::new(&Limits::default());
    for at_ms in (0..8000).step_by(40) {
        bench.picture(at_ms, at_ms % 2000 <= 40);
    }
    assert_eq!(bench.lengths(), [2000; 4]);
}

#[test]
fn without_key_frames_a_fragment_ends_at_the_limit_and_the_next_key_frame() {
    let mut bench = Bench::new(&Limits::default());
    bench.pictures(0, 45_000, 100_000);
    bench.pictures(45_000, 47_000, 2000);
    assert_eq!(bench.lengths(), [20_000, 20_000, 5_000, 2_000]);
    let keys: Vec<_> = bench.cuts.iter().map(|cut| cut.starts_with_key).collect();
    assert_eq!(keys, [true, false, false, true]);
}

#[test]
fn frames_before_the_first_key_frame_are_dropped_for_as_long_as_a_fragment_may_be() {
    let mut bench = Bench::new(&Limits::default());
    for at_ms in (0..24_000).step_by(40) {
        bench.picture(at_ms, false);
        bench.sound(at_ms);
    }
    assert_eq!(bench.lengths(), [4_000]);
    assert!(!bench.cuts[0].starts_with_key);
    assert_eq!(bench.dropped, 1000);
}

#[test]
fn a_fragment_ends_before_it_is_too_large() {
    let limits = Limits { fragment_bytes: 20 * (100 + size_of::<Frame>()), ..Limits::default() };
    let mut bench = Bench::new(&limits);
    bench.pictures(0, 1600, 100_000);
    assert_eq!(bench.lengths(), [800, 800]);
}

#[test]
fn a_fragment_of_tiny_frames_ends_before_it_has_more_than_can_be_read() {
    let mut bench = Bench::new(&Limits::default());
    bench.picture(0, true);
    let unit = AccessUnit { data: Bytes::from_static(&[0]), ..bench.unit(VIDEO_AT, false) };
    for tick in 1..100_000i64 {
        bench.take(VIDEO_AT, tick, tick / 90, unit.clone());
    }
    bench.fragmenter.end_run(&mut bench.cuts);
    assert!(bench.cuts.iter().all(|cut| cut.frames.len() <= MAX_FRAMES));
    assert_eq!(bench.cuts.iter().map(|cut| cut.frames.len()).sum::<usize>(), 100_000);
}

#[test]
fn sound_alone_is_cut_at_the_target() {
    let source = TrackSource { number: AUDIO.0, video: false, clock_rate: AUDIO.1 };
    let mut bench = Bench::new(&Limits::default());
    bench.fragmenter = Fragmenter::new(&[source], &Limits::default());
    for frame in 0..200i64 {
        let unit = bench.unit(AUDIO_AT, true);
        bench.take(0, frame * 1024, frame * 1024 / 48, unit);
    }
    bench.fragmenter.end_run(&mut bench.cuts);
    let frames: Vec<_> = bench.cuts.iter().map(|cut| cut.frames.len()).collect();
    assert_eq!(frames, [88, 88, 24]);
}

#[test]
fn sound_goes_on_without_the_picture_and_with_it_again() {
    let mut bench = Bench::new(&Limits::default());
    for at_ms in (0..40_000).step_by(40) {
        if !(2_000..32_000).contains(&at_ms) {
            bench.picture(at_ms, at_ms % 2000 == 0);
        }
        bench.sound(at_ms);
    }
    bench.lengths();
    let leads: Vec<_> = bench.cuts.iter().map(|cut| (cut.lead, cut.starts_run)).collect();
    assert_eq!(leads[..3], [(VIDEO_AT, true), (AUDIO_AT, true), (AUDIO_AT, false)]);
    assert_eq!(
        leads[leads.len() - 4..],
        [(VIDEO_AT, true), (VIDEO_AT, false), (VIDEO_AT, false), (VIDEO_AT, false)]
    );
    assert_eq!(bench.cuts.iter().map(|cut| frames_of(cut, AUDIO)).sum::<usize>(), 1000 - bench.dropped);
}

#[test]
fn changed_parameters_begin_a_fragment_of_the_same_run() {
    let mut bench = Bench::new(&Limits::default());
    bench.pictures(0, 1000, 100_000);
    let track = Some(Arc::new(h264_track(1)));
    let unit = AccessUnit { track: track.clone(), ..bench.unit(VIDEO_AT, true) };
    bench.take(VIDEO_AT, SECOND, 1000, unit);
    bench.pictures(1040, 2040, 100_000);
    assert_eq!(bench.lengths(), [1000, 1040]);
    let [first, second] = &bench.cuts[..] else { panic!("two fragments") };
    assert_ne!(first.tracks[0].init_id(), second.tracks[0].init_id());
    assert!(second.parameters_changed && !second.starts_run);
    let end = first.frames.last().map(|frame| frame.dts + i64::from(frame.duration));
    assert_eq!(end, second.frames.first().map(|frame| frame.dts));
}

#[test]
fn a_sound_track_that_starts_over_waits_for_the_next_run() {
    let mut bench = Bench::new(&Limits::default());
    for at_ms in (0..8000).step_by(40) {
        if at_ms == 4_400 {
            bench.fragmenter.restart_track(AUDIO_AT, &mut bench.cuts);
        }
        bench.picture(at_ms, at_ms % 1000 == 0);
        bench.sound(at_ms);
    }
    assert_eq!(bench.lengths(), [2000, 2000, 1000, 2000, 1000]);
    let starts: Vec<_> = bench.cuts.iter().map(|cut| cut.starts_run).collect();
    assert_eq!(starts, [true, false, false, true, false]);
    assert_eq!(bench.dropped, 15);
}

#[test]
fn tracks_that_start_over_together_make_one_run() {
    let mut bench = Bench::new(&Limits::default());
    for at_ms in (0..8000).step_by(40) {
        if at_ms == 4_000 {
            bench.fragmenter.restart_track(VIDEO_AT, &mut bench.cuts);
        }
        if at_ms == 4_080 {
            bench.fragmenter.restart_track(AUDIO_AT, &mut bench.cuts);
        }
        bench.picture(at_ms, at_ms % 2000 == 0);
        bench.sound(at_ms);
    }
    assert_eq!(bench.lengths(), [2000; 4]);
    assert_eq!(bench.cuts.iter().filter(|cut| cut.starts_run).count(), 2);
}

#[test]
fn reordered_pictures_stay_in_their_fragments() {
    let mut bench = Bench::new(&Limits::default());
    let order = [0, 3, 1, 2];
    for place in 0..200i64 {
        let shown = place / 4 * 4 + order[usize::try_from(place % 4).unwrap()];
        let unit = bench.unit(VIDEO_AT, place % 48 == 0);
        bench.take(VIDEO_AT, shown * 3600, place * 40, unit);
    }
    assert_eq!(bench.lengths(), [1920, 1920, 1920, 1920, 320]);
    for cut in &bench.cuts {
        assert!(cut.frames[0].key && cut.frames[1..].iter().all(|frame| !frame.key));
    }
}
