//! The session description of ANNOUNCE, and of the answer to DESCRIBE (RFC 8866): which tracks come,
//! and how they are packed.

use media::rtp::Format;
use rtsp_types::Url;
use sdp_types::{Media, Session};

pub use super::key_request::KeyRequest;
use super::target::Target;

/// What a publisher is about to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The media sections, in the order of the description.
    pub sections: Vec<Section>,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Whether it is video.
    pub video: bool,
    /// Whether it is audio. Other kinds (`application`, `text`) are not recorded.
    pub audio: bool,
    /// The `a=control` attribute: relative or a whole URL; empty when absent.
    pub control: String,
    /// The payload type of its packets.
    pub payload_type: u8,
    /// How payloads of that type are packed.
    pub format: Format,
    /// Whether it is sent by the profile with feedback (`RTP/AVPF`, RFC 4585).
    pub feedback: bool,
    /// How its sender can be asked for a key frame, if it can.
    pub key_request: Option<KeyRequest>,
}

/// A description that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not SDP.
    #[error("the SDP cannot be read: {0}")]
    Syntax(String),
    /// No `m=` line, or more than anyone needs.
    #[error("the SDP has {0} media sections: announce 1 to {MAX_SECTIONS}")]
    Sections(usize),
    /// A media section without a usable payload type or clock rate.
    #[error("media section {section} of the SDP ({media}): {why}")]
    Section {
        /// Counted from 1.
        section: usize,
        /// `video`, `audio`, …
        media: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

const MAX_SECTIONS: usize = 16;

/// Payload types that need no `rtpmap` (RFC 3551 §6): encoding, clock rate, channels. Some are here only so
/// that what is refused has a name.
const STATIC_FORMATS: [(u8, &str, u32, u8); 12] = [
    (0, "PCMU", 8000, 1),
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44_100, 2),
    (11, "L16", 44_100, 1),
    (14, "MPA", 90_000, 0),
    (18, "G729", 8000, 1),
    (26, "JPEG", 90_000, 0),
    (32, "MPV", 90_000, 0),
    (33, "MP2T", 90_000, 0),
];

/// Reads a description, of which only media and attributes mean anything here. Cameras and publishers write
/// all else as they like (`o=` without address, `c=IN`, `thread=0 0`), or not at all, so it is left out.
fn session(body: &[u8]) -> Result<Session, SdpError> {
    let matters = |line: &&[u8]| matches!(line, [b'm' | b'a', b'=', ..]);
    let mut clean = b"v=0\r\n".to_vec();
    for line in body.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).filter(matters) {
        clean.extend_from_slice(line);
        clean.extend_from_slice(b"\r\n");
    }
    let session = Session::parse(&clean).map_err(|error| SdpError::Syntax(error.to_string()))?;
    match session.medias.len() {
        1..=MAX_SECTIONS => Ok(session),
        others => Err(SdpError::Sections(others)),
    }
}

impl Announcement {
    /// Reads the body of an ANNOUNCE.
    ///
    /// # Errors
    /// [`SdpError`] says which line or section is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let session = session(body)?;
        let sections = session.medias.iter().enumerate().map(|(index, media)| {
            let refuse = |why| SdpError::Section { section: index + 1, media: media.media.clone(), why };
            Section::parse(media).map_err(refuse)
        });
        Ok(Self { sections: sections.collect::<Result<_, _>>()? })
    }

    /// The sections that are recorded, with the numbers of their tracks.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (u8, &Section)> {
        (1..).zip(self.sections.iter().filter(|section| section.is_recorded()))
    }

    /// The section that a SETUP's URL means.
    pub(crate) fn find(&self, url: &Url, target: &Target) -> Option<&Section> {
        let named = |section: &Section| {
            let control = section.control.trim_end_matches('/');
            !control.is_empty()
                && (control == target.control || control == url.as_str().trim_end_matches('/'))
        };
        let by_control = self.sections.iter().find(|section| named(section));
        by_control.or_else(|| match self.sections.as_slice() {
            [only] if only.control.is_empty() || target.control.is_empty() => Some(only),
            sections if sections.iter().all(|section| section.control.is_empty()) => {
                let digits = target.control.rsplit(|c: char| !c.is_ascii_digit()).next()?;
                sections.get(digits.parse::<usize>().ok()?)
            }
            _ => None,
        })
    }
}

/// What a camera offers in answer to DESCRIBE. Unlike a publisher it cannot be told to do better: what
/// can be read is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The media sections that can be read, in the order of the description.
    pub sections: Vec<Section>,
    /// The session's own `a=control` attribute.
    pub control: Option<String>,
    /// What is wrong with the audio and video sections that cannot be read.
    pub unreadable: Vec<String>,
}

