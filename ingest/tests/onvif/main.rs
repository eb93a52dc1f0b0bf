//! Looking for cameras, against devices that are made up, on loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

mod device;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{SystemClock, SystemEntropy};
use catalog::Secret;
use ingest::onvif::{Camera, Discovery, DiscoveryError, DiscoveryOptions, Login};
use outbound::{AddressRules, Client};

use device::{Device, Habits};

fn discovery(to: SocketAddr) -> Discovery {
    Discovery::new(DiscoveryOptions {
        to,
        interfaces: Vec::new(),
        client: Client::new(AddressRules::default(), Duration::from_secs(10)),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })
}

/// The cameras behind a responder, as soon as they have answered.
async fn find(to: SocketAddr, password: Option<&str>) -> Vec<Camera> {
    let discovery = discovery(to);
    for wait in [200, 500, 1000, 2000, 4000, 8000] {
        let login =
            password.map(|password| Login { username: "admin".into(), password: Secret::new(password) });
        let found = discovery.find(Duration::from_millis(wait), login).await.unwrap();
        if !found.is_empty() {
            return found;
        }
    }
    panic!("nobody answered");
}

#[tokio::test]
async fn a_camera_tells_its_profiles_to_who_signs_in() {
    // An hour ahead: digests have to be of the device's own time.
    let device = Device::start(Habits { ahead_secs: 3600, ..Habits::default() }).await;
    let found = find(device.discovery, Some("p<ss&w\"rd")).await;
    let [camera] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((camera.address.as_str(), camera.name.as_deref()), ("127.0.0.1", Some("Front Door")));
    assert_eq!((camera.manufacturer.as_deref(), camera.model.as_deref()), (Some("Acme"), Some("C 1000")));
    assert_eq!((camera.trouble.as_deref(), camera.credentials_wanted), (None, false));
    let urls: Vec<_> = camera.profiles.iter().map(|profile| profile.url.as_deref().unwrap()).collect();
    assert_eq!(urls, ["rtsp://127.0.0.1:8554/main?x=1&y=2", "rtsp://127.0.0.1:8554/sub?x=1&y=2"]);
    let main = &camera.profiles[0];
    assert_eq!((main.name.as_str(), main.encoding.as_deref()), ("Main", Some("H264")));
    assert_eq!((main.width, main.height, main.frame_rate), (Some(1920), Some(1080), Some(25.0)));
    assert!(!device.heard().contains("p<ss") && !device.heard().contains("p&lt;ss"), "a digest only");
}

#[tokio::test]
async fn a_camera_says_why_it_does_not_tell() {
    let device = Device::start(Habits::default()).await;
    for (password, word) in [(None, "wants a user name"), (Some("wrong"), "refuses the user name")] {
        let found = find(device.discovery, password).await;
        let [camera] = found.as_slice() else { panic!("{found:?}") };
        assert!(camera.trouble.as_ref().unwrap().contains(word), "{camera:?}");
        assert!(camera.credentials_wanted && camera.profiles.is_empty());
        assert_eq!(camera.name.as_deref(), Some("Front Door"));
    }
    let gone = Device::start(Habits { deaf: true, ..Habits::default() }).await;
    let found = find(gone.discovery, None).await;
    assert!(found[0].trouble.as_ref().unwrap().contains("does not accept"), "{found:?}");
    assert!(!found[0].credentials_wanted);
}

#[tokio::test]
async fn a_camera_that_believes_http_digest_gets_it() {
    let device = Device::start(Habits { http_digest: true, ..Habits::default() }).await;
    let [camera] = &find(device.discovery, Some("p<ss&w\"rd")).await[..] else { panic!("one camera") };
    assert_eq!((camera.trouble.as_deref(), camera.profiles.len()), (None, 2), "{camera:?}");
    assert!(camera.profiles.iter().all(|profile| profile.url.is_some()));
    let [camera] = &find(device.discovery, Some("wrong")).await[..] else { panic!("one camera") };
    assert!(camera.credentials_wanted && camera.profiles.is_empty(), "{camera:?}");
}

#[tokio::test]
async fn a_camera_with_the_second_media_service_only_tells_its_profiles() {
    let habits = Habits { second_media: true, http_digest: true, ..Habits::default() };
    let device = Device::start(habits).await;
    let [camera] = &find(device.discovery, Some("p<ss&w\"rd")).await[..] else { panic!("one camera") };
    let [main] = &camera.profiles[..] else { panic!("{camera:?}") };
    assert_eq!((main.name.as_str(), main.encoding.as_deref()), ("Main", Some("H265")));
    assert_eq!((main.width, main.frame_rate), (Some(3840), Some(30.0)));
    assert_eq!(main.url.as_deref(), Some("rtsp://127.0.0.1:8554/main"));
}

#[tokio::test]
async fn a_camera_is_found_by_ipv6() {
    let device = Device::start(Habits { ipv6: true, ..Habits::default() }).await;
    let [camera] = &find(device.discovery, Some("p<ss&w\"rd")).await[..] else { panic!("one camera") };
    assert_eq!((camera.address.as_str(), camera.trouble.as_deref()), ("::1", None));
    let urls: Vec<_> = camera.profiles.iter().map(|profile| profile.url.as_deref().unwrap()).collect();
    assert_eq!(urls[0], "rtsp://[::1]:8554/main?x=1&y=2");
}

#[tokio::test]
async fn a_hostile_device_is_bounded_and_leads_nowhere_else() {
    let device = Device::start(Habits { hostile: true, ..Habits::default() }).await;
    let found = find(device.discovery, Some("p<ss&w\"rd")).await;
    let [camera] = found.as_slice() else { panic!("{} cameras", found.len()) };
    assert_eq!(camera.address, "127.0.0.1", "whatever address it gives");
    assert_eq!(camera.profiles.len(), 16);
    assert!(camera.profiles.iter().all(|profile| profile.name.chars().count() <= 100));
    assert!(camera.profiles.iter().all(|profile| profile.url.is_none()), "no URL that could be pulled from");
}

#[tokio::test]
async fn one_search_is_made_at_a_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let discovery = Arc::new(discovery(silent.local_addr().unwrap()));
    let first = Arc::clone(&discovery);
    let first = tokio::spawn(async move { first.find(Duration::from_secs(2), None).await });
    // The question has been sent: the search is on.
    let mut question = [0; 2048];
    silent.recv_from(&mut question).await.unwrap();
    let second = discovery.find(Duration::from_millis(1), None).await;
    assert!(matches!(second, Err(DiscoveryError::Busy)), "{second:?}");
    assert_eq!(first.await.unwrap().unwrap(), []);
}
