//! Where a source is: its URL, with the credentials apart.

use std::fmt;

use catalog::Secret;

use crate::rtsp::percent_decode;

/// What the pullers themselves speak, with default ports.
const RTSP: [(&str, u16); 2] = [("rtsp", 554), ("rtsps", 322)];
/// What GStreamer plays, with default ports, where there is one.
const PLAYED: [(&str, Option<u16>); 5] =
    [("http", Some(80)), ("https", Some(443)), ("rtmp", Some(1935)), ("rtmps", Some(443)), ("srt", None)];
/// What may stand there besides, for messages.
const PLAYABLE: &str =
    if cfg!(feature = "gstreamer") { ", http://, https://, rtmp://, rtmps:// or srt://" } else { "" };
/// What stands for what is not shown.
const HIDDEN: &str = "***";
/// Parameters whose values are secrets: cameras take credentials in path and query, too.
const TELLING: [&str; 10] = ["pass", "pwd", "psw", "auth", "token", "secret", "user", "usr", "key", "sign"];

/// The URL of a source. `Debug` and `Display` show neither credentials nor what looks like them.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    /// Whether the RTSP connection is encrypted.
    pub(super) secure: bool,
    /// How to sign in.
    pub(super) credentials: Option<Credentials>,
    /// A name or an address, without brackets.
    pub(super) host: String,
    /// The TCP port.
    pub(super) port: u16,
    /// The URL as requests name it: without credentials.
    pub(super) request: String,
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Secret,
    pub(crate) password: Secret,
}

/// A URL that cannot be pulled from. Shows nothing of it but its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or one that is not spoken.
    #[error("the URL begins with {0:?}: use rtsp://USER:PASSWORD@HOST:PORT/PATH, or rtsps://{PLAYABLE}")]
    Scheme(String),
    /// No host, or not the name of one.
    #[error(
        "the URL names no host: use rtsp://USER:PASSWORD@HOST:PORT/PATH, with % and / in the password as %25 and %2F"
    )]
    Host,
    /// Not a port.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// Spaces, control characters or others that no URL has.
    #[error("the URL's path has a character that a URL cannot have: percent-encode it")]
    Path,
}

impl SourceUrl {
    /// Takes a URL apart. User and password may hold any characters: percent-encoded, or as they are,
    /// but for `/`, and for `%` before two hexadecimal digits. The last `@` before the path ends them.
    ///
    /// # Errors
    /// [`UrlError`] says what is wrong without repeating it.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").ok_or_else(|| UrlError::Scheme(String::new()))?;
        let named = scheme.to_ascii_lowercase();
        let rtsp = RTSP.iter().find(|(name, _)| *name == named).map(|(name, port)| (*name, Some(*port)));
        let played = || PLAYED.iter().find(|(name, _)| cfg!(feature = "gstreamer") && *name == named);
        let unknown = || UrlError::Scheme(scheme.chars().take(16).collect());
        let (scheme, usual) = rtsp.or_else(|| played().copied()).ok_or_else(unknown)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        // `rtsp://host?query`, without a path.
        let (place, query) = place.split_at(place.find('?').unwrap_or(place.len()));
        let (host, given) = host_and_port(place)?;
        let path = format!("{query}{path}");
        let path = path.split('#').next().unwrap_or_default();
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Path);
        }
        let port = given.or(usual).ok_or(UrlError::Port)?;
        let request = format!("{scheme}://{place}{path}");
        let (secure, credentials) = (scheme == "rtsps", userinfo.map(Credentials::parse));
        Ok(Self { secure, credentials, host: host.to_owned(), port, request })
    }

    /// Whether it is GStreamer's to play.
    pub(super) fn is_played(&self) -> bool {
        !self.request.starts_with("rtsp")
    }
}

