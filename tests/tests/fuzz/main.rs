//! Fuzz targets: every parser of bytes that come from the network or from disk.
//!
//! A target drives the real parser with any bytes and then checks what must hold of whatever it
//! takes: limits are kept, memory stays in proportion to the input, what was read can be written and
//! read again, decode times increase. A plain `cargo test` runs each target on its corpus
//! (`__fuzz__/TARGET/corpus`, small recordings of real clients), on random bytes, and on edits of the
//! corpus. `make fuzz` searches for more by coverage; an input that fails stays in
//! `__fuzz__/TARGET/crashes`, where `cargo test` runs it from then on.
//!
//! A new target is a function, a line in the list below and a corpus.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod codec;
mod delivery;
mod edits;
mod log;
mod memory;
mod mkv;
mod onvif;
mod pull;
mod records;
mod rtp;
mod rtsp;
mod signature;
mod text;
mod whip;

/// Random inputs of each target in a plain `cargo test`.
const RANDOM_INPUTS: usize = 500;

macro_rules! targets {
    ($($name:ident => $target:path,)+) => {$(
        #[test]
        fn $name() {
            // Under a fuzzing engine this does not return.
            bolero::check!().with_iterations(RANDOM_INPUTS).for_each(|input: &[u8]| $target(input));
            edits::check(stringify!($name), $target);
        }
    )+};
}

targets! {
    aac => rtp::aac,
    av1 => rtp::av1,
    codec_private => codec::private,
    fragment_meta => text::fragment_meta,
    data_records => records::frame,
    delivery_answer => delivery::answer,
    delivery_prefix => delivery::prefix,
    h264 => rtp::h264,
    h265 => rtp::h265,
    jpeg => rtp::jpeg,
    kinesis_cbor => records::cbor,
    kinesis_json => records::json,
    latm => rtp::latm,
    log_batch => log::batch,
    log_headers => log::headers,
    log_key_table => log::key_table,
    log_segment => log::segment,
    mkv_fragment => mkv::fragment,
    mkv_stream => mkv::stream,
    names => text::names,
    onvif_device => onvif::device_answer,
    onvif_probe_matches => onvif::probe_matches,
    plain_audio => rtp::plain_audio,
    pull_challenge => pull::challenge,
    pull_description => pull::description,
    pull_schedule => pull::schedule,
    pull_setup => pull::setup,
    pull_url => pull::url,
    rtcp => rtp::rtcp,
    rtsp_digest => rtsp::digest,
    rtsp_framing => rtsp::framing,
    rtsp_sdp => rtsp::sdp,
    rtsp_transport => rtsp::transport,
    search_query => text::search_query,
    sigv4 => signature::sigv4,
    vp8 => rtp::vp8,
    vp9 => rtp::vp9,
    whip_fragment => whip::fragment,
    whip_offer => whip::offer,
    whip_stun => whip::stun,
}
