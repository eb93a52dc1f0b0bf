//! What a camera offers: its answer to DESCRIBE (RFC 2326 §10.2 and appendix C.1).

use base::Limits;

use super::PullError;
use crate::rtsp::inbound::Inbound;
use crate::rtsp::sdp::{Offered, Section};

/// The tracks of a camera that are recorded, and what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Each with its number in the stream. Where nothing else is offered, and the build has GStreamer to take it
    /// apart, the only one is a transport stream.
    pub tracks: Vec<(u8, Section)>,
    /// What PLAY and keep-alives name.
    pub aggregate: String,
    /// What controls are relative to.
    base: String,
    /// What is not recorded, and why.
    pub left_out: Vec<String>,
}

impl Description {
    /// Reads the answer to a DESCRIBE of `request`; `content_base` is its `Content-Base` header, else its
    /// `Content-Location`.
    ///
    /// # Errors
    /// [`PullError::Description`], [`PullError::NoTracks`] where nothing of it can be recorded.
    pub fn read(
        request: &str,
        content_base: Option<&str>,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Self, PullError> {
        let Offered { sections, control, unreadable } = Offered::parse(body)?;
        let base = base(request, content_base);
        let (mut tracks, mut left_out) = (Vec::new(), unreadable);
        let mut muxed = None;
        for section in sections.into_iter().filter(Section::is_recorded) {
            let number = u8::try_from(tracks.len() + 1).unwrap_or(u8::MAX);
            match Inbound::new(number, &section, false, limits) {
                Ok(_) if tracks.len() >= limits.tracks => {
                    left_out.push(format!(
                        "{}: a stream has at most {} tracks",
                        section.format.encoding, limits.tracks
                    ));
                }
                Ok(_) => tracks.push((number, section)),
                Err(error) if section.is_muxed() => muxed = Some((section, error.to_string())),
                Err(error) => left_out.push(error.to_string()),
            }
        }
        match muxed {
            Some((section, _)) if tracks.is_empty() && cfg!(feature = "gstreamer") => {
                tracks.push((1, section))
            }
            Some((_, why)) => left_out.push(why),
            None => {}
        }
        if tracks.is_empty() {
            let why =
                if left_out.is_empty() { "neither video nor audio".into() } else { left_out.join("; ") };
            return Err(PullError::NoTracks(why));
        }
        let aggregate = control.map_or_else(|| request.to_owned(), |control| join(&base, &control));
        Ok(Self { tracks, aggregate, base, left_out })
    }

    /// Whether what comes has to be taken apart.
    #[cfg(feature = "gstreamer")]
    pub(super) fn is_muxed(&self) -> bool {
        self.tracks.iter().any(|(_, section)| section.is_muxed())
    }

    /// The URL that SETUP of a track names.
    pub fn control(&self, section: &Section) -> String {
        join(&self.base, &section.control)
    }
}

/// What relative controls are appended to. Some cameras leave the scheme away, or send a path.
fn base(request: &str, content_base: Option<&str>) -> String {
    let Some(given) = content_base.map(str::trim).filter(|given| is_sound(given)) else {
        return request.to_owned();
    };
    let (scheme, rest) = request.split_once("://").unwrap_or(("rtsp", request));
    if given.contains("://") {
        given.to_owned()
    } else if given.starts_with('/') {
        let place = rest.split('/').next().unwrap_or_default();
        format!("{scheme}://{place}{given}")
    } else {
        format!("{scheme}://{given}")
    }
}

/// A control attribute on its base. Cameras do not mean what RFC 3986 says of relative references: the
/// control is appended, also behind a query.
fn join(base: &str, control: &str) -> String {
    let control = control.trim();
    if control.is_empty() || control == "*" || !is_sound(control) {
        return base.to_owned();
    }
    if control.contains("://") {
        return control.to_owned();
    }
    format!("{}/{}", base.trim_end_matches('/'), control.trim_start_matches('/'))
}

/// Whether a text may stand in a request line.
fn is_sound(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const URL: &str = "rtsp://10.0.0.5:554/h264?ch=1";
    const HEAD: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
    const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n";

    fn read(media: &str, base: Option<&str>) -> Result<Description, PullError> {
        Description::read(URL, base, format!("{HEAD}{media}").as_bytes(), &Limits::default())
    }

    #[test]
    fn controls_are_joined_as_cameras_mean_them() {
        for (base, control) in [
            (None, "rtsp://10.0.0.5:554/h264?ch=1/trackID=1"),
            (Some("rtsp://10.0.0.5/h264/"), "rtsp://10.0.0.5/h264/trackID=1"),
            (Some("10.0.0.5:554/stream0/"), "rtsp://10.0.0.5:554/stream0/trackID=1"),
            (Some("/stream0"), "rtsp://10.0.0.5:554/stream0/trackID=1"),
            (Some(" "), "rtsp://10.0.0.5:554/h264?ch=1/trackID=1"),
        ] {
            let found = read(VIDEO, base).unwrap();
            assert_eq!(found.control(&found.tracks[0].1), control);
            assert_eq!(found.aggregate, URL, "without a session control");
        }
        let whole = VIDEO.replace("trackID=1", "rtsp://10.0.0.5/other/trackID=1");
        let found = read(&format!("a=control:*\r\n{whole}"), Some("rtsp://10.0.0.5/h264/")).unwrap();
        assert_eq!(found.control(&found.tracks[0].1), "rtsp://10.0.0.5/other/trackID=1");
        assert_eq!(found.aggregate, "rtsp://10.0.0.5/h264/");
    }

    #[test]
    fn what_cannot_be_recorded_is_left_out_and_named() {
        let media = format!(
            "m=application 0 RTP/AVP 107\r\n{VIDEO}m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\n"
        );
        let found = read(&media, None).unwrap();
        assert_eq!(found.tracks.len(), 1);
        assert!(found.left_out.iter().any(|text| text.contains("G726-32")), "{:?}", found.left_out);
        let error =
            read("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H263-1998/90000\r\n", None).unwrap_err().to_string();
        assert!(error.contains("H263-1998"), "{error}");
        let error =
            read("m=application 0 RTP/AVP 107\r\na=rtpmap:107 x/90000\r\n", None).unwrap_err().to_string();
        assert!(error.contains("neither video nor audio"), "{error}");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(base in ".{0,40}", media in ".{0,200}", control in ".{0,40}") {
            if let Ok(found) = read(&format!("{}{media}", VIDEO.replace("trackID=1", &control)), Some(&base)) {
                let control = found.control(&found.tracks[0].1);
                prop_assert!(control.bytes().all(|byte| byte.is_ascii_graphic()), "{control}");
            }
        }
    }
}