impl Credentials {
    fn parse(userinfo: &str) -> Self {
        let (username, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decode = |text| Secret::new(String::from_utf8_lossy(&percent_decode(text)));
        Self { username: decode(username), password: decode(password) }
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(place: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').filter(|port| !port.is_empty())),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let v6 = place.starts_with('[');
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let sound = if v6 { host.parse::<std::net::Ipv6Addr>().is_ok() } else { host.bytes().all(letter) };
    if host.is_empty() || host.len() > 253 || !sound {
        return Err(UrlError::Host);
    }
    let port = port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port));
    Ok((host, port.transpose()?))
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.request.split_once("://").unwrap_or_default();
        let user = if self.credentials.is_some() { format!("{HIDDEN}@") } else { String::new() };
        write!(f, "{scheme}://{user}{}", shown(rest))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

/// A text without what follows the first parameter that looks like a credential.
pub(super) fn shown(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let telling = lower.match_indices('=').find(|(at, _)| {
        let before = lower.get(..*at).unwrap_or_default();
        let name = before.rsplit(['/', '?', '&', ';']).next().unwrap_or_default();
        TELLING.iter().any(|word| name.contains(word))
    });
    match telling {
        Some((at, _)) => format!("{}={HIDDEN}", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(url: &str) -> (String, String, String, u16, String) {
        let url = SourceUrl::parse(url).unwrap();
        let Credentials { username, password } = url.credentials.unwrap();
        (username.expose().into(), password.expose().into(), url.host, url.port, url.request)
    }

    #[test]
    fn credentials_may_have_any_characters() {
        for (url, username, password) in [
            ("rtsp://admin:secret@10.0.0.5/live", "admin", "secret"),
            ("rtsp://admin:p@ss:w#r?d@10.0.0.5/live", "admin", "p@ss:w#r?d"),
            ("rtsp://admin:p%40ss%2Fw%25@10.0.0.5/live", "admin", "p@ss/w%"),
            ("rtsp://admin:100%@10.0.0.5/live", "admin", "100%"),
            ("rtsp://admin:%zz@10.0.0.5/live", "admin", "%zz"),
            ("rtsp://us%3Aer:@10.0.0.5/live", "us:er", ""),
            ("rtsp://admin@10.0.0.5/live", "admin", ""),
            ("rtsp://admin:pa ss é@10.0.0.5/live", "admin", "pa ss é"),
        ] {
            let found = parts(url);
            assert_eq!((found.0.as_str(), found.1.as_str()), (username, password), "{url}");
            assert_eq!(
                (found.2.as_str(), found.3, found.4.as_str()),
                ("10.0.0.5", 554, "rtsp://10.0.0.5/live")
            );
        }
    }

    #[test]
    fn hosts_ports_and_paths() {
        for (url, host, port, request) in [
            (
                "rtsp://cam.example:8554/a/b?c=1&d=x@y",
                "cam.example",
                8554,
                "rtsp://cam.example:8554/a/b?c=1&d=x@y",
            ),
            ("RTSPS://[fe80::1]:99/x#part", "fe80::1", 99, "rtsps://[fe80::1]:99/x"),
            ("rtsps://[::1]", "::1", 322, "rtsps://[::1]"),
            ("rtsp://h?channel=1", "h", 554, "rtsp://h?channel=1"),
        ] {
            let found = SourceUrl::parse(url).unwrap();
            assert_eq!((found.host.as_str(), found.port, found.request.as_str()), (host, port, request));
            assert_eq!(found.credentials, None);
        }
    }

    #[test]
    fn refusals_say_what_is_wrong_and_tell_nothing() {
        for (url, error) in [
            ("10.0.0.5/hunter2", UrlError::Scheme(String::new())),
            ("file:///hunter2", UrlError::Scheme("file".into())),
            ("rtsp:///hunter2", UrlError::Host),
            ("rtsp://a:hunter2@/x", UrlError::Host),
            ("rtsp://ho st/x", UrlError::Host),
            ("rtsp://[10.0.0.5]/x", UrlError::Host),
            ("rtsp://a:hunter/2@10.0.0.5/x", UrlError::Port),
            ("rtsp://h:0/x", UrlError::Port),
            ("rtsp://h:65536/x", UrlError::Port),
            ("rtsp://h/a\r\nX: hunter2", UrlError::Path),
            ("rtsp://h/a b", UrlError::Path),
        ] {
            let found = SourceUrl::parse(url).unwrap_err();
            assert_eq!(found, error, "{url}");
            assert!(!found.to_string().contains("hunter"), "{found}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (url, shown) in [
            ("rtsp://admin:hunter2@10.0.0.5:554/ch1?subtype=0", "rtsp://***@10.0.0.5:554/ch1?subtype=0"),
            ("rtsp://10.0.0.5/user=admin_password=hunter2_channel=1.sdp", "rtsp://10.0.0.5/user=***"),
            ("rtsp://10.0.0.5/a?channel=1&Password=hunter2&x=1", "rtsp://10.0.0.5/a?channel=1&Password=***"),
        ] {
            let url = SourceUrl::parse(url).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn encoded_credentials_round_trip(username in ".{1,16}", password in ".{0,16}") {
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let url = format!("rtsp://{}:{}@h/x", encode(&username), encode(&password));
            let found = parts(&url);
            prop_assert_eq!((found.0, found.1), (username, password));
        }

        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,60}") {
            if let Ok(url) = SourceUrl::parse(&format!("rtsp://{text}")) {
                prop_assert!(url.request.bytes().all(|byte| byte.is_ascii_graphic()));
                let again = SourceUrl::parse(&url.request).unwrap();
                prop_assert_eq!((again.host, again.port), (url.host, url.port));
            }
        }
    }
}
