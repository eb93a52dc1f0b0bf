//! The time rule and the fragmenter against simulated cameras.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Limits, Timestamp};
use bytes::Bytes;
use fixtures::{AUDIO, Arrival, Camera, FakeClock, Fault, Happening, SenderReports, VIDEO};
use fixtures::{aac_track, h264_track};
use media::rtp::{AccessUnit, SenderReport};
use proptest::prelude::*;

use super::assembler::Assembler;
use super::naming::Job;
use crate::time::{Restart, ServerClock};
use crate::{TimestampSource, TrackSource};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A fragment, and when its first video frame was really made.
pub(super) struct Recorded {
    pub(super) job: Job,
    made: Duration,
}

impl Recorded {
    /// Producer timestamp minus truth.
    pub(super) fn error_ms(&self, zero: Timestamp) -> i64 {
        self.job.named.producer.millis() - (zero + self.made).millis()
    }

    fn starts_run(&self) -> bool {
        self.job.named.starts_run
    }
}

/// What became of a camera's session.
pub(super) struct Session {
    pub(super) zero: Timestamp,
    pub(super) fragments: Vec<Recorded>,
    restarts: Vec<Restart>,
}

impl Session {
    pub(super) fn runs(&self) -> usize {
        self.fragments.iter().filter(|fragment| fragment.starts_run()).count()
    }

    /// The worst errors of the fragments that began after `since`, but for the worst 1 %.
    pub(super) fn p99_ms(&self, since: Duration) -> i64 {
        let late = self.fragments.iter().filter(|fragment| fragment.made >= since);
        let mut errors: Vec<_> = late.map(|fragment| fragment.error_ms(self.zero).abs()).collect();
        errors.sort_unstable();
        errors[(errors.len() - 1) * 99 / 100]
    }

    /// Every track's frames follow each other without gap within a run.
    pub(super) fn assert_exact(&self) {
        for number in [VIDEO.0, AUDIO.0] {
            let mut end = None;
            for Recorded { job, .. } in &self.fragments {
                end = end.filter(|_| !job.named.starts_run);
                let frames: Vec<_> = job.frames.iter().filter(|frame| frame.track == number).collect();
                let meta = job.metas.iter().find(|meta| meta.number == number);
                assert_eq!(meta.is_some(), !frames.is_empty());
                let sum: u64 = frames.iter().map(|frame| u64::from(frame.duration)).sum();
                assert_eq!(meta.map_or(0, |meta| meta.duration), sum);
                for frame in frames {
                    assert!(end.is_none_or(|end| end == frame.dts), "{end:?} {}", frame.dts);
                    end = Some(frame.dts + i64::from(frame.duration));
                }
            }
        }
    }
}

pub(super) fn sources() -> [TrackSource; 2] {
    let source = |(number, clock_rate), video| TrackSource { number, video, clock_rate };
    [source(VIDEO, true), source(AUDIO, false)]
}

pub(super) fn record(camera: &Camera, length: Duration) -> Session {
    record_with(camera, length, TimestampSource::Auto, &[])
}

/// Records a camera for `length`, while the system's clock makes `steps` (when, by how many ms).
pub(super) fn record_with(
    camera: &Camera,
    length: Duration,
    timestamps: TimestampSource,
    steps: &[(Duration, i64)],
) -> Session {
    let mut fragments = Vec::new();
    let session = record_parts(camera, length, timestamps, steps, |_| false, &mut fragments);
    assert!(fragments.iter().all(|job| job.begins && job.ends));
    session.with(fragments)
}

