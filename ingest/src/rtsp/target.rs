//! What a request's URL names: a stream, and perhaps one of its tracks.

use base::StreamName;
use rtsp_types::Url;

use super::reply::Refusal;

/// `rtsp://host/{stream}[/{control}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) stream: StreamName,
    /// What follows the stream's name: `streamid=0` (ffmpeg), `stream=0` (GStreamer), `trackID=1`, …
    pub(crate) control: String,
}

impl Target {
    /// Takes the URL of a request apart.
    ///
    /// # Errors
    /// 400 when the first segment of the path is not a stream name.
    pub(crate) fn parse(url: Option<&Url>) -> Result<Self, Refusal> {
        let url = url.ok_or_else(|| Refusal::bad("the request names no URL: use rtsp://HOST/STREAM"))?;
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let (name, control) = path.split_once('/').unwrap_or((path, ""));
        let name = percent_decode(name);
        let stream =
            StreamName::new(&String::from_utf8_lossy(&name)).map_err(|error| Refusal::bad(&error))?;
        // A control attribute is appended to the whole URL, also behind a query.
        let in_query = url.query().and_then(|query| query.split_once('/')).map(|(_, control)| control);
        let control = percent_decode(in_query.unwrap_or(control));
        Ok(Self { stream, control: String::from_utf8_lossy(&control).trim_end_matches('/').to_owned() })
    }
}

/// Whether a URL, or a path of one, as an `Authorization` header carries it, is of this stream.
pub(crate) fn names_stream(uri: &str, stream: &StreamName) -> bool {
    let path = match uri.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => uri.strip_prefix('/').unwrap_or(uri),
    };
    let name = path.split(['/', '?']).next().unwrap_or_default();
    percent_decode(name) == stream.as_str().as_bytes()
}

/// Decodes `%41` to `A` (RFC 3986 §2.1); a `%` that starts no such triplet stands for itself.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let triplet = match (first, after) {
            (b'%', [high, low, behind @ ..]) => digit(*high).zip(digit(*low)).zip(Some(behind)),
            _ => None,
        };
        let (byte, behind) =
            triplet.map_or((*first, after), |((high, low), behind)| (high << 4 | low, behind));
        decoded.push(byte);
        rest = behind;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(url: &str) -> Option<(String, String)> {
        let target = Target::parse(Some(&Url::parse(url).unwrap())).ok()?;
        Some((target.stream.to_string(), target.control))
    }

    #[test]
    fn reads_the_urls_clients_send() {
        for (url, stream, control) in [
            ("rtsp://h:8554/door", "door", ""),
            ("rtsp://u:p@h/door/", "door", ""),
            ("rtsp://h/door/streamid=0", "door", "streamid=0"),
            ("rtsp://h/door/stream=1", "door", "stream=1"),
            ("rtsp://h/front%2Ddoor/trackID%3D2", "front-door", "trackID=2"),
            ("rtsp://h/door?x=1/streamid=1", "door", "streamid=1"),
            ("rtsp://h/door?x=1", "door", ""),
        ] {
            assert_eq!(parse(url), Some((stream.into(), control.into())), "{url}");
        }
    }

    #[test]
    fn refuses_what_is_no_stream_name() {
        for url in
            ["rtsp://h", "rtsp://h/", "rtsp://h//door", "rtsp://h/a%2Fb", "rtsp://h/%C3%A4", "rtsp://h/%"]
        {
            assert_eq!(parse(url), None, "{url}");
        }
        assert!(Target::parse(None).is_err());
    }

    proptest! {
        #[test]
        fn any_text_decodes(text in ".{0,80}") {
            prop_assert!(percent_decode(&text).len() <= text.len());
        }
    }
}
