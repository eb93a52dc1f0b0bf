//! Clips and Matroska of stored fragments.

use std::process::Command;
use std::time::Duration;

use crate::world::{World, read, window};
use base::FragmentNumber;
use fixtures::Clip;
use playback::{PlaybackError, Window};
use proptest::strategy::{Strategy, ValueTree};

#[tokio::test]
async fn every_range_of_a_clip_is_a_slice_of_the_whole() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip { frame_bytes: 300, ..Clip::default() }, 0..6).await;
    let clip = world.playback.clip(world.stream, window(&metas)).await.unwrap();
    let total = clip.total_bytes();
    let whole = read(clip.bytes(0..total)).await;
    assert_eq!(whole.len() as u64, total);
    let again = world.playback.clip(world.stream, window(&metas)).await.unwrap();
    assert_eq!((again.etag(), read(again.bytes(0..total)).await), (clip.etag(), whole.clone()));
    let shorter = world.playback.clip(world.stream, window(&metas[1..])).await.unwrap();
    assert_ne!(shorter.etag(), clip.etag());

    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..200 {
        let bounds = (0..=total, 0..=total).new_tree(&mut runner).unwrap().current();
        let range = bounds.0.min(bounds.1)..bounds.0.max(bounds.1);
        let (from, to) = (range.start as usize, range.end as usize);
        assert_eq!(read(clip.bytes(range)).await, whole[from..to], "{from}..{to}");
    }
    assert_eq!(read(clip.bytes(total - 3..total + 100)).await, whole[whole.len() - 3..]);
}

#[tokio::test]
async fn a_clip_over_two_runs_decodes_and_lasts_as_long_as_its_fragments() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let first = Clip::default();
    let start = first.start + Duration::from_secs(20);
    let second = Clip { start, variant: 1, media_sequence: 5, discontinuity_sequence: 1, ..Clip::default() };
    let mut metas = world.record(&first, 0..5).await;
    metas.extend(world.record(&second, 0..3).await);
    let clip = world.playback.clip(world.stream, window(&metas)).await.unwrap();
    let file = data.path().join("clip.mp4");
    std::fs::write(&file, read(clip.bytes(0..clip.total_bytes())).await).unwrap();
    let decoded = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let told = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(&file)
        .output()
        .unwrap();
    let secs: f64 = String::from_utf8(told.stdout).unwrap().trim().parse().unwrap();
    assert!((secs - 16.0).abs() < 0.1, "{secs}");
}

#[tokio::test]
async fn a_clip_of_nothing_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip::default(), 0..1).await;
    let before = Some(metas[0].producer_timestamp - Duration::from_secs(1));
    let nothing = Window { start: before, end: before, ..window(&metas) };
    let clip = world.playback.clip(world.stream, nothing).await;
    assert!(matches!(clip, Err(PlaybackError::NoFragments)));
}

#[tokio::test]
async fn matroska_comes_in_the_order_asked() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip::default(), 0..4).await;
    let numbers = [metas[2].number, metas[0].number, metas[2].number];
    let bytes = read(world.playback.matroska(world.stream, &numbers).await.unwrap()).await;
    let text = String::from_utf8_lossy(&bytes);
    let places: Vec<usize> =
        numbers[..2].iter().map(|number| text.find(&number.to_string()).unwrap()).collect();
    assert!(places[0] < places[1]);
    assert_eq!(text.matches(&metas[2].number.to_string()).count() % 2, 0);
    let file = data.path().join("delivered.mkv");
    let one = read(world.playback.matroska(world.stream, &numbers[1..2]).await.unwrap()).await;
    std::fs::write(&file, one).unwrap();
    let decoded = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let missing = world.playback.matroska(world.stream, &[metas[0].number, FragmentNumber::MIN]).await;
    assert!(matches!(missing, Err(PlaybackError::NoFragment(FragmentNumber::MIN))));
}
