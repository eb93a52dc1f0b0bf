//! A camera that sends G.711, and one that sends Motion JPEG.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base::FragmentMeta;
use bytes::Bytes;
use fixtures::Clip;
use media::mkv::write_fragment;
use media::{CodecId, Frame, Track};
use playback::PlaybackError;

use crate::world::{World, read, window};

const RATE: u32 = 8000;
/// Samples in a packet: 20 ms.
const PACKET: i64 = 160;

/// The clip's fragment at `index` with a tone in µ-law as track 2.
fn with_g711(clip: &Clip, index: u64) -> (FragmentMeta, Vec<Bytes>) {
    let (mut meta, _) = clip.fragment(index);
    let sound = Arc::new(Track::of_samples(2, CodecId::Pcmu, RATE, 1).unwrap());
    let first = index as i64 * 100;
    let packet = |number: i64| {
        let (dts, duration) = (number * PACKET, PACKET as u32);
        // Loud for two milliseconds, then soft for two.
        let data: Bytes = (0..PACKET).map(|at| if (dts + at) / 16 % 2 == 0 { 0x90 } else { 0x10 }).collect();
        Frame { track: 2, dts, pts: dts, duration, key: true, data }
    };
    let mut frames = clip.frames(index);
    frames.extend((first..first + 100).map(packet));
    let tracks: Vec<_> = clip.tracks().into_iter().chain([Arc::clone(&sound)]).collect();
    meta.tracks.push(sound.meta(first * PACKET, &frames));
    let file = write_fragment(&tracks, &frames, clip.start);
    meta.size_bytes = size(&file);
    (meta, file)
}

fn size(file: &[Bytes]) -> u64 {
    file.iter().map(|piece| piece.len() as u64).sum()
}

async fn record(world: &World, count: u64) -> Vec<FragmentMeta> {
    let clip = Clip { audio: false, ..Clip::default() };
    let mut metas = Vec::new();
    for index in 0..count {
        let (meta, file) = with_g711(&clip, index);
        world.append(&meta, file).await;
        metas.push(meta);
    }
    metas
}

fn ffprobe(file: &Path, entries: &str) -> String {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "warning", "-show_entries", entries, "-of", "csv=p=0"]).arg(file);
    let told = probe.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stderr), "");
    String::from_utf8(told.stdout).unwrap()
}

#[cfg(feature = "gstreamer")]
#[tokio::test]
async fn every_range_of_a_clip_with_aac_is_a_slice_of_the_whole() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = record(&world, 5).await;
    // From the second fragment on: its first sounds need the first one.
    let clip = world.playback.clip(world.stream, window(&metas[1..])).await.unwrap();
    let total = clip.total_bytes();
    let whole = read(clip.bytes(0..total)).await;
    assert_eq!(whole.len() as u64, total);
    for (from, to) in [(0, 1000), (total / 3, total / 3 + 5000), (total / 2, total), (total - 1, total)] {
        assert_eq!(read(clip.bytes(from..to)).await, whole[from as usize..to as usize], "{from}..{to}");
    }
    let file = data.path().join("clip.mp4");
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(ffprobe(&file, "stream=codec_name,sample_rate").trim(), "h264\naac,8000");
    let packets =
        ffprobe(&file, "packet=stream_index,size").lines().filter(|line| line.starts_with('1')).count();
    assert_eq!(packets as i64, 500 * PACKET / 1024 - 100 * PACKET / 1024, "frames of 1024 samples");
}

#[cfg(feature = "gstreamer")]
#[tokio::test]
async fn segments_of_aac_are_the_same_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let mut metas = Vec::new();
    for _ in 0..2 {
        let world = World::open(data.path()).await;
        if metas.is_empty() {
            metas = record(&world, 3).await;
        }
        for meta in &metas {
            let segment = world.playback.media_segment(world.stream, 2, meta.number).await.unwrap();
            seen.push(segment.concat());
        }
    }
    assert_eq!(seen[..3], seen[3..]);
}

#[cfg(not(feature = "gstreamer"))]
#[tokio::test]
async fn sound_that_cannot_be_played_is_left_out() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = record(&world, 2).await;
    let clip = world.playback.clip(world.stream, window(&metas)).await.unwrap();
    let file = data.path().join("clip.mp4");
    std::fs::write(&file, read(clip.bytes(0..clip.total_bytes())).await).unwrap();
    assert_eq!(ffprobe(&file, "stream=codec_name").trim(), "h264");
    let refused = world.playback.media_segment(world.stream, 2, metas[0].number).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.starts_with("track 2 is pcmu: ") && told.contains("cargo feature `gstreamer`"), "{told}");
}

#[tokio::test]
async fn pictures_that_cannot_be_played_are_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let (mut meta, _) = Clip::default().fragment(0);
    let jpeg = Track::new(1, CodecId::Mjpeg, 90_000, Bytes::new()).unwrap();
    let frame =
        Frame { track: 1, dts: 0, pts: 0, duration: 3000, key: true, data: Bytes::from_static(b"\xff\xd8") };
    meta.tracks = vec![jpeg.meta(0, std::slice::from_ref(&frame))];
    let file = write_fragment(&[Arc::new(jpeg)], &[frame], meta.run_origin);
    meta.size_bytes = size(&file);
    world.append(&meta, file).await;
    let clip = world.playback.clip(world.stream, window(std::slice::from_ref(&meta))).await.err().unwrap();
    let segment = world.playback.media_segment(world.stream, 1, meta.number).await.unwrap_err();
    for refused in [clip, segment] {
        assert!(matches!(refused, PlaybackError::Unplayable { track: 1, .. }), "{refused}");
    }
}
