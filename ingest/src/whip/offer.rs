//! The offer of a publisher (RFC 9725 §4.2): what it can send, and what of that is taken.
//!
//! Of each kind one codec is taken, the best that can be recorded, so that a track never changes its
//! codec under way. Payload types and parameters are answered as they were offered.

use std::num::NonZeroU32;
use std::time::Instant;

use base::Limits;
use media::rtp::{Depayloader, Format};
use sdp_types::{Media, Session};
use str0m::change::SdpOffer;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, Mid};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Rtc, RtcConfig, RtcError};

use crate::rtsp::sdp::{of_type, rtpmap};

/// Bytes of an offer; browsers send less than ten thousand.
pub const MAX_OFFER: usize = 64 * 1024;
/// Payload types of one section that are looked at.
const MAX_PAYLOADS: usize = 64;
/// Layers that a simulcast may have.
pub(super) const MAX_LAYERS: usize = 6;
const RTX: &str = "rtx";

/// The codecs that are taken, the best first. H.264 is played everywhere; VP8 in MP4 nowhere.
const VIDEO: [(&str, Codec); 5] = [
    ("H264", Codec::H264),
    ("H265", Codec::H265),
    ("AV1", Codec::Av1),
    ("VP9", Codec::Vp9),
    ("VP8", Codec::Vp8),
];
const AUDIO: [(&str, Codec); 3] = [("opus", Codec::Opus), ("PCMA", Codec::PCMA), ("PCMU", Codec::PCMU)];

/// An offer that can be answered.
#[derive(Clone, Debug)]
pub struct Offer {
    /// As str0m is given it: without candidates, of which a lite agent needs none, and for sending
    /// only, whatever it says.
    pub(super) text: String,
    /// What is recorded, numbered from 1.
    pub(super) tracks: Vec<OfferedTrack>,
    /// What is offered and not recorded: `audio: G722, telephone-event`.
    pub(super) not_recorded: Vec<String>,
}

/// A section that becomes a track.
#[derive(Clone, Debug)]
pub(super) struct OfferedTrack {
    pub(super) mid: Mid,
    pub(super) number: u8,
    pub(super) video: bool,
    pub(super) format: Format,
    codec: Codec,
    payloads: Vec<Payload>,
}

/// One payload type.
#[derive(Clone, Debug)]
struct Payload {
    number: u8,
    /// The payload type that repeats its packets (RFC 4588).
    rtx: Option<u8>,
    format: Format,
}

/// An offer that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Not SDP.
    #[error("the offer cannot be read as SDP: {0}")]
    Syntax(String),
    /// More bytes than an offer has.
    #[error("the offer has {0} bytes: at most {MAX_OFFER} are taken")]
    TooLong(usize),
    /// A kind of section that is no media, or one kind twice.
    #[error("the offer has {0}: offer one video and one audio section at most, and nothing else")]
    Sections(String),
    /// A section that cannot be followed.
    #[error("section {section} of the offer ({media}): {why}")]
    Section {
        /// Counted from 1.
        section: usize,
        /// `video`, `audio`.
        media: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing of it can be recorded.
    #[error("nothing that is offered can be recorded ({0}): offer H264 for video, opus for audio")]
    Codecs(String),
}

