//! Playlists and segments of stored fragments, the whole presentation decoded by ffmpeg.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::world::{Files, World, joined, window};
use base::{FragmentNumber, Timestamp};
use catalog::StreamUpdate;
use fixtures::Clip;
use playback::hls::{Discontinuities, InitRef, Mode, View};
use playback::{ClockKind, PlaybackError, Window};

const LIVE: Window = Window { clock: ClockKind::Producer, start: None, end: None };

fn view(mode: Mode, max_fragments: usize) -> View {
    View { mode, max_fragments, discontinuities: Discontinuities::OnDiscontinuity, program_date_time: true }
}

/// A second run, twenty seconds after the first has begun, with other parameter sets.
fn second_run() -> Clip {
    let start = Clip::default().start + Duration::from_secs(20);
    Clip { start, variant: 1, media_sequence: 5, discontinuity_sequence: 1, ..Clip::default() }
}

impl World {
    async fn playlist(&self, track: u8, view: &View) -> String {
        self.text(self.playback.media_playlist(self.stream, track, view, Box::new(Files)).await).await
    }

    /// Writes a presentation to a folder, every file that its playlists name.
    async fn save(&self, dir: &Path, view: &View) {
        let index = self.playback.multivariant(self.stream, view, &Files).await.unwrap();
        std::fs::write(dir.join("index.m3u8"), &index).unwrap();
        for track in [1, 2] {
            let text = self.playlist(track, view).await;
            std::fs::write(dir.join(format!("{track}.m3u8")), &text).unwrap();
            for name in text.lines().filter(|line| !line.starts_with('#')) {
                let number = name.split_once('-').unwrap().1.strip_suffix(".m4s").unwrap();
                let number = FragmentNumber::parse(number).unwrap();
                let pieces = self.playback.media_segment(self.stream, track, number).await.unwrap();
                std::fs::write(dir.join(name), joined(pieces)).unwrap();
            }
            for name in text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")) {
                let name = name.strip_suffix('"').unwrap();
                let init = name.split_once('-').unwrap().1.strip_suffix(".mp4").unwrap();
                let init: InitRef = init.parse().unwrap();
                let bytes = self.playback.init_segment(self.stream, track, init).await.unwrap();
                std::fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }
}

fn count(text: &str, line: &str) -> usize {
    text.lines().filter(|one| one.starts_with(line)).count()
}

#[tokio::test]
async fn a_window_over_two_runs_decodes_frame_for_frame() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::open(data.path()).await;
    let mut metas = world.record(&Clip::default(), 0..5).await;
    metas.extend(world.record(&second_run(), 0..3).await);
    world.clock.advance(Duration::from_secs(60));
    let view = view(Mode::OnDemand(window(&metas)), 1000);
    world.save(files.path(), &view).await;
    let text = world.playlist(1, &view).await;
    assert_eq!(count(&text, "#EXTINF:2.000000,"), 8);
    assert_eq!((count(&text, "#EXT-X-DISCONTINUITY\n".trim()) - 1, count(&text, "#EXT-X-MAP")), (1, 2));
    let decoded = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i", "index.m3u8", "-f", "null", "-"])
        .current_dir(files.path())
        .output()
        .unwrap();
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    for (kind, expected) in [("v", 8 * 50), ("a", metas.iter().map(|one| one.tracks[1].frames).sum())] {
        let counted = Command::new("ffprobe")
            .args(["-v", "error", "-count_packets", "-select_streams", kind])
            .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", "index.m3u8"])
            .current_dir(files.path())
            .output()
            .unwrap();
        let told = String::from_utf8(counted.stdout).unwrap();
        let told: u32 = told.split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse().ok()).unwrap();
        assert_eq!(told, expected, "packets of kind {kind}");
    }
}

