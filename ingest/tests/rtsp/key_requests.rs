//! Publishers whose key frames come seldom are asked for one, if they take such requests.

use std::time::Duration;

use catalog::DeviceCredential;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::hall::Hall;
use crate::raw_client::{RawClient, SDP};

const SSRC: u32 = 9;
/// Packet types of receiver reports (RFC 3550 §6.4.2) and of payload-specific feedback (RFC 4585 §6.3).
const REPORT: u8 = 201;
const FEEDBACK: u8 = 206;
/// The shape of a picture loss indication: one in an empty report's company.
const LOSS: [u8; 4] = [0x81, FEEDBACK, 0, 2];

/// A picture that is none to decode from.
fn picture(sequence: u16) -> Vec<u8> {
    let (sequence, time) = (sequence.to_be_bytes(), (u32::from(sequence) * 45_000).to_be_bytes());
    [&[0x80, 0x80 | 96][..], &sequence, &time, &SSRC.to_be_bytes(), &[0x41, 0x9a, 0x00]].concat()
}

async fn announce(hall: &Hall, device: &DeviceCredential, sdp: &str, transport: &str) -> (RawClient, String) {
    let mut client = RawClient::connect(hall.rtsp).await;
    let announced = client.ask_as(device, "ANNOUNCE", "door", sdp).await;
    assert_eq!(announced.status(), 200, "{announced:?}");
    let set_up = client.ask("SETUP", "door/track1", &[format!("Transport: {transport}")], "").await;
    assert_eq!(set_up.status(), 200, "{set_up:?}");
    let agreed = set_up.headers("Transport")[0].to_owned();
    assert_eq!(client.ask("RECORD", "door", &[], "").await.status(), 200);
    (client, agreed)
}

/// Sends pictures on the connection for so long, or until something comes; answers with what came.
async fn sent_to(client: &mut RawClient, length: Duration) -> Vec<u8> {
    let (until, mut got) = (Instant::now() + length, Vec::new());
    for sequence in 0.. {
        let packet = picture(sequence);
        let size = u8::try_from(packet.len()).unwrap();
        client.stream.write_all(&[&[b'$', 0, 0, size][..], &packet].concat()).await.unwrap();
        let wait = (Instant::now() + Duration::from_millis(500)).min(until);
        let _ = timeout_at(wait, client.stream.read_buf(&mut got)).await;
        if !got.is_empty() || Instant::now() >= until {
            break;
        }
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_connection_where_it_is_offered() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let offering = format!("{}a=rtcp-fb:96 nack pli\r\n", SDP.replace("RTP/AVP ", "RTP/AVPF "));
    let transport = "RTP/AVPF/TCP;unicast;interleaved=0-1;mode=record";
    let (mut client, agreed) = announce(&hall, &device, &offering, transport).await;
    assert_eq!(agreed, transport);
    let got = sent_to(&mut client, Duration::from_secs(20)).await;
    assert_eq!((&got[..6], &got[12..16]), (&[b'$', 1, 0, 20, 0x80, REPORT][..], &LOSS[..]), "{got:?}");
    assert_eq!(got[20..24], SSRC.to_be_bytes());
    let health =
        hall.ingest.health(hall.catalog.stream(&base::StreamName::new("door").unwrap()).unwrap().id).unwrap();
    assert_eq!(health.key_frames_requested, 1);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_udp_also_where_nothing_is_offered() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let bind = async || UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (rtp, rtcp) = (bind().await, bind().await);
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let transport = format!("RTP/AVP;unicast;client_port={}-{};mode=record", port(&rtp), port(&rtcp));
    let (_client, agreed) = announce(&hall, &device, SDP, &transport).await;
    let server: u16 =
        agreed.split("server_port=").nth(1).unwrap().split('-').next().unwrap().parse().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let mut sequence = 0;
    let asked = loop {
        rtp.send_to(&picture(sequence), ("127.0.0.1", server)).await.unwrap();
        sequence += 1;
        let mut got = [0; 100];
        let wait = Instant::now() + Duration::from_millis(500);
        match timeout_at(wait, rtcp.recv(&mut got)).await {
            // The last of an empty report and a request; other reports are longer.
            Ok(Ok(20)) => break got,
            _ => assert!(Instant::now() < until, "nobody asks"),
        }
    };
    assert_eq!((asked[1], &asked[8..12], &asked[16..20]), (REPORT, &LOSS[..], &SSRC.to_be_bytes()[..]));
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_on_the_connection_where_nothing_is_offered() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut client = RawClient::connect(hall.rtsp).await;
    client.record(&device, "door").await;
    let got = sent_to(&mut client, Duration::from_secs(11)).await;
    assert!(got.is_empty(), "{got:?}");
    hall.close().await;
}