impl Offer {
    /// Reads an offer and chooses the codecs.
    ///
    /// # Errors
    /// [`OfferError`] says what is wrong, and with which section.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, OfferError> {
        if body.len() > MAX_OFFER {
            return Err(OfferError::TooLong(body.len()));
        }
        let text = std::str::from_utf8(body).map_err(|error| OfferError::Syntax(error.to_string()))?;
        let session = Session::parse(body).map_err(|error| OfferError::Syntax(error.to_string()))?;
        check_sections(&session.medias)?;
        let (mut tracks, mut not_recorded) = (Vec::new(), Vec::new());
        for (index, media) in session.medias.iter().enumerate() {
            let refuse = |why| OfferError::Section { section: index + 1, media: media.media.clone(), why };
            let number = u8::try_from(tracks.len() + 1).unwrap_or(u8::MAX);
            match OfferedTrack::choose(media, number, limits).map_err(refuse)? {
                Some(track) => tracks.push(track),
                None => not_recorded.push(describe(media)),
            }
        }
        if tracks.is_empty() {
            return Err(OfferError::Codecs(not_recorded.join("; ")));
        }
        Ok(Self { text: for_sending(text), tracks, not_recorded })
    }

    /// Answers: the session to be, with these candidates of ours, and the answer as browsers take it.
    ///
    /// # Errors
    /// What str0m finds wrong with the offer.
    pub fn answer(
        &self,
        config: RtcConfig,
        candidates: &[Candidate],
        now: Instant,
    ) -> Result<(Box<Rtc>, String), RtcError> {
        let offer =
            SdpOffer::from_sdp_string(&self.text).map_err(|error| RtcError::RemoteSdp(error.to_string()))?;
        let mut rtc = Box::new(self.configure(config).build(now));
        for candidate in candidates {
            rtc.add_local_candidate(candidate.clone());
        }
        let answer = rtc.sdp_api().accept_offer(offer)?.to_sdp_string();
        let taken = answer.lines().filter(|line| line.starts_with("m=") && !is_refused(line)).count();
        if taken != self.tracks.len() {
            let offered = self.tracks.len();
            let why = format!("{taken} of {offered} sections that can be recorded were agreed on");
            return Err(RtcError::RemoteSdp(why));
        }
        Ok((rtc, complete(&answer)))
    }

    /// The publisher's user fragment.
    pub(super) fn ufrag(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap_or_default()
    }

    /// What str0m has to know to answer this offer.
    fn configure(&self, config: RtcConfig) -> RtcConfig {
        let mut extensions = ExtensionMap::empty();
        // Not the orientation: who cannot send it turns the picture before it is coded.
        for (id, extension) in [
            (1, Extension::AbsoluteSendTime),
            (2, Extension::TransportSequenceNumber),
            (3, Extension::RtpMid),
            (4, Extension::RtpStreamId),
            (5, Extension::RepairedRtpStreamId),
        ] {
            extensions.set(id, extension);
        }
        let mut config = config.clear_codecs().set_extension_map(extensions);
        for OfferedTrack { codec, payloads, .. } in &self.tracks {
            for Payload { number, rtx, format } in payloads {
                config.codec_config().add_config(
                    (*number).into(),
                    rtx.map(Into::into),
                    *codec,
                    NonZeroU32::new(format.clock_rate).map_or(Frequency::NINETY_KHZ, Frequency::from),
                    // Only Opus says how many there are (RFC 7587 §7).
                    (*codec == Codec::Opus).then_some(format.channels),
                    FormatParams::parse_line(&format.fmtp),
                );
            }
        }
        config
    }
}

impl OfferedTrack {
    /// The best codec of a section that sends; `None` where none can be recorded.
    fn choose(media: &Media, number: u8, limits: &Limits) -> Result<Option<Self>, &'static str> {
        if media.has_attribute("recvonly") || media.has_attribute("inactive") {
            return Err("it sends nothing: a publisher offers sendonly");
        }
        if media.get_attribute_values("rid").count() > MAX_LAYERS {
            return Err("it has more than 6 layers (a=rid)");
        }
        let mid = media.get_first_attribute_value("mid").flatten().map(str::trim);
        let mid =
            mid.filter(|mid| (1..=16).contains(&mid.len())).ok_or("it has no a=mid of 1 to 16 characters")?;
        let video = media.media == "video";
        let known: &[(&str, Codec)] = if video { &VIDEO } else { &AUDIO };
        let offered = payloads(media)?;
        let best = known.iter().find_map(|(name, codec)| {
            let fits = |payload: &&Payload| {
                payload.format.encoding.eq_ignore_ascii_case(name)
                    && Depayloader::new(number, &payload.format, limits).is_ok()
            };
            let mut payloads: Vec<Payload> = offered.iter().filter(fits).cloned().collect();
            // A publisher sends the first: one that may cut pictures into packets.
            payloads.sort_by_key(|payload| !payload.format.fmtp.contains("packetization-mode=1"));
            let format = payloads.first()?.format.clone();
            Some(Self { mid: mid.into(), number, video, format, codec: *codec, payloads })
        });
        Ok(best)
    }
}

/// Whether there is at most one section of each kind, and none of another.
fn check_sections(medias: &[Media]) -> Result<(), OfferError> {
    let of = |kind: &str| medias.iter().filter(|media| media.media == kind).count();
    let (video, audio) = (of("video"), of("audio"));
    if medias.is_empty() || video > 1 || audio > 1 || video + audio < medias.len() {
        let other = medias.len() - video - audio;
        return Err(OfferError::Sections(format!("{video} video, {audio} audio and {other} other sections")));
    }
    Ok(())
}

