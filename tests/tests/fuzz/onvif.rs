//! What devices answer that are looked for, over UDP and over HTTP.

use std::net::{IpAddr, Ipv4Addr};

use ingest::onvif::device::{device_time, media_service, profiles, stream_url};
use ingest::onvif::discovery::answer;
use ingest::onvif::xml::Element;
use ingest::pull::SourceUrl;

use crate::memory;

const DEVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// An element takes some 100 bytes, twice that while its list grows, and `<a/>` makes one of four.
const TREE: usize = 2;

/// The answer to a probe. Whatever it says, it names nobody but the one who sent it.
pub(crate) fn probe_matches(input: &[u8]) {
    let read = memory::in_proportion(TREE * input.len(), || answer(input, "urn:uuid:1", DEVICE));
    for found in read.unwrap_or_default() {
        assert_eq!(found.service.host(), "192.0.2.7");
        assert!(found.name.is_none_or(|name| (1..=100).contains(&name.chars().count())));
    }
}

/// The body of the answer to a call.
pub(crate) fn device_answer(input: &[u8]) {
    let Ok(body) = memory::in_proportion(TREE * input.len(), || Element::parse(input)) else { return };
    assert!(depth(&body) <= 32);
    let _ = device_time(&body);
    assert!(media_service(&body, DEVICE).is_none_or(|url| url.host() == "192.0.2.7"));
    let profiles = profiles(&body);
    assert!(profiles.len() <= 16 && profiles.iter().all(|profile| !profile.token.is_empty()));
    if let Some(url) = stream_url(&body, DEVICE) {
        assert!(url.contains("://192.0.2.7") && SourceUrl::parse(&url).is_ok(), "{url}");
    }
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or(0)
}