impl Offered {
    /// Reads the body of the answer.
    ///
    /// # Errors
    /// [`SdpError::Syntax`], [`SdpError::Sections`].
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let session = session(body)?;
        let control = session.get_first_attribute_value("control").flatten();
        let control = control.map(|control| control.trim().to_owned());
        let (mut sections, mut unreadable) = (Vec::new(), Vec::new());
        for (index, media) in session.medias.iter().enumerate() {
            match Section::parse(media) {
                Ok(section) => sections.push(section),
                Err(why) if matches!(media.media.as_str(), "video" | "audio") => {
                    let error = SdpError::Section { section: index + 1, media: media.media.clone(), why };
                    unreadable.push(error.to_string());
                }
                Err(_) => {}
            }
        }
        Ok(Self { sections, control, unreadable })
    }
}

impl Section {
    /// Whether its packets carry an MPEG transport stream (RFC 2250 §2).
    pub(crate) fn is_muxed(&self) -> bool {
        self.format.encoding.eq_ignore_ascii_case("MP2T")
    }

    /// Whether it becomes a track.
    pub(crate) fn is_recorded(&self) -> bool {
        self.video || self.audio
    }

    /// How a publisher of it is asked for a key frame: as it offers. One that offers nothing is asked over UDP, where
    /// receivers pass over RTCP that they do not know (RFC 3550 §6.1), and where it speaks the profile with feedback;
    /// on the connection itself some get out of step by what they do not expect.
    pub(crate) fn asks_publisher(&self, udp: bool) -> Option<KeyRequest> {
        self.key_request.or((udp || self.feedback).then_some(KeyRequest::PictureLoss))
    }

    fn parse(media: &Media) -> Result<Self, &'static str> {
        let value = |name| media.get_first_attribute_value(name).flatten();
        let first = media.fmt.split_ascii_whitespace().next();
        let payload_type = first
            .and_then(|text| text.parse().ok())
            .filter(|payload_type: &u8| *payload_type < 128)
            .ok_or("its first format is not a payload type from 0 to 127")?;
        let format = Format {
            fmtp: of_type(media, "fmtp", payload_type).unwrap_or_default().to_owned(),
            ..rtpmap(media, payload_type)?
        };
        Ok(Self {
            video: media.media == "video",
            audio: media.media == "audio",
            control: value("control").unwrap_or_default().trim().to_owned(),
            payload_type,
            format,
            feedback: media.proto.trim().eq_ignore_ascii_case("RTP/AVPF"),
            key_request: key_request(media, payload_type),
        })
    }
}

/// What the `rtcp-fb` attributes offer for this payload type, or for all (`*`).
fn key_request(media: &Media, payload_type: u8) -> Option<KeyRequest> {
    let mut offered = media.get_attribute_values("rtcp-fb").flatten();
    offered.find_map(|value| {
        let (number, feedback) = value.trim_start().split_once([' ', '\t'])?;
        KeyRequest::parse(feedback).filter(|_| number == "*" || number.parse() == Ok(payload_type))
    })
}

/// The format in the `rtpmap` attribute of the payload type, without its `fmtp`.
pub(crate) fn rtpmap(media: &Media, payload_type: u8) -> Result<Format, &'static str> {
    let Some(map) = of_type(media, "rtpmap", payload_type) else {
        let known = STATIC_FORMATS.iter().find(|(number, ..)| *number == payload_type);
        let (_, encoding, clock_rate, channels) =
            known.ok_or("it has no rtpmap attribute for its payload type")?;
        return Ok(Format {
            encoding: (*encoding).into(),
            clock_rate: *clock_rate,
            channels: *channels,
            fmtp: String::new(),
        });
    };
    let mut parts = map.split('/').map(str::trim);
    let encoding = parts.next().filter(|name| !name.is_empty()).ok_or("its rtpmap names no encoding")?;
    let clock_rate = parts
        .next()
        .and_then(|rate| rate.parse().ok())
        .filter(|rate| *rate > 0)
        .ok_or("its rtpmap has no clock rate")?;
    let channels = parts.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    Ok(Format { encoding: encoding.to_owned(), clock_rate, channels, fmtp: String::new() })
}