/// Records a camera, and asks for a part of the open fragment after each arrival that `journals` says.
fn record_parts(
    camera: &Camera,
    length: Duration,
    timestamps: TimestampSource,
    steps: &[(Duration, i64)],
    mut journals: impl FnMut(Duration) -> bool,
    fragments: &mut Vec<Job>,
) -> Taken {
    let clock = FakeClock::default();
    let zero = clock.now();
    let server = ServerClock::new(zero, clock.monotonic());
    let mut assembler = Assembler::new(&sources(), &Limits::default(), timestamps, server);
    let (mut jobs, mut made, mut restarts) = (VecDeque::new(), VecDeque::new(), Vec::new());
    let (mut steps, mut observed) = (steps.iter().peekable(), Duration::ZERO);
    for Arrival { arrival, made: at, track, what, .. } in
        camera.run(zero).take_while(|next| next.arrival < length)
    {
        clock.advance_to(arrival);
        while let Some((_, by_ms)) = steps.next_if(|(at, _)| *at <= arrival) {
            clock.step_wall_ms(*by_ms);
        }
        if arrival - observed >= SECOND {
            observed = arrival;
            assembler.wall_clock(clock.now(), clock.monotonic(), clock.synchronized());
        }
        let index = usize::from(track) - 1;
        match what {
            Happening::Unit(unit) => {
                let taken = assembler.take(index, unit, arrival, &mut jobs);
                restarts.extend(taken.restart);
                made.extend((index == 0 && taken.kept).then_some(at));
            }
            Happening::Report(report) => assembler.sender_report(index, &report, arrival),
        }
        if journals(arrival) {
            jobs.extend(assembler.part());
        }
    }
    assembler.end(&mut jobs);
    fragments.extend(jobs);
    Taken { zero, made, restarts }
}

/// What else is known of a session.
struct Taken {
    zero: Timestamp,
    made: VecDeque<Duration>,
    restarts: Vec<Restart>,
}

impl Taken {
    fn with(mut self, fragments: Vec<Job>) -> Session {
        let recorded = |job: Job| {
            let frames = job.frames.iter().filter(|frame| frame.track == VIDEO.0).count();
            let first = self.made.drain(..frames).next().expect("every fragment here has video");
            Recorded { job, made: first }
        };
        let fragments = fragments.into_iter().map(recorded).collect();
        Session { zero: self.zero, fragments, restarts: self.restarts }
    }
}

/// Parts put together again.
fn joined(jobs: Vec<Job>) -> Vec<Job> {
    let mut whole: Vec<Job> = Vec::new();
    for mut job in jobs {
        let open = whole.last_mut().filter(|last| !last.ends);
        assert_eq!(open.is_none(), job.begins);
        let Some(open) = open else {
            whole.push(job);
            continue;
        };
        assert_eq!((job.named, job.server), (open.named, open.server), "what is named stays so");
        open.frames.append(&mut job.frames);
        (open.tracks, open.ends) = (job.tracks, job.ends);
        let start = |number| open.frames.iter().find(|frame| frame.track == number).map(|frame| frame.dts);
        let metas = open.tracks.iter().map(|track| track.meta(start(track.number).unwrap(), &open.frames));
        open.metas = metas.collect();
    }
    assert!(whole.iter().all(|job| job.ends));
    whole
}

pub(super) fn honest() -> impl Strategy<Value = Camera> {
    (any::<u64>(), -200.0..200.0, any::<u32>(), any::<bool>(), 1u64..200, 15u32..60).prop_map(
        |(seed, drift_ppm, first_rtp, audio, jitter, gop)| Camera {
            seed,
            drift_ppm,
            first_rtp,
            audio,
            gop,
            jitter: Duration::from_millis(jitter),
            ..Camera::default()
        },
    )
}

