//! What browsers play of what is recorded, and in which form they get it.

use std::borrow::Cow;

use base::{FragmentMeta, TrackMeta};
use media::CodecId;

use crate::{PlaybackError, audio};

/// The form in which players get a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is stored.
    Stored,
    /// Its samples, coded as AAC when they are asked for.
    Aac,
    /// Not at all.
    None(&'static str),
}

const NO_VIDEO: &str = "browsers do not play it in HLS or MP4: take it as Matroska \
                        (GetMediaForFragmentList), or have the camera send H.264";

const OTHER: &str = "it is kept as it came and not looked into: take it as Matroska (GetMedia, \
                     GetMediaForFragmentList)";

pub(crate) fn form(track: &TrackMeta) -> Form {
    match CodecId::from_name(&track.codec) {
        Some(CodecId::H264 | CodecId::H265 | CodecId::Av1 | CodecId::Vp9 | CodecId::Aac | CodecId::Opus) => {
            Form::Stored
        }
        Some(CodecId::Pcmu | CodecId::Pcma | CodecId::L16) => {
            audio::obstacle(track).map_or(Form::Aac, Form::None)
        }
        Some(CodecId::Vp8 | CodecId::Mjpeg) => Form::None(NO_VIDEO),
        Some(CodecId::Other) | None => Form::None(OTHER),
    }
}

/// The track as players get it; `None` where they do not.
pub(crate) fn presented(track: &TrackMeta) -> Option<Cow<'_, TrackMeta>> {
    match form(track) {
        Form::Stored => Some(Cow::Borrowed(track)),
        Form::Aac => Some(Cow::Owned(audio::as_aac(track))),
        Form::None(_) => None,
    }
}

/// The tracks of a fragment that become AAC.
pub(crate) fn converted_tracks(meta: &FragmentMeta) -> Vec<TrackMeta> {
    let converted = meta.tracks.iter().filter(|track| track.frames > 0 && form(track) == Form::Aac);
    converted.cloned().collect()
}

/// The fragment as players get it: without the audio tracks that they do not play.
///
/// # Errors
/// As [`check`].
pub(crate) fn presented_fragment(meta: &FragmentMeta) -> Result<FragmentMeta, PlaybackError> {
    check(&meta.tracks)?;
    let tracks = meta.tracks.iter().filter_map(presented).map(Cow::into_owned).collect();
    Ok(FragmentMeta { tracks, ..meta.clone() })
}

/// Whether a fragment can be played by HLS and as MP4: its video, or, where it has none, some of its audio.
///
/// # Errors
/// [`PlaybackError::Unplayable`] names the track that cannot.
pub fn playable(meta: &FragmentMeta) -> Result<(), PlaybackError> {
    check(&meta.tracks)
}

fn check(tracks: &[TrackMeta]) -> Result<(), PlaybackError> {
    let plays = |track: &&TrackMeta| presented(track).is_some();
    let mut video = tracks.iter().filter(|track| is_video(track)).peekable();
    let all = if video.peek().is_some() { video.collect() } else { tracks.iter().collect::<Vec<_>>() };
    match all.first() {
        Some(first) if !all.iter().any(plays) => Err(unplayable(first)),
        _ => Ok(()),
    }
}

/// Why a track cannot be played.
pub(crate) fn unplayable(track: &TrackMeta) -> PlaybackError {
    let why = match form(track) {
        Form::None(why) => why,
        Form::Stored | Form::Aac => "there is nothing of it here",
    };
    PlaybackError::Unplayable { track: track.number, codec: track.codec.clone(), why }
}

pub(crate) fn is_video(track: &TrackMeta) -> bool {
    CodecId::from_name(&track.codec).is_some_and(CodecId::is_video)
}
