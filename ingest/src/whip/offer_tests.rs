use super::*;
use proptest::prelude::*;

/// As Chromium offers a camera and a microphone, shortened.
const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 FA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n\
    a=candidate:1 1 udp 2122260223 4b1f7c2e-2f3a-4c07-9a76-6c9b3c6d1f11.local 61764 typ host\r\n\
    a=fingerprint:sha-256 FA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    a=setup:actpass\r\na=mid:1\r\na=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:13 urn:3gpp:video-orientation\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\na=rtcp-mux\r\n\
    a=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\na=rtpmap:107 H264/90000\r\na=rtcp-fb:107 transport-cc\r\na=rtcp-fb:107 nack\r\n\
    a=rtcp-fb:107 nack pli\r\na=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n\
    a=rtpmap:108 rtx/90000\r\na=fmtp:108 apt=107\r\na=rtpmap:103 H264/90000\r\na=rtcp-fb:103 transport-cc\r\n\
    a=rtcp-fb:103 nack\r\na=rtcp-fb:103 nack pli\r\n\
    a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\na=rtpmap:104 rtx/90000\r\n\
    a=fmtp:104 apt=103\r\na=rtpmap:109 VP9/90000\r\na=fmtp:109 profile-id=0\r\na=rtpmap:114 red/90000\r\n";

fn parse(text: &str) -> Result<Offer, OfferError> {
    Offer::parse(text.as_bytes(), &Limits::default())
}

fn config() -> RtcConfig {
    RtcConfig::new().set_ice_lite(true).set_rtp_mode(true)
}

fn section(kind: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n{lines}"
    )
}

#[test]
fn of_a_browsers_offer_h264_is_taken_with_what_repeats_it() {
    let offer = parse(CHROMIUM).unwrap();
    let video = offer.tracks.iter().find(|track| track.video).unwrap();
    assert_eq!((video.format.encoding.as_str(), video.format.clock_rate), ("H264", 90_000));
    let payloads: Vec<_> = video.payloads.iter().map(|payload| (payload.number, payload.rtx)).collect();
    assert_eq!(payloads, [(103, Some(104)), (107, Some(108))], "packetization-mode=1 comes first");
    assert!(!offer.text.contains("a=candidate") && !offer.text.contains("a=sendrecv"));
}

#[test]
fn str0m_answers_it_with_one_codec_and_no_orientation() {
    let offer = parse(CHROMIUM).unwrap();
    let (_, answer) = offer.answer(config(), &[], Instant::now()).unwrap();
    assert!(answer.contains("m=video 9 UDP/TLS/RTP/SAVPF 103 104 107 108\r\n"), "{answer}");
    for part in [
        "a=ice-lite",
        "a=recvonly",
        "a=setup:passive",
        "a=rtcp-fb:103 nack pli",
        "a=rtcp-fb:103 transport-cc",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!answer.contains("VP8") && !answer.contains("video-orientation"), "{answer}");
    let bare = answer.lines().find(|line| line.starts_with("m=") && line.split(' ').count() == 3);
    assert_eq!(bare, None, "browsers take no section without a payload type");
}

#[test]
fn candidates_stand_where_something_is_taken() {
    let offer = parse(&CHROMIUM.replace("opus/", "speech/").replace("PCM", "XCM")).unwrap();
    let candidate = Candidate::host("192.0.2.1:8189".parse().unwrap(), "udp").unwrap();
    let (_, answer) = offer.answer(config(), &[candidate], Instant::now()).unwrap();
    let (audio, video) = answer.split_once("m=video").unwrap();
    assert!(audio.ends_with("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"), "{answer}");
    assert!(video.contains("192.0.2.1 8189 typ host") && answer.contains("a=group:BUNDLE 1\r\n"), "{answer}");
}

#[test]
fn what_cannot_be_recorded_is_named() {
    let speech = section("audio", "a=rtpmap:96 G722/8000\r\n");
    let error = parse(&speech).unwrap_err().to_string();
    assert!(error.contains("audio: G722") && error.contains("H264"), "{error}");
    let both = format!(
        "{}m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:1\r\na=rtpmap:97 h264/90000\r\na=fmtp:97 packetization-mode=1\r\n",
        speech
    );
    let offer = parse(&both).unwrap();
    assert_eq!((offer.tracks.len(), offer.not_recorded), (1, vec!["audio: G722".to_owned()]));
}

#[test]
fn says_what_is_wrong_with_an_offer() {
    let h264 = "a=rtpmap:96 H264/90000\r\n";
    for (text, part) in [
        ("hello".to_owned(), "SDP"),
        ("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned(), "0 video"),
        (section("application", ""), "1 other"),
        (format!("{}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n{h264}", section("video", h264)), "2 video"),
        (section("video", &format!("{h264}a=recvonly\r\n")), "sendonly"),
        (section("video", h264).replace("a=mid:0\r\n", ""), "a=mid"),
        (section("video", &format!("{h264}{}", "a=rid:x send\r\n".repeat(7))), "layers"),
        (section("video", h264).replace("SAVPF 96", "SAVPF x"), "payload types"),
        (format!("{}{}", section("video", h264), "a=x\r\n".repeat(20_000)), "bytes"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_restart_is_the_offer_with_other_credentials() {
    let again = with_credentials(CHROMIUM, "newU", "newPassword1234567890ab");
    assert_eq!(again.matches("a=ice-ufrag:newU\r\n").count(), 2);
    assert_eq!(again.matches("a=ice-pwd:newPassword1234567890ab\r\n").count(), 2);
    assert_eq!(with_credentials(&again, "EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"), CHROMIUM);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is made of an offer, it is refused or answered, and never kills the server.
    #[test]
    fn damaged_offers_are_refused_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..4000, cut in 0usize..80) {
        let mut damaged = CHROMIUM.as_bytes().to_vec();
        let at = at % damaged.len();
        damaged.splice(at..(at + cut).min(CHROMIUM.len()), bytes);
        if let Ok(offer) = Offer::parse(&damaged, &Limits::default()) {
            let _ = offer.answer(config(), &[], Instant::now());
        }
    }
}