/// The payload types of a section, each with the one that repeats its packets.
fn payloads(media: &Media) -> Result<Vec<Payload>, &'static str> {
    let numbers: Vec<u8> = media
        .fmt
        .split_ascii_whitespace()
        .map_while(|text| text.parse().ok())
        .filter(|number| *number < 128)
        .collect();
    if numbers.is_empty() || numbers.len() > MAX_PAYLOADS {
        return Err("it lists no payload types, or more than 64");
    }
    // Types that are not described are not looked at: RED and the like have none of our codecs.
    let formats: Vec<(u8, Format)> = numbers
        .iter()
        .filter_map(|number| {
            let fmtp = of_type(media, "fmtp", *number).unwrap_or_default().to_owned();
            Some((*number, Format { fmtp, ..rtpmap(media, *number).ok()? }))
        })
        .collect();
    let rtx_of = |number: u8| {
        let repeats = |format: &Format| {
            let apt = format.fmtp.split(';').find_map(|part| part.trim().strip_prefix("apt="));
            format.encoding.eq_ignore_ascii_case(RTX) && apt.and_then(|apt| apt.parse().ok()) == Some(number)
        };
        formats.iter().find(|(_, format)| repeats(format)).map(|(rtx, _)| *rtx)
    };
    let payload = |(number, format): &(u8, Format)| Payload {
        number: *number,
        rtx: rtx_of(*number),
        format: format.clone(),
    };
    Ok(formats.iter().map(payload).collect())
}

/// A section in a few words.
fn describe(media: &Media) -> String {
    let name = |payload: &Payload| payload.format.encoding.chars().take(20).collect::<String>();
    let names: Vec<String> = payloads(media).unwrap_or_default().iter().take(8).map(name).collect();
    format!("{}: {}", media.media, names.join(", "))
}

/// The offer as if it had said `sendonly`, which is what is answered, and without candidates.
fn for_sending(offer: &str) -> String {
    let mut text = String::with_capacity(offer.len());
    for line in offer.lines().map(str::trim_end).filter(|line| !line.starts_with("a=candidate:")) {
        text.push_str(if line == "a=sendrecv" { "a=sendonly" } else { line });
        text.push_str("\r\n");
    }
    text
}

/// The same offer with other credentials: what a restart of ICE amounts to.
pub(super) fn with_credentials(offer: &str, ufrag: &str, password: &str) -> String {
    let mut text = String::with_capacity(offer.len());
    for line in offer.lines() {
        match line.split_once(':') {
            Some((name @ "a=ice-ufrag", _)) => text.extend([name, ":", ufrag]),
            Some((name @ "a=ice-pwd", _)) => text.extend([name, ":", password]),
            _ => text.push_str(line),
        }
        text.push_str("\r\n");
    }
    text
}

/// Whether an `m=` line of str0m's refuses its section: it lists no payload type.
fn is_refused(line: &str) -> bool {
    line.split_ascii_whitespace().count() == 3
}

/// str0m's answer as browsers take it. A section that is refused lists no payload type there, and must
/// list one (RFC 3264 §6); it has nothing else to say either. The candidates, which stand in the first
/// section even where that is refused, go into the first that is taken.
fn complete(answer: &str) -> String {
    let is_candidate =
        |line: &&str| line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates");
    let (candidates, lines): (Vec<&str>, Vec<&str>) =
        answer.lines().map(str::trim_end).partition(is_candidate);
    let (mut text, mut refused, mut candidates) =
        (String::with_capacity(answer.len()), false, Some(candidates));
    for line in lines {
        if line.starts_with("m=") {
            refused = is_refused(line);
        }
        match line {
            _ if !refused => text.extend([line, "\r\n"]),
            _ if line.starts_with("m=") => text.extend([line, " 0\r\n"]),
            _ if line.starts_with("c=") || line.starts_with("a=mid:") => text.extend([line, "\r\n"]),
            _ => {}
        }
        if !refused && line.starts_with("c=") {
            text.extend(candidates.take().into_iter().flatten().flat_map(|line| [line, "\r\n"]));
        }
    }
    text
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
