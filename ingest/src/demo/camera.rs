//! The lens: draws and sounds in real time, on a thread of its own.

use std::sync::Arc;
use std::thread::{Builder, sleep};
use std::time::Duration;

use base::Clock;
use tokio::sync::mpsc;

use super::encoder::{Encoded, Encoder};
use super::picture::{FRAME_BYTES, Painter};
use super::tone::{SAMPLE_RATE, Tone};
use super::{DemoError, FRAME_RATE};

const SAMPLES_PER_FRAME: u32 = SAMPLE_RATE / FRAME_RATE;
/// Frames that may wait for the network: half a second of both tracks.
const QUEUE: usize = 64;
/// Further behind than this, frames are left out.
const MAX_LAG: Duration = Duration::from_millis(500);

/// Starts a camera. Returns when it began (monotonic), and its frames, until the receiver is dropped
/// or something fails, which is logged.
///
/// # Errors
/// When the encoder does not start.
pub(super) async fn start(clock: Arc<dyn Clock>) -> Result<(Duration, mpsc::Receiver<Encoded>), DemoError> {
    let (sender, frames) = mpsc::channel(QUEUE);
    let for_encoder = sender.clone();
    let encoder = tokio::task::spawn_blocking(move || Encoder::start(&for_encoder)).await??;
    let start = clock.monotonic();
    let film = move || {
        if let Err(error) = film(&*clock, start, &encoder, &sender) {
            tracing::error!(%error, "the demo camera stops");
        }
    };
    Builder::new().name("demo-camera".into()).spawn(film)?;
    Ok((start, frames))
}

/// Draws and sounds one frame after the other, each at its time.
fn film(
    clock: &dyn Clock,
    start: Duration,
    encoder: &Encoder,
    sender: &mpsc::Sender<Encoded>,
) -> Result<(), DemoError> {
    let (painter, mut tone) = (Painter::new(), Tone::default());
    let mut number: u64 = 0;
    while !sender.is_closed() {
        let due = start + Duration::from_nanos(time_of(number));
        let now = clock.monotonic();
        if now < due {
            sleep(due - now);
        } else if now - due > MAX_LAG {
            number += frames_in(now - due);
            continue;
        }
        let wall = clock.now();
        encoder.picture(time_of(number), FRAME_BYTES, |frame| painter.draw(frame, number, wall))?;
        encoder.samples(time_of(number), tone.samples(SAMPLES_PER_FRAME, wall))?;
        encoder.check()?;
        number += 1;
    }
    Ok(())
}

/// When a frame is shown, in nanoseconds since the first.
fn time_of(number: u64) -> u64 {
    number * 1_000_000_000 / u64::from(FRAME_RATE)
}

fn frames_in(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0) * u64::from(FRAME_RATE) / 1000
}
