//! What cameras answer that are pulled from, and the URLs they are given by.

use std::time::Duration;

use base::Limits;
use ingest::pull::challenge::Challenge;
use ingest::pull::description::Description;
use ingest::pull::transport::{SessionHeader, Transport};
use ingest::pull::{Schedule, SourceUrl};

use crate::memory;

const URL: &str = "rtsp://192.0.2.1/live";

/// The body of the answer to DESCRIBE. What becomes of it may stand in a request line.
pub(crate) fn description(input: &[u8]) {
    let limits = Limits::default();
    let base = str::from_utf8(input.get(..20).unwrap_or_default()).ok();
    let read = memory::in_proportion(input.len(), || Description::read(URL, base, input, &limits));
    let Ok(description) = read else { return };
    assert!((1..=limits.tracks).contains(&description.tracks.len()));
    let controls = description.tracks.iter().map(|(_, section)| description.control(section));
    for url in controls.chain([description.aggregate.clone()]) {
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    }
}

/// The `WWW-Authenticate` header.
pub(crate) fn challenge(input: &[u8]) {
    let Ok(header) = str::from_utf8(input) else { return };
    let _ = memory::in_proportion(input.len(), || Challenge::parse(header));
}

/// The `Transport` and `Session` headers of the answer to SETUP.
pub(crate) fn setup(input: &[u8]) {
    let Ok(header) = str::from_utf8(input) else { return };
    let _ = memory::in_proportion(input.len(), || Transport::parse(header));
    if let Some(session) = SessionHeader::parse(header) {
        assert!(session.timeout.as_secs() >= 4 && !session.id.contains(|c: char| !c.is_ascii_graphic()));
    }
}

/// The URL of a source: what is shown of it is one, too, and has no credentials.
pub(crate) fn url(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(url) = memory::in_proportion(input.len(), || SourceUrl::parse(text)) else { return };
    let shown = url.to_string();
    assert_eq!(format!("{url:?}"), format!("SourceUrl({shown})"));
    assert_eq!(SourceUrl::parse(&shown).unwrap().to_string(), shown);
}

/// When an edge configuration records.
pub(crate) fn schedule(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = |text: &str| Schedule::parse(text, Duration::from_secs(60));
    let schedule = memory::in_proportion(input.len(), || read(text));
    assert_eq!(read(&format!(" {text} ")), schedule);
}
