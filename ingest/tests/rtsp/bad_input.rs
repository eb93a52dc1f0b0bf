//! What goes wrong is told to the one who caused it, and to nobody else.

use std::time::Duration;

use base::{Limits, StreamName};
use ingest::Ended;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::hall::Hall;
use crate::raw_client::{RawClient, SDP};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_401_and_the_connection_ends_after_five() {
    let hall = Hall::open().await;
    let device = hall.device("door", "publish,create").await;
    let mut client = RawClient::connect(hall.rtsp).await;
    let refused = client.ask("ANNOUNCE", "door", &[], SDP).await;
    assert_eq!(refused.status(), 401);
    let challenges = refused.headers("WWW-Authenticate");
    assert!(challenges[0].contains("SHA-256") && challenges[1].contains("MD5"), "{challenges:?}");
    assert_eq!(challenges.len(), 2, "Basic is for TLS only");
    for attempt in 0..5 {
        let (user, password) =
            if attempt == 0 { ("nobody", "x") } else { (device.username.as_str(), "guess") };
        let header = client.answer(user, password, &refused, "ANNOUNCE", "door");
        assert_eq!(client.ask("ANNOUNCE", "door", &[header], SDP).await.status(), 401);
    }
    assert!(client.response().await.is_none(), "closed");
    assert!(hall.catalog.stream(&StreamName::new("door").unwrap()).is_none());
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_what_a_device_may() {
    let hall = Hall::open().await;
    let player = hall.device("*", "play").await;
    let publisher = hall.device("door*", "publish").await;
    for (who, path, status, reason) in [
        (&player, "door", 403, "may not publish"),
        (&publisher, "window", 403, "may not publish"),
        (&publisher, "door", 404, "no stream door"),
        (&publisher, "do%20or", 400, "not a stream name"),
    ] {
        let mut client = RawClient::connect(hall.rtsp).await;
        let response = if status == 400 {
            client.ask("ANNOUNCE", path, &[], SDP).await
        } else {
            client.ask_as(who, "ANNOUNCE", path, SDP).await
        };
        assert_eq!(response.status(), status, "{response:?}");
        assert!(response.0.contains(reason), "{response:?}");
    }
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_out_of_order_or_unknown_have_their_status() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut client = RawClient::connect(hall.rtsp).await;
    let options = client.ask("OPTIONS", "door", &[], "").await;
    assert!(options.headers("Public")[0].contains("ANNOUNCE, SETUP, RECORD"));
    for (method, status) in
        [("DESCRIBE", 405), ("PLAY", 405), ("SETUP", 455), ("RECORD", 455), ("TEARDOWN", 454)]
    {
        let mut client = RawClient::connect(hall.rtsp).await;
        let response = client.ask_as(&device, method, "door", "").await;
        assert_eq!(response.status(), status, "{response:?}");
        assert_eq!(response.headers("Allow").len(), usize::from(status == 405));
    }
    assert_eq!(client.ask("BREW", "door", &[], "").await.status(), 501);
    let required = client.ask("SETUP", "door", &["Require: implicit-play".into()], "").await;
    assert_eq!((required.status(), required.headers("Unsupported")), (551, vec!["implicit-play"]));

    assert_eq!(client.ask_as(&device, "ANNOUNCE", "door", SDP).await.status(), 200);
    assert_eq!(client.ask("ANNOUNCE", "door", &[], SDP).await.status(), 455);
    assert_eq!(client.ask("RECORD", "door", &[], "").await.status(), 455);
    assert_eq!(client.ask("GET_PARAMETER", "door", &[], "").await.status(), 200);
    assert_eq!(client.ask("SETUP", "door/track9", &[], "").await.status(), 404);
    let multicast = "Transport: RTP/AVP;multicast".to_owned();
    assert_eq!(client.ask("SETUP", "door/track1", &[multicast], "").await.status(), 461);
    assert_eq!(client.ask("RECORD", "door", &["Session: other".into()], "").await.status(), 454);
    assert_eq!(client.ask("PAUSE", "door", &[], "").await.status(), 405);
    assert_eq!(client.ask("TEARDOWN", "door", &[], "").await.status(), 200);
    // The stream is free again.
    assert_eq!(client.ask_as(&device, "ANNOUNCE", "door", SDP).await.status(), 200);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_that_make_no_sense_are_400_or_415() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let speex = format!("{SDP}m=audio 0 RTP/AVP 97\r\na=rtpmap:97 speex/16000\r\n");
    let many = format!("{SDP}{}", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n".repeat(3));
    for (sdp, status, reason) in [
        ("hello", 400, "0 media sections"),
        ("", 400, "0 media sections"),
        ("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 400, "0 media sections"),
        (speex.as_str(), 415, "speex"),
        (many.as_str(), 400, "4 tracks"),
    ] {
        let mut client = RawClient::connect(hall.rtsp).await;
        let response = client.ask_as(&device, "ANNOUNCE", "door", sdp).await;
        assert_eq!(response.status(), status, "{response:?}");
        assert!(response.0.contains(reason), "{response:?}");
    }
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_100_megabytes_is_refused_and_not_kept() {
    let hall = Hall::open().await;
    let mut client = RawClient::connect(hall.rtsp).await;
    client.stream.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: ").await.unwrap();
    let mebibyte = vec![b'a'; 1 << 20];
    for _ in 0..100 {
        if client.stream.write_all(&mebibyte).await.is_err() {
            break;
        }
    }
    let response = client.response().await.expect("told why");
    assert!(response.status() == 400 && response.0.contains("longer than 16384 bytes"), "{response:?}");
    assert!(client.response().await.is_none());
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_rtsp_end_the_connection() {
    let hall = Hall::open().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
        b"hello\r\n\r\n",
    ] {
        let mut client = RawClient::connect(hall.rtsp).await;
        client.stream.write_all(bytes).await.unwrap();
        let response = client.response().await.expect("told why");
        assert!([400, 413].contains(&response.status()), "{response:?}");
        client.stream.shutdown().await.unwrap();
        assert!(client.response().await.is_none());
    }
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_left() {
    let limits = Limits {
        handshake: Duration::from_millis(400),
        rtsp_idle: Duration::from_millis(1200),
        ..Limits::default()
    };
    let hall = Hall::with(limits).await;
    let device = hall.device("*", "publish,create").await;
    let mut idle = RawClient::connect(hall.rtsp).await;
    let mut slow = RawClient::connect(hall.rtsp).await;
    slow.stream.write_all(b"OPTIONS * RTSP/1.0\r\n").await.unwrap();
    let mut recording = RawClient::connect(hall.rtsp).await;
    recording.record(&device, "door").await;
    assert!(idle.response().await.is_none());
    assert!(slow.response().await.is_none());
    // Its half-open connection is noticed, and the stream is free again.
    assert!(recording.response().await.is_none());
    assert_eq!(hall.ended("door").await.last_end.map(|(_, why)| why), Some(Ended::TimedOut));
    let mut next = RawClient::connect(hall.rtsp).await;
    next.record(&device, "door").await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_has_gone_silent_gives_way() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut silent = RawClient::connect(hall.rtsp).await;
    silent.record(&device, "door").await;
    let mut next = RawClient::connect(hall.rtsp).await;
    assert_eq!(next.ask_as(&device, "ANNOUNCE", "door", SDP).await.status(), 453, "it has only begun");
    // Long before the silent one's connection times out.
    for _ in 0..100 {
        if next.ask_as(&device, "ANNOUNCE", "door", SDP).await.status() == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(silent.response().await.is_none(), "its connection is closed");
    let door = hall.catalog.stream(&StreamName::new("door").unwrap()).unwrap();
    let health = hall.ingest.health(door.id).unwrap();
    assert_eq!(health.last_end.map(|(_, why)| why), Some(Ended::TimedOut));
    assert_eq!((health.reconnects, health.peer), (1, Some(next.stream.local_addr().unwrap())));
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed() {
    let hall = Hall::with(Limits { connections: 2, ..Limits::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(hall.rtsp).await;
        assert_eq!(client.ask("OPTIONS", "door", &[], "").await.status(), 200);
        kept.push(client);
    }
    assert!(RawClient::connect(hall.rtsp).await.response().await.is_none());
    kept.pop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut client = RawClient::connect(hall.rtsp).await;
    assert_eq!(client.ask("OPTIONS", "door", &[], "").await.status(), 200);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_stops_publishing() {
    let hall = Hall::with(Limits { rtsp_idle: Duration::from_secs(1), ..Limits::default() }).await;
    let device = hall.device("*", "publish,create").await;
    let mut client = RawClient::connect(hall.rtsp).await;
    client.record(&device, "door").await;
    hall.catalog.revoke_device(&device.username).await.unwrap();
    assert!(client.response().await.is_none());
    assert_eq!(hall.ended("door").await.last_end.map(|(_, why)| why), Some(Ended::Refused));
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_not_rtp_leave_the_session_alone() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut client = RawClient::connect(hall.rtsp).await;
    client.record(&device, "door").await;
    for packet in [&b"$\x00\x00\x00"[..], b"$\x00\x00\x03abc", b"$\x01\x00\x02\x80\xc8", b"$\x09\x00\x01x"] {
        client.stream.write_all(packet).await.unwrap();
    }
    assert_eq!(client.ask("GET_PARAMETER", "door", &[], "").await.status(), 200);
    assert_eq!(client.ask("TEARDOWN", "door", &[], "").await.status(), 200);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_is_set_up_in_pairs_and_reported_on() {
    let limits = Limits { rtsp_idle: Duration::from_secs(2), ..Limits::default() };
    let hall = Hall::with(limits).await;
    let device = hall.device("*", "publish,create").await;
    let (rtp, rtcp) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let mut client = RawClient::connect(hall.rtsp).await;
    assert_eq!(client.ask_as(&device, "ANNOUNCE", "door", SDP).await.status(), 200);
    let transport =
        format!("Transport: RTP/AVP;unicast;client_port={}-{};mode=record", port(&rtp), port(&rtcp));
    let set_up = client.ask("SETUP", "door/track1", &[transport], "").await;
    let agreed = set_up.headers("Transport")[0].split("server_port=").nth(1).unwrap().to_owned();
    let server: Vec<u16> =
        agreed.split(';').next().unwrap().split('-').map(|port| port.parse().unwrap()).collect();
    assert!(server[0].is_multiple_of(2) && server[1] == server[0] + 1);
    assert_eq!(client.ask("RECORD", "door", &[], "").await.status(), 200);
    let packet = [&[0x80, 96, 0, 1][..], &[0; 4], &[0, 0, 0, 9], &[0x09, 0xf0]].concat();
    rtp.send_to(&packet, ("127.0.0.1", server[0])).await.unwrap();
    let mut report = [0; 100];
    let got = tokio::time::timeout(Duration::from_secs(5), rtcp.recv(&mut report)).await.unwrap().unwrap();
    assert_eq!((report[1], &report[8..12], got), (201, &[0, 0, 0, 9][..], 52));
    hall.close().await;
}