/// What follows `payload_type` in the first attribute of that name that is about it.
pub(crate) fn of_type<'a>(media: &'a Media, attribute: &'static str, payload_type: u8) -> Option<&'a str> {
    media.get_attribute_values(attribute).flatten().find_map(|value| {
        let (number, rest) = value.trim_start().split_once([' ', '\t'])?;
        (number.parse() == Ok(payload_type)).then(|| rest.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FFMPEG: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        a=tool:libavformat 59.27.100\r\nm=video 0 RTP/AVP 96\r\nb=AS:2000\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z00,aO4=; profile-level-id=4D401F\r\n\
        a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\nb=AS:69\r\na=rtpmap:97 MPEG4-GENERIC/44100/1\r\n\
        a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1208\r\n\
        a=control:streamid=1\r\n";

    fn find(announcement: &Announcement, url: &str) -> Option<usize> {
        let url = Url::parse(url).unwrap();
        let found = announcement.find(&url, &Target::parse(Some(&url)).unwrap())?;
        announcement.sections.iter().position(|section| std::ptr::eq(section, found))
    }

    fn short(media: &str) -> Result<Announcement, SdpError> {
        Announcement::parse(format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{media}").as_bytes())
    }

    #[test]
    fn reads_what_ffmpeg_announces() {
        let announcement = Announcement::parse(FFMPEG.as_bytes()).unwrap();
        let [video, audio] = announcement.sections.as_slice() else { panic!() };
        assert_eq!(
            (video.format.encoding.as_str(), video.format.clock_rate, video.payload_type),
            ("H264", 90_000, 96)
        );
        assert!(video.format.fmtp.starts_with("packetization-mode=1; sprop"));
        assert_eq!((audio.format.clock_rate, audio.format.channels, audio.payload_type), (44_100, 1, 97));
        assert_eq!(find(&announcement, "rtsp://h/door/streamid=1"), Some(1));
        assert_eq!(find(&announcement, "rtsp://h/door?a=b/streamid=0"), Some(0));
        assert_eq!(find(&announcement, "rtsp://h/door/streamid=2"), None);
        assert_eq!(find(&announcement, "rtsp://h/door"), None);
    }

    #[test]
    fn controls_may_be_whole_urls_or_absent() {
        let whole =
            short("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:rtsp://h/door/track1\r\n")
                .unwrap();
        assert_eq!(find(&whole, "rtsp://h/door/track1"), Some(0));
        let absent = short("m=video 0 RTP/AVP 26\r\nm=audio 0 RTP/AVP 0\r\n").unwrap();
        assert_eq!(find(&absent, "rtsp://h/door/stream=1"), Some(1));
        assert_eq!(find(&absent, "rtsp://h/door/stream=2"), None);
        let only = short("m=video 0 RTP/AVP 26\r\n").unwrap();
        assert_eq!(find(&only, "rtsp://h/door"), Some(0));
    }

    #[test]
    fn tells_how_to_ask_for_key_frames() {
        let section = |media: &str| short(media).unwrap().sections.remove(0);
        let plain = section("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n");
        assert_eq!((plain.feedback, plain.key_request), (false, None));
        for (attribute, expected) in [
            ("96 nack pli", Some(KeyRequest::PictureLoss)),
            ("* ccm fir", Some(KeyRequest::FullIntra)),
            ("97 nack pli", None),
            ("96 nack", None),
        ] {
            let media =
                format!("m=video 0 RTP/AVPF 96\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:{attribute}\r\n");
            let found = section(&media);
            assert_eq!((found.feedback, found.key_request), (true, expected), "{attribute}");
        }
    }

    #[test]
    fn names_codecs_without_rtpmap() {
        let media = [26, 0, 8, 10, 11].map(|number| format!("m=audio 0 RTP/AVP {number}\r\n")).concat();
        let sections = short(&media).unwrap().sections;
        let format = |section: &Section| {
            (section.format.encoding.clone(), section.format.clock_rate, section.format.channels)
        };
        let expected = [
            ("JPEG", 90_000, 0),
            ("PCMU", 8000, 1),
            ("PCMA", 8000, 1),
            ("L16", 44_100, 2),
            ("L16", 44_100, 1),
        ];
        assert_eq!(
            sections.iter().map(format).collect::<Vec<_>>(),
            expected.map(|(name, rate, channels)| (name.to_owned(), rate, channels))
        );
    }

    #[test]
    fn what_a_camera_offers_is_read_as_far_as_it_can_be() {
        let odd = "\0v=0\no=- 0 0 IN IP4 0.0.0.0\ns=-\ngarbage\nt=0 0\na=control:*\nm=application 0 RTP/AVP 107\n\
            m=audio 0 RTP/AVP 97\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:track1\n\n\0";
        let Offered { sections, control, unreadable } = Offered::parse(odd.as_bytes()).unwrap();
        assert_eq!(sections.len(), 1);
        assert_eq!((sections[0].video, control.as_deref()), (true, Some("*")));
        assert!(matches!(unreadable.as_slice(), [one] if one.contains("audio")), "{unreadable:?}");
        assert_eq!(Offered::parse(b"v=0\no=- 0 0 IN IP4 0.0.0.0\ns=-\nt=0 0\n"), Err(SdpError::Sections(0)));
    }

    #[test]
    fn says_what_is_wrong_with_a_description() {
        for (media, part) in [
            ("", "0 media sections"),
            ("m=video 0 RTP/AVP 96\r\n", "no rtpmap"),
            ("m=video 0 RTP/AVP 200\r\n", "payload type"),
            ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264\r\n", "clock rate"),
            ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\n", "clock rate"),
            ("m=video\r\n", "cannot be read"),
        ] {
            let error = short(media).unwrap_err().to_string();
            assert!(error.contains(part), "{media}: {error}");
        }
        assert!(short(&"m=video 0 RTP/AVP 26\r\n".repeat(17)).is_err());
        assert!(Announcement::parse(b"hello").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..700) {
            let _ = Announcement::parse(&bytes);
            let mut damaged = FFMPEG.as_bytes().to_vec();
            let at = at % damaged.len();
            damaged.splice(at..at, bytes);
            let _ = (Announcement::parse(&damaged), Offered::parse(&damaged));
        }
    }
}
