//! Corrections of clocks: the last one of a run counts, and none is lost before there are too many.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::time::Duration;

use base::{FragmentNumber, RunId};
use catalog::{CatalogError, NewClockCorrection, NewStream};
use harness::{Installation, name};

fn correction(run: u64, delta_ms: i64) -> NewClockCorrection {
    let run = RunId(FragmentNumber::from_u64(run));
    NewClockCorrection { run, delta_ms, reason: "the clock was never set".into() }
}

#[tokio::test]
async fn the_last_correction_of_a_run_outlives_restarts() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream =
        catalog.create_stream(NewStream::new(name("door"), Duration::from_hours(1))).await.unwrap().id;
    catalog.correct_clock(stream, correction(7, 3_600_000), "AKIA1").await.unwrap();
    let second = catalog.correct_clock(stream, correction(7, -5), "AKIA2").await.unwrap();
    let other = catalog.correct_clock(stream, correction(6, 1), "millrace").await.unwrap();
    assert_eq!((second.delta_ms, second.set_by.as_str()), (-5, "AKIA2"));
    assert_eq!(catalog.clock_corrections(stream), [other.clone(), second.clone()]);
    catalog.snapshot().await.unwrap();
    running.stop();
    for _ in 0..2 {
        let running = installation.start();
        assert_eq!(running.catalog.clock_corrections(stream), [other.clone(), second.clone()]);
        running.stop();
        installation.delete_view();
    }
    let running = installation.start();
    running.catalog.delete_stream(stream, None).await.unwrap();
    assert!(running.catalog.clock_corrections(stream).is_empty());
    let gone = running.catalog.correct_clock(stream, correction(7, 1), "AKIA1").await;
    assert!(matches!(gone, Err(CatalogError::NoSuchStream(_))), "{gone:?}");
    running.stop();
}

#[tokio::test]
async fn what_no_clock_can_be_is_refused() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream =
        catalog.create_stream(NewStream::new(name("door"), Duration::from_hours(1))).await.unwrap().id;
    for odd in [
        correction(7, i64::MIN),
        NewClockCorrection { reason: String::new(), ..correction(7, 0) },
        NewClockCorrection { reason: "y".repeat(1025), ..correction(7, 0) },
    ] {
        let refused = catalog.correct_clock(stream, odd, "AKIA1").await;
        assert!(matches!(refused, Err(CatalogError::Invalid { .. })), "{refused:?}");
    }
    running.stop();
}