/// Up to three stalls of up to 3 s, and a start with frames that are old.
pub(super) fn troubles() -> impl Strategy<Value = Vec<Fault>> {
    let stall = (5u64..170, 1u64..3000).prop_map(|(at, length)| Fault::Stall {
        at: Duration::from_secs(at),
        length: Duration::from_millis(length),
    });
    let burst = (0u64..4000).prop_map(|backlog| Fault::Burst { backlog: Duration::from_millis(backlog) });
    (proptest::collection::vec(stall, 0..3), burst).prop_map(|(mut faults, burst)| {
        faults.push(burst);
        faults
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn honest_cameras_are_timed_within_100_ms(camera in honest(), faults in troubles()) {
        let session = record(&Camera { faults, ..camera }, 3 * MINUTE);
        session.assert_exact();
        prop_assert_eq!(session.runs(), 1);
        prop_assert!(session.p99_ms(MINUTE) <= 100, "{} ms", session.p99_ms(MINUTE));
    }

    #[test]
    fn what_was_closed_stays_as_it_was(camera in honest(), faults in troubles(), cut in 10u64..60) {
        let camera = Camera { faults, ..camera };
        let whole = record(&camera, MINUTE);
        let mut part = record(&camera, Duration::from_secs(cut));
        part.fragments.pop();
        let facts = |fragment: &Recorded| {
            let Job { named, metas, server, .. } = &fragment.job;
            (*named, metas.clone(), *server)
        };
        // Those that the end of the session named early, before the least-delayed frame was known.
        let settled = part.fragments.iter().zip(&whole.fragments).skip_while(|_| cut < 12);
        for (part, whole) in settled {
            prop_assert_eq!(facts(part), facts(whole));
        }
    }

    #[test]
    fn parts_are_what_the_fragment_would_have_been(
        camera in honest(), faults in troubles(), at in 20u64..90, gop in 20u32..300, every_ms in 100u64..3_000,
    ) {
        let reboot = Fault::Reboot { at: Duration::from_secs(at), down: SECOND };
        let camera = Camera { faults: [faults, vec![reboot]].concat(), gop, ..camera };
        let whole = record(&camera, 2 * MINUTE);
        let (mut parts, mut last) = (Vec::new(), Duration::ZERO);
        let journals = |arrival: Duration| {
            let due = arrival >= last + Duration::from_millis(every_ms);
            last = if due { arrival } else { last };
            due
        };
        let taken = record_parts(&camera, 2 * MINUTE, TimestampSource::Auto, &[], journals, &mut parts);
        prop_assert!(parts.len() > whole.fragments.len());
        let session = taken.with(joined(parts));
        session.assert_exact();
        let pictures = |session: &Session| -> Vec<_> {
            let frames = session.fragments.iter().flat_map(|fragment| &fragment.job.frames);
            let video = frames.filter(|frame| frame.track == VIDEO.0);
            video.map(|frame| (frame.dts, frame.pts, frame.duration, frame.key)).collect()
        };
        prop_assert_eq!(pictures(&session), pictures(&whole));
        // After the reboot: where it comes in a run's first fragment, a part of that is no longer undone.
        prop_assert!(session.runs().abs_diff(whole.runs()) <= 1);
        prop_assert!(session.p99_ms(Duration::ZERO) <= 250);
    }

    #[test]
    fn reboots_start_runs_and_lose_no_accuracy(camera in honest(), at in 20u64..90, down in 1u64..30) {
        let faults = vec![Fault::Reboot { at: Duration::from_secs(at), down: Duration::from_secs(down) }];
        let session = record(&Camera { faults, ..camera }, 3 * MINUTE);
        session.assert_exact();
        prop_assert!((2..=3).contains(&session.runs()), "{} runs", session.runs());
        prop_assert!(session.p99_ms(Duration::ZERO) <= 250);
        let back = Duration::from_secs(at + down + 60);
        prop_assert!(session.p99_ms(back.min(Duration::from_secs(170))) <= 100);
    }

    #[test]
    fn a_step_of_the_systems_clock_starts_a_run(camera in honest(), at in 20u64..100, by_ms in 300i64..7_200_000, back: bool) {
        let by_ms = if back { -by_ms } else { by_ms };
        let at = Duration::from_secs(at);
        let session = record_with(&camera, 3 * MINUTE, TimestampSource::Auto, &[(at, by_ms)]);
        session.assert_exact();
        prop_assert_eq!(session.runs(), 2);
        let mut runs = 0;
        for fragment in &session.fragments {
            runs += usize::from(fragment.starts_run());
            let expected = if runs == 1 { 0 } else { by_ms };
            prop_assert!((fragment.error_ms(session.zero) - expected).abs() <= 250);
        }
    }
}

/// What a broken or hostile camera may do.
#[derive(Clone, Debug)]
enum Nonsense {
    Unit { rtp_timestamp: u32, key: bool, variant: u8 },
    Report { ntp: u64, rtp_timestamp: u32 },
    SourceChanged,
    WallClock { ms: i64 },
    Part,
}

fn nonsense() -> impl Strategy<Value = Nonsense> {
    let unit = |rtp: BoxedStrategy<u32>| {
        (rtp, any::<bool>(), 0u8..6).prop_map(|(rtp_timestamp, key, variant)| Nonsense::Unit {
            rtp_timestamp,
            key,
            variant,
        })
    };
    prop_oneof![
        3 => unit(any::<u32>().boxed()),
        12 => unit((0u32..9_000_000).boxed()),
        2 => (any::<u64>(), any::<u32>())
            .prop_map(|(ntp, rtp_timestamp)| Nonsense::Report { ntp, rtp_timestamp }),
        1 => Just(Nonsense::SourceChanged),
        1 => any::<i64>().prop_map(|ms| Nonsense::WallClock { ms }),
        2 => Just(Nonsense::Part),
    ]
}

proptest! {
    #[test]
    fn any_nonsense_is_survived(
        events in proptest::collection::vec((0usize..2, 0u64..3_000, nonsense()), 0..300),
        timestamps in prop_oneof![Just(TimestampSource::Auto), Just(TimestampSource::Camera)],
    ) {
        let server = ServerClock::new(Timestamp::from_millis(0), Duration::ZERO);
        let mut assembler = Assembler::new(&sources(), &Limits::default(), timestamps, server);
        let (mut jobs, mut at) = (VecDeque::new(), Duration::ZERO);
        for (index, passed_ms, event) in events {
            at += Duration::from_millis(passed_ms);
            match event {
                Nonsense::Unit { rtp_timestamp, key, variant } => {
                    let track = if index == 0 { h264_track(variant % 2) } else { aac_track() };
                    let track = (variant < 3).then(|| Arc::new(track));
                    let data = Bytes::from_static(&[0; 8]);
                    let unit = AccessUnit { rtp_timestamp, key, data, track, damaged: false };
                    assembler.take(index, unit, at, &mut jobs);
                }
                Nonsense::Report { ntp, rtp_timestamp } => {
                    let report = SenderReport { ssrc: 1, ntp, rtp_timestamp };
                    assembler.sender_report(index, &report, at);
                }
                Nonsense::SourceChanged => assembler.source_changed(index, &mut jobs),
                Nonsense::WallClock { ms } => {
                    assembler.wall_clock(Timestamp::from_millis(ms), at, None);
                }
                Nonsense::Part => jobs.extend(assembler.part()),
            }
        }
        assembler.end(&mut jobs);
        for job in joined(jobs.into()) {
            prop_assert!(!job.frames.is_empty() && job.metas.len() == job.tracks.len());
            prop_assert!(job.frames.iter().all(|frame| frame.duration > 0));
        }
    }
}

#[test]
fn a_wrap_of_the_rtp_timestamps_goes_unnoticed() {
    let camera = Camera { first_rtp: u32::MAX - 45 * VIDEO.1, audio: true, ..Camera::default() };
    let session = record(&camera, 2 * MINUTE);
    session.assert_exact();
    assert_eq!((session.runs(), session.restarts.len()), (1, 0));
}

#[test]
fn a_gop_of_the_target_length_is_one_fragment() {
    let session = record(&Camera { drift_ppm: -200.0, ..Camera::default() }, MINUTE);
    assert_eq!(session.fragments.len(), 30);
    assert!(session.fragments.iter().all(|fragment| fragment.job.starts_with_key));
}

#[test]
fn a_rate_liar_is_found_once_and_then_timed_by_arrival() {
    let camera = Camera { frame_rate: 21.0, stamped_rate: 25.0, gop: 42, ..Camera::default() };
    let session = record(&camera, 10 * MINUTE);
    session.assert_exact();
    assert_eq!(session.restarts, [Restart::RateMismatch]);
    assert!(session.runs() <= 4, "{} runs", session.runs());
    assert!(session.p99_ms(2 * MINUTE) <= 250, "{} ms", session.p99_ms(2 * MINUTE));
    assert!(session.fragments.last().is_some_and(|last| last.job.clock.rate_mismatch));
}

fn reporting(offset_ms: i64, lie_ms: i64) -> Camera {
    let reports = SenderReports { every: 5 * SECOND, offset_ms, lie_ms };
    Camera { audio: true, reports: Some(reports), ..Camera::default() }
}

#[test]
fn stable_reports_are_followed_and_their_offset_is_told() {
    let session = record(&reporting(-1200, 20), 3 * MINUTE);
    session.assert_exact();
    let last = session.fragments.last().unwrap();
    assert_eq!(last.job.named.source, base::ClockSource::SenderReport);
    assert!((last.error_ms(session.zero) + 1200).abs() <= 30);
    assert!(last.job.named.offset_ms.is_some_and(|offset| (offset + 1200).abs() <= 60));
    assert_eq!(session.runs(), 2, "from the server's clock to the camera's");
}

#[test]
fn reports_that_tell_of_an_encoders_delay_are_slewed_to() {
    let session = record(&reporting(-400, 5), 20 * MINUTE);
    session.assert_exact();
    assert_eq!(session.runs(), 1);
    let errors: Vec<_> = session.fragments.iter().map(|fragment| fragment.error_ms(session.zero)).collect();
    assert!(errors.is_sorted_by(|a, b| a + 1 >= *b), "towards the camera's clock, step by step");
    assert!((errors[errors.len() - 1] + 400).abs() <= 30);
}

#[test]
fn lying_reports_are_not_followed_unless_told_to() {
    let session = record(&reporting(0, 2000), 3 * MINUTE);
    assert_eq!(session.runs(), 1);
    assert!(session.p99_ms(MINUTE) <= 100);
    assert!(session.fragments.last().is_some_and(|last| last.job.clock.reports_untrusted));
    let far = record(&reporting(3_600_000, 0), MINUTE);
    assert!(far.p99_ms(Duration::ZERO) <= 100);
    let camera = record_with(&reporting(3_600_000, 0), MINUTE, TimestampSource::Camera, &[]);
    assert!((camera.fragments.last().unwrap().error_ms(camera.zero) - 3_600_000).abs() <= 30);
    let server = record_with(&reporting(-1200, 0), MINUTE, TimestampSource::Server, &[]);
    assert!(server.p99_ms(Duration::ZERO) <= 100);
}

#[test]
fn a_camera_that_steps_its_clock_costs_two_runs_at_most() {
    let step = Fault::ClockStep { at: MINUTE, by_ms: 2_000 };
    let session = record(&Camera { faults: vec![step], ..reporting(0, 0) }, 5 * MINUTE);
    assert!(session.runs() <= 2, "{} runs", session.runs());
    assert!(session.p99_ms(Duration::ZERO) <= 100);
}

#[test]
fn sound_lies_beside_the_picture() {
    for camera in [reporting(0, 0), Camera { audio: true, ..Camera::default() }] {
        let session = record(&Camera { faults: vec![], ..camera }, MINUTE);
        let skew_ms = session.fragments.iter().map(|fragment| {
            let start = |number| fragment.job.metas.iter().find(|meta| meta.number == number).unwrap();
            let (video, audio) = (start(VIDEO.0), start(AUDIO.0));
            (video.start * 1000 / 90_000) - (audio.start * 1000 / 48_000)
        });
        // A sound lasts 21 ms; frames of both tracks wait in turn for their successors.
        assert!(skew_ms.into_iter().all(|skew| skew.abs() <= 120));
    }
}
