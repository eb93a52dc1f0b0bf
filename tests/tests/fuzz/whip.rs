//! What publishers send before they are trusted: offers, SDP fragments, STUN.

use std::sync::LazyLock;
use std::time::Instant;

use base::Limits;
use ingest::whip::{Fragment, MAX_OFFER, Offer, stun};

use str0m::RtcConfig;

use crate::memory;

/// With a certificate, so that none is made for every input.
static CONFIG: LazyLock<RtcConfig> = LazyLock::new(|| {
    let certificate = str0m::crypto::from_feature_flags().dtls_provider.generate_certificate();
    RtcConfig::new().set_dtls_cert(certificate.unwrap()).set_ice_lite(true).set_rtp_mode(true)
});

/// The body of a POST, and the answer that str0m makes of it.
pub(crate) fn offer(input: &[u8]) {
    let limits = Limits::default();
    let Ok(offer) = memory::in_proportion(input.len(), || Offer::parse(input, &limits)) else { return };
    assert!(input.len() <= MAX_OFFER);
    if let Ok((_, answer)) = offer.answer(CONFIG.clone(), &[], Instant::now()) {
        let sections = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
        assert_eq!(sections(&answer), sections(&String::from_utf8_lossy(input)), "{answer}");
    }
}

/// The body of a PATCH.
pub(crate) fn fragment(input: &[u8]) {
    let Ok(fragment) = memory::in_proportion(input.len(), || Fragment::parse(input)) else { return };
    if let Some((ufrag, password)) = &fragment.credentials {
        let written = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        assert_eq!(Fragment::parse(written.as_bytes()).unwrap().credentials, fragment.credentials);
    }
}

/// A datagram of anyone.
pub(crate) fn stun(input: &[u8]) {
    if let Some(ufrag) = memory::in_proportion(input.len(), || stun::local_ufrag(input)) {
        assert!(stun::is_stun(input) && ufrag.len() < input.len());
    }
}
