//! Multivariant playlists (RFC 8216 §4.3.4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use base::{FragmentMeta, TrackMeta};

use super::Uris;
use crate::PlaybackError;
use crate::presented::{is_video, presented, unplayable};

/// `moof`, `mdat` and box headers around one segment's frames, and what each frame adds: near enough for a
/// bit rate, which is all it is for.
const SEGMENT_OVERHEAD: u64 = 160;
const FRAME_OVERHEAD: u64 = 16;

/// What is known of one track over the fragments looked at.
struct Rendition<'a> {
    /// As the newest of them describes it.
    track: &'a TrackMeta,
    /// That, as players get it.
    presented: Option<Cow<'a, TrackMeta>>,
    /// Of the fragment with the highest, in bits per second.
    peak_bps: u64,
    bits: u64,
    frames: u64,
    duration_us: u64,
}

impl<'a> Rendition<'a> {
    fn new(track: &'a TrackMeta) -> Self {
        Self { track, presented: None, peak_bps: 0, bits: 0, frames: 0, duration_us: 0 }
    }

    fn add(&mut self, track: &'a TrackMeta) {
        self.track = track;
        self.presented = presented(track);
        if let Some(presented) = self.presented.take() {
            self.count(&presented);
            self.presented = Some(presented);
        }
    }

    fn count(&mut self, track: &TrackMeta) {
        let frames = u64::from(track.frames);
        let bytes = track.bytes.saturating_add(frames * FRAME_OVERHEAD).saturating_add(SEGMENT_OVERHEAD);
        let bits = bytes.saturating_mul(8);
        let micros = u128::from(track.duration) * 1_000_000 / u128::from(track.timescale.max(1));
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.peak_bps = self.peak_bps.max(rate(bits, micros));
        self.bits = self.bits.saturating_add(bits);
        self.frames = self.frames.saturating_add(frames);
        self.duration_us = self.duration_us.saturating_add(micros);
    }

    fn is_video(&self) -> bool {
        is_video(self.track)
    }

    fn codec_string(&self) -> &str {
        self.presented.as_ref().map_or("", |track| &track.codec_string)
    }

    fn average_bps(&self) -> u64 {
        rate(self.bits, self.duration_us)
    }

    /// Thousandths of frames per second.
    fn frame_rate_milli(&self) -> u64 {
        rate(self.frames.saturating_mul(1000), self.duration_us)
    }
}

/// `amount` per second, rounded up; 0 for no time at all.
fn rate(amount: u64, micros: u64) -> u64 {
    let per_second = (u128::from(amount) * 1_000_000).div_ceil(u128::from(micros.max(1)));
    if micros == 0 { 0 } else { u64::try_from(per_second).unwrap_or(u64::MAX) }
}

/// The playlist for the tracks of these fragments, oldest first: the first video track with every audio track
/// as a rendition of it, or the first audio track alone. A comment names the audio that is left out.
///
/// # Errors
/// [`PlaybackError::NoFragments`] when no track has a frame, [`PlaybackError::Unplayable`] when players take
/// none of the video tracks, or there is only audio, and none that they take.
pub(crate) fn multivariant<'a>(
    fragments: impl Iterator<Item = &'a FragmentMeta>,
    uris: &dyn Uris,
) -> Result<String, PlaybackError> {
    let mut renditions: BTreeMap<u8, Rendition<'_>> = BTreeMap::new();
    for track in fragments.flat_map(|fragment| &fragment.tracks).filter(|track| track.frames > 0) {
        renditions.entry(track.number).or_insert_with(|| Rendition::new(track)).add(track);
    }
    let (video, audio): (Vec<_>, Vec<_>) = renditions.values().partition(|one| one.is_video());
    let (audio, left_out): (Vec<_>, Vec<_>) = audio.into_iter().partition(|one| one.presented.is_some());
    let leading = if video.is_empty() { &audio } else { &video };
    let Some(variant) = leading.iter().copied().find(|one| one.presented.is_some()) else {
        let first = video.first().or(left_out.first()).ok_or(PlaybackError::NoFragments)?;
        return Err(unplayable(first.track));
    };
    let group: &[&Rendition<'_>] = if video.is_empty() { &[] } else { &audio };

    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    for one in left_out {
        push(&mut out, format_args!("# left out: {}\n", unplayable(one.track)));
    }
    for (index, one) in group.iter().enumerate() {
        audio_rendition(&mut out, one, index == 0, uris);
    }
    variant_line(&mut out, variant, group);
    uris.media_playlist(&mut out, variant.track.number);
    out.push('\n');
    Ok(out)
}

fn audio_rendition(out: &mut String, one: &Rendition<'_>, first: bool, uris: &dyn Uris) {
    let (number, default) = (one.track.number, if first { "YES" } else { "NO" });
    push(
        out,
        format_args!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"track {number}\",DEFAULT={default},\
             AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"",
            one.track.channels.max(1)
        ),
    );
    uris.media_playlist(out, number);
    out.push_str("\"\n");
}

fn variant_line(out: &mut String, variant: &Rendition<'_>, group: &[&Rendition<'_>]) {
    let peak: u64 = group.iter().map(|one| one.peak_bps).max().unwrap_or(0).saturating_add(variant.peak_bps);
    let average = group.iter().map(|one| one.average_bps()).max().unwrap_or(0);
    let average = average.saturating_add(variant.average_bps());
    let mut codecs = variant.codec_string().to_owned();
    for one in group {
        if !codecs.split(',').any(|known| known == one.codec_string()) {
            codecs.push(',');
            codecs.push_str(one.codec_string());
        }
    }
    push(
        out,
        format_args!(
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{codecs}\"",
            peak.max(1),
            average.max(1)
        ),
    );
    if variant.is_video() {
        let TrackMeta { width, height, .. } = variant.track;
        if *width > 0 && *height > 0 {
            push(out, format_args!(",RESOLUTION={width}x{height}"));
        }
        let milli = variant.frame_rate_milli();
        if milli > 0 {
            push(out, format_args!(",FRAME-RATE={}.{:03}", milli / 1000, milli % 1000));
        }
    }
    out.push_str(if group.is_empty() { "\n" } else { ",AUDIO=\"audio\"\n" });
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}
