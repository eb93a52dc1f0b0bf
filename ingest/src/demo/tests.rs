use base::{SystemClock, SystemEntropy};

use super::*;

/// Pixels of the first picture in a byte stream, by ffmpeg.
fn decode(stream: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    std::fs::write(&path, stream).unwrap();
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "h264", "-i"])
        .arg(&path)
        .args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn what_is_filmed_tells_when() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let began = clock.now().millis();
    let (_, mut frames) = camera::start(Arc::clone(&clock)).await.unwrap();
    let (mut video, mut pictures, mut sounds) = (Vec::new(), Vec::new(), Vec::new());
    while pictures.len() < 65 {
        let frame = frames.recv().await.unwrap();
        if frame.track == VIDEO {
            video.extend_from_slice(&frame.data);
            pictures.push(frame.pts);
        } else {
            sounds.push(frame.pts);
        }
    }
    // A machine under load leaves pictures out; what is shown is shown at its time.
    let period = 1_000_000_000 / u64::from(FRAME_RATE);
    assert!(pictures.iter().all(|pts| pts % period < 1000 || period - pts % period < 1000), "{pictures:?}");
    assert!(pictures.is_sorted() && sounds.is_sorted());
    assert!(sounds.len() > 80, "{} sounds", sounds.len());
    let (millis, number) = picture::tests::read_bar(&decode(&video)).unwrap();
    assert!((number * period).abs_diff(pictures[0]) < 1000, "picture {number} at {}", pictures[0]);
    assert!(i64::try_from(millis).unwrap() - began < 5000);
}

#[test]
fn retries_are_spread() {
    let jitters: Vec<_> = (0..100).map(|_| jitter(&SystemEntropy)).collect();
    assert!(jitters.iter().all(|jitter| (0.75..=1.25).contains(jitter)));
    assert!(jitters.iter().any(|other| (other - jitters[0]).abs() > 0.01));
}
