//! What anyone may send to an open port, and sessions that stop half-way.

use std::time::Duration;

use base::Limits;
use ingest::whip::WhipError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::all_stored;
use crate::hall::Hall;
use crate::publisher::{Publisher, Sends, identity, name, offer};

/// Streams that publishers offer a session for who are never heard of again, and how often each.
const STREAMS: usize = 100;
const ROUNDS: usize = 10;

#[tokio::test]
async fn a_thousand_half_made_sessions_are_given_up_and_their_streams_are_free() {
    let limits =
        Limits { handshake: Duration::from_millis(500), webrtc_sessions: STREAMS, ..Limits::default() };
    let hall = Hall::with(limits).await;
    let device = hall.device("cam-*", "publish,create").await;
    let by = identity(&hall, &device);
    let (_, _, offer, _) = offer(Sends::H264);
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        for number in 0..STREAMS {
            match hall.whip.publish(&name(&format!("cam-{number}")), &by, offer.as_bytes()).await {
                Ok(made) => ids.push(made.id),
                Err(error) => panic!("{error}"),
            }
        }
        let beyond = hall.whip.publish(&name("cam-one-more"), &by, offer.as_bytes()).await;
        // The first may be gone by now on a slow machine; then there is room again.
        assert!(matches!(beyond, Err(WhipError::Full(STREAMS)) | Ok(_)), "{beyond:?}");
        let given_up = async {
            while hall.whip.open() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("they are given up");
        for number in 0..STREAMS {
            hall.ended(&format!("cam-{number}")).await;
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), ROUNDS * STREAMS, "each session has a name of its own");
    hall.close().await;
}

#[tokio::test]
async fn strangers_disturb_nobody() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut camera = Publisher::start(&hall, &device, "door").await.unwrap();
    camera.connect().await;
    let ufrag = camera.rtc.direct_api().local_ice_credentials().ufrag;
    let ours =
        camera.session.answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut forged = stun(&format!("{ours}:{ufrag}"));
    forged.extend([0, 8, 0, 20]);
    forged.extend([7; 20]);
    for round in 0u8..200 {
        for datagram in [
            stun("nobody:here"),
            stun(&format!("{ours}:{ufrag}")),
            forged.clone(),
            [&[22, 254, 253][..], &[round; 60]].concat(),
            [&[128, 96][..], &[round; 300]].concat(),
            [&[128, 200][..], &[round; 60]].concat(),
            vec![round; usize::from(round)],
        ] {
            let _ = stranger.send_to(&datagram, hall.webrtc).await;
        }
    }
    camera.send_for(Duration::from_secs(1)).await;
    camera.finish(&hall, "door").await;
    assert!(all_stored(&hall.fragments("door"), &camera));
    hall.close().await;
}

#[tokio::test]
async fn connections_of_strangers_are_closed() {
    let hall = Hall::with(Limits { handshake: Duration::from_millis(300), ..Limits::default() }).await;
    let unknown = stun("nobody:here");
    let length = u16::try_from(unknown.len()).unwrap().to_be_bytes();
    let messages = [
        [&length[..], &unknown].concat(),
        vec![0xff; 4],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0],
        vec![],
    ];
    for message in messages {
        let mut stranger = TcpStream::connect(hall.webrtc).await.unwrap();
        stranger.write_all(&message).await.unwrap();
        let mut answer = [0; 16];
        let read = tokio::time::timeout(Duration::from_secs(10), stranger.read(&mut answer)).await.unwrap();
        assert_eq!(read.unwrap_or(0), 0, "{message:?}");
    }
    hall.close().await;
}

/// A binding request to this user name, without what proves that its sender knows the password.
fn stun(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut bytes = vec![0, 1, 0, u8::try_from(padded + 4).unwrap(), 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([9; 12]);
    bytes.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
    bytes.extend(username.as_bytes());
    bytes.resize(24 + padded, 0);
    bytes
}
