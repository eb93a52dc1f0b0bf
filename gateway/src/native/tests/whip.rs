//! What WHIP endpoints answer. Sessions with media are for the whole-system tests.

use axum::body::Body;
use catalog::{Allow, StreamGlob};
use http::{Method, Request, StatusCode};

use super::world::{Answer, World};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
    a=fingerprint:sha-256 FA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

impl World {
    /// The token of a device that may do this with streams `cam-*`.
    async fn token(&self, allow: &str) -> String {
        let allow: Allow = allow.parse().unwrap();
        let made = self.app.catalog.create_device(StreamGlob::new("cam-*").unwrap(), allow).await.unwrap();
        format!("Bearer {}", made.token.expose())
    }

    async fn whip(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let builder = Request::builder().method(method).uri(path);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        self.send(builder.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn offer(&self, path: &str, token: &str, kind: &str, body: &str) -> Answer {
        self.whip(Method::POST, path, &[("authorization", token), ("content-type", kind)], body).await
    }
}

#[tokio::test]
async fn an_offer_is_answered_with_a_session() {
    let world = World::with(0).await;
    let token = world.token("publish,create").await;
    let made = world.offer("/whip/cam-1", &token, "application/sdp; charset=utf-8", OFFER).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let answer = made.text();
    for part in ["a=ice-lite", "a=recvonly", "a=rtpmap:96 H264/90000", "a=candidate:", "typ host"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert_eq!(made.headers["content-type"], SDP);
    assert_eq!(made.headers["accept-patch"], FRAGMENT);
    let session = made.headers["location"].to_str().unwrap().to_owned();
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    assert!(session.starts_with("/whip/cam-1/") && session.len() == "/whip/cam-1/".len() + 32, "{session}");
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let exposed = made.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("location") && exposed.contains("etag"), "{exposed}");
    let second = world.offer("/whip/cam-1", &token, SDP, OFFER).await;
    assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.text());
    assert!(second.headers.contains_key("retry-after"));

    let trickled = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=end-of-candidates\r\n";
    let patch = async |path: &str, condition: Option<&str>, kind: &str| {
        let mut headers = vec![("authorization", token.as_str()), ("content-type", kind)];
        headers.extend(condition.map(|tag| ("if-match", tag)));
        world.whip(Method::PATCH, path, &headers, trickled).await.status
    };
    assert_eq!(patch(&session, Some(&etag), FRAGMENT).await, StatusCode::NO_CONTENT);
    assert_eq!(patch(&session, None, FRAGMENT).await, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(patch(&session, Some("\"other\""), FRAGMENT).await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch(&session, Some(&etag), SDP).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let elsewhere = session.replace("cam-1", "cam-2");
    assert_eq!(patch(&elsewhere, Some(&etag), FRAGMENT).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn refusals_have_the_status_that_clients_look_at() {
    let world = World::with(0).await;
    let token = world.token("publish,create").await;
    let none = world.whip(Method::POST, "/whip/cam-1", &[("content-type", SDP)], OFFER).await;
    assert_eq!(
        (none.status, &none.headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    let vp8 = OFFER.replace("H264/90000", "theora/90000");
    for (path, credential, kind, body, status) in [
        ("/whip/cam-1", "Bearer nonsense", SDP, OFFER, StatusCode::UNAUTHORIZED),
        ("/whip/door", token.as_str(), SDP, OFFER, StatusCode::FORBIDDEN),
        ("/whip/cam-1", &world.token("play").await, SDP, OFFER, StatusCode::FORBIDDEN),
        ("/whip/cam-1", &world.token("publish").await, SDP, OFFER, StatusCode::NOT_FOUND),
        ("/whip/cam-1", &token, "application/json", OFFER, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("/whip/cam-1", &token, SDP, "hello", StatusCode::BAD_REQUEST),
        ("/whip/cam-1", &token, SDP, &vp8, StatusCode::NOT_ACCEPTABLE),
        ("/whip/cam-1", &token, SDP, &"v=0\r\n".repeat(20_000), StatusCode::PAYLOAD_TOO_LARGE),
        ("/whip/not%20a%20name", &token, SDP, OFFER, StatusCode::BAD_REQUEST),
    ] {
        let answer = world.offer(path, credential, kind, body).await;
        assert_eq!(answer.status, status, "{path} {kind}: {}", answer.text());
        assert!(!answer.refusal().is_empty());
    }
    let headers = [("authorization", token.as_str())];
    let gone = world.whip(Method::DELETE, "/whip/cam-1/0123", &headers, "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let get = world.whip(Method::GET, "/whip/cam-1", &headers, "").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_what_is_taken() {
    let world = World::with(0).await;
    let plain = world.whip(Method::OPTIONS, "/whip/cam-1", &[], "").await;
    assert_eq!(
        (plain.status, &plain.headers["allow"]),
        (StatusCode::NO_CONTENT, &"OPTIONS, POST".parse().unwrap())
    );
    let asked = [
        ("origin", "https://studio.example"),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type,if-match"),
    ];
    for answer in [plain, world.whip(Method::OPTIONS, "/whip/cam-1", &asked, "").await] {
        assert_eq!(answer.headers["accept-post"], SDP);
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
    let session = world.whip(Method::OPTIONS, "/whip/cam-1/0123", &asked, "").await;
    assert_eq!(session.headers["access-control-allow-headers"], "authorization, content-type, if-match");
    assert!(session.headers["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));
}