#[tokio::test]
async fn a_live_playlist_slides_with_the_stored_numbers() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let live = view(Mode::Live(LIVE), 3);
    let empty = world.playback.multivariant(world.stream, &live, &Files).await;
    assert!(matches!(empty, Err(PlaybackError::NoFragments)), "{empty:?}");
    let clip = Clip::default();
    world.record(&clip, 0..4).await;
    let text = world.playlist(1, &live).await;
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), "{text}");
    assert_eq!((count(&text, "#EXTINF"), count(&text, "#EXT-X-ENDLIST")), (3, 0));
    world.record(&clip, 4..5).await;
    world.record(&second_run(), 0..2).await;
    let text = world.playlist(1, &live).await;
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), "{text}");
    world.record(&second_run(), 2..4).await;
    let text = world.playlist(1, &live).await;
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:6\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{text}");
    let start = Some(clip.start + Duration::from_secs(4));
    let growing = view(Mode::Live(Window { start, ..LIVE }), 5000);
    assert_eq!(count(&world.playlist(1, &growing).await, "#EXTINF"), 7);
    let unknown = world.playback.media_playlist(world.stream, 9, &live, Box::new(Files)).await;
    assert!(matches!(unknown, Err(PlaybackError::NoTrack(9))));
}

#[tokio::test]
async fn a_replay_reveals_what_has_had_time_to_play() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip::default(), 0..6).await;
    world.clock.advance(Duration::from_secs(3600));
    let began = base::Clock::now(world.clock.as_ref());
    let replay = view(Mode::Replay { window: window(&metas), began }, 3);
    for (wait_ms, first, shown, over) in
        [(0, 0, 1, 0), (1999, 0, 1, 0), (1, 0, 2, 0), (4000, 1, 3, 0), (3999, 2, 3, 0), (1, 3, 3, 1)]
    {
        world.clock.advance(Duration::from_millis(wait_ms));
        let text = world.playlist(1, &replay).await;
        assert!(text.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{first}\n")), "{first} {text}");
        assert_eq!((count(&text, "#EXTINF"), count(&text, "#EXT-X-ENDLIST")), (shown, over), "{text}");
    }
}

#[tokio::test]
async fn segments_are_the_same_bytes_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip::default(), 0..2).await;
    let (number, run) = (metas[1].number, metas[1].run_id);
    let before = world.playback.media_segment(world.stream, 1, number).await.unwrap();
    let live = view(Mode::Live(LIVE), 5);
    let text = world.playlist(2, &live).await;
    drop(world);
    let world = World::open(data.path()).await;
    let after = world.playback.media_segment(world.stream, 1, number).await.unwrap();
    assert_eq!(joined(after), joined(before));
    assert_eq!(world.playlist(2, &live).await, text);

    let nothing = world.playback.media_segment(world.stream, 1, FragmentNumber::MAX).await;
    assert!(matches!(nothing, Err(PlaybackError::NoFragment(FragmentNumber::MAX))));
    let nothing = world.playback.media_segment(world.stream, 7, number).await;
    assert!(matches!(nothing, Err(PlaybackError::NoTrack(7))));
    let init = InitRef { run, init_id: 1 };
    let nothing = world.playback.init_segment(world.stream, 1, init).await;
    assert!(matches!(nothing, Err(PlaybackError::NoInit(_))));
}

#[tokio::test]
async fn an_init_segment_is_found_after_its_first_fragments_expired() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let metas = world.record(&Clip::default(), 0..4).await;
    world.clock.advance(Duration::from_secs(5));
    let shorter = StreamUpdate::Retention(Duration::from_secs(4));
    world.catalog.update_stream(world.stream, None, shorter).await.unwrap();
    let init = InitRef { run: metas[0].run_id, init_id: metas[0].tracks[0].init_id };
    assert!(world.playback.init_segment(world.stream, 1, init).await.is_ok());
    let gone = world.playback.media_segment(world.stream, 1, metas[0].number).await;
    assert!(matches!(gone, Err(PlaybackError::NoFragment(_))));
}

#[tokio::test]
async fn of_two_fragments_made_at_one_time_the_last_counts() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    let mut metas = world.record(&Clip::default(), 0..3).await;
    let again = Clip { media_sequence: 3, ..Clip::default() };
    let (mut meta, file) = again.fragment(1);
    meta.number = FragmentNumber::next(Some(metas[2].number), Timestamp::from_millis(0));
    world.append(&meta, file).await;
    metas.push(meta.clone());
    let shown = view(Mode::OnDemand(Window { end: None, ..window(&metas) }), 100);
    let text = world.playlist(1, &shown).await;
    let numbers: Vec<&str> = text.lines().filter(|line| line.ends_with(".m4s")).collect();
    let expected = [&metas[0], &meta, &metas[2]].map(|one| format!("1-{}.m4s", one.number));
    assert_eq!(numbers, expected);
}
