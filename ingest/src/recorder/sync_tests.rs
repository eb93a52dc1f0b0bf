//! Sound beside picture, leap seconds, jumps and days, with simulated cameras.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Clock, Limits};
use fixtures::{Arrival, Camera, FakeClock, Fault, Happening, SenderReports, VIDEO};
use proptest::prelude::*;

use super::assembler::Assembler;
use super::naming::Job;
use super::tests::{MINUTE, SECOND, honest, record, record_with, sources, troubles};
use crate::TimestampSource;
use crate::time::ServerClock;

/// How far sound and picture are apart from what they were when they were made, in milliseconds, once for each
/// fragment that begins after `since`; and the number of runs.
fn skews(camera: &Camera, length: Duration, since: Duration) -> (Vec<f64>, usize) {
    let clock = FakeClock::default();
    let zero = clock.now();
    let server = ServerClock::new(zero, clock.monotonic());
    let mut assembler = Assembler::new(&sources(), &Limits::default(), TimestampSource::Auto, server);
    let (mut jobs, mut made) = (VecDeque::new(), [VecDeque::new(), VecDeque::new()]);
    for Arrival { arrival, made: at, track, what, .. } in
        camera.run(zero).take_while(|next| next.arrival < length)
    {
        let index = usize::from(track) - 1;
        match what {
            Happening::Unit(unit) => {
                made[index].extend(assembler.take(index, unit, arrival, &mut jobs).kept.then_some(at));
            }
            Happening::Report(report) => assembler.sender_report(index, &report, arrival),
        }
    }
    assembler.end(&mut jobs);
    let runs = jobs.iter().filter(|job| job.named.starts_run).count();
    let skew = |job: &Job| {
        let mut late = [0.0; 2];
        let mut first = Duration::ZERO;
        for (index, made) in made.iter_mut().enumerate() {
            let number = u8::try_from(index + 1).unwrap();
            let meta = job.metas.iter().find(|meta| meta.number == number)?;
            let frames = job.frames.iter().filter(|frame| frame.track == number).count();
            first = made.drain(..frames).next()?;
            late[index] =
                meta.start as f64 * 1000.0 / f64::from(meta.timescale) - first.as_secs_f64() * 1000.0;
        }
        (first >= since).then_some((late[0] - late[1]).abs())
    };
    (jobs.iter().filter_map(skew).collect(), runs)
}

fn worst(skews: &[f64]) -> f64 {
    skews.iter().copied().fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sound_is_within_40_ms_of_the_picture(
        camera in honest(), jitter in 1u64..60, faults in troubles(), offset_ms in -2000i64..2000, reports: bool,
    ) {
        let reports = reports.then_some(SenderReports { every: 5 * SECOND, offset_ms, lie_ms: 10 });
        let jitter = Duration::from_millis(jitter);
        let camera = Camera { faults, jitter, audio: true, reports, ..camera };
        let (skews, _) = skews(&camera, 4 * MINUTE, Duration::ZERO);
        prop_assert!(skews.len() > 20 && worst(&skews) <= 40.0, "{:?}", worst(&skews));
    }

    #[test]
    fn a_jump_of_the_media_clock_starts_a_run(camera in honest(), at in 20u64..60, by_ms in prop_oneof![11_000i64..4_000_000, -4_000_000i64..-3_000]) {
        let faults = vec![Fault::Jump { at: Duration::from_secs(at), by_ms }];
        let session = record(&Camera { faults, ..camera }, 2 * MINUTE);
        session.assert_exact();
        prop_assert!((2..=3).contains(&session.runs()), "{} runs", session.runs());
        prop_assert!(session.p99_ms(Duration::ZERO) <= 250, "{}", session.p99_ms(Duration::ZERO));
    }
}

#[test]
fn sound_with_a_quartz_of_its_own_stays_beside_the_picture() {
    for audio_drift_ppm in [-100.0, 60.0] {
        let camera = Camera { audio: true, audio_drift_ppm, drift_ppm: 30.0, ..Camera::default() };
        let (skews, runs) = skews(&camera, 20 * MINUTE, Duration::ZERO);
        let beyond = skews.iter().filter(|skew| **skew > 40.0).count();
        assert!(
            beyond * 100 <= skews.len() && worst(&skews) <= 50.0,
            "{beyond} of {}: {}",
            skews.len(),
            worst(&skews)
        );
        assert!((2..=20).contains(&runs), "{runs} runs");
    }
}

#[test]
fn a_leap_second_makes_no_run() {
    // Noon, when simulated cameras start, is twelve hours before midnight.
    let camera = Camera { frame_rate: 1.0, stamped_rate: 1.0, gop: 2, ..Camera::default() };
    let session = record_with(&camera, 13 * 60 * MINUTE, TimestampSource::Auto, &[(12 * 60 * MINUTE, -1000)]);
    session.assert_exact();
    assert_eq!(session.runs(), 1);
    let errors: Vec<_> = session.fragments.iter().map(|one| one.error_ms(session.zero)).collect();
    assert!(errors.iter().all(|error| (-1100..=100).contains(error)));
    assert!((errors[errors.len() - 1] + 1000).abs() <= 100, "{:?}", errors.last());
    assert!(errors.is_sorted_by(|a, b| a + 60 >= *b), "never a step forward");
}

#[test]
fn a_day_of_an_honest_camera_is_within_100_ms() {
    for drift_ppm in [-200.0, 50.0] {
        let faults =
            (1..24).map(|hour| Fault::Stall { at: hour * 60 * MINUTE, length: 3 * SECOND }).collect();
        let camera =
            Camera { drift_ppm, frame_rate: 1.0, stamped_rate: 1.0, gop: 2, faults, ..Camera::default() };
        let session = record(&camera, 1440 * MINUTE);
        session.assert_exact();
        assert_eq!(session.runs(), 1);
        assert!(session.p99_ms(MINUTE) <= 100, "{drift_ppm} ppm: {} ms", session.p99_ms(MINUTE));
        let drift = session.fragments.last().and_then(|last| last.job.clock.drift_ppm);
        assert!(drift.is_some_and(|drift| (drift - drift_ppm).abs() < 5.0), "{drift:?}");
    }
}

#[test]
fn fragments_of_a_smart_codec_end_within_20_seconds_and_at_every_key_frame() {
    let session = record(&Camera { gop: 25 * 47, audio: true, ..Camera::default() }, 5 * MINUTE);
    session.assert_exact();
    assert_eq!(session.runs(), 1);
    for one in &session.fragments {
        let video: Vec<_> = one.job.frames.iter().filter(|frame| frame.track == VIDEO.0).collect();
        let ticks: u32 = video.iter().map(|frame| frame.duration).sum();
        assert!(ticks <= 20 * VIDEO.1 + 3600, "{ticks}");
        assert_eq!(one.job.starts_with_key, video[0].key);
        assert!(video[1..].iter().all(|frame| !frame.key), "a key frame begins a fragment");
    }
    let keyed = session.fragments.iter().filter(|one| one.job.starts_with_key).count();
    assert_eq!((keyed, session.fragments.len()), (7, 19));
}
