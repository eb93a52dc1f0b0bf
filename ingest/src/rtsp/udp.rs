//! The UDP ports of one track, and waiting on those of all.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use tokio::net::UdpSocket;

/// Tries at finding an even port whose successor is free too.
const PAIR_TRIES: usize = 16;
/// Room for datagrams made at a time, and the least room to receive one in: more than any path's MTU.
const CHUNK: usize = 64 * 1024;
const LARGEST: usize = 16 * 1024;
/// Bytes the kernel keeps for each port: more than a key frame that comes in one burst.
const KERNEL_BUFFER: usize = 1 << 20;
/// An RTP packet without payload, and a receiver report without blocks (RFC 3550 §5.1 and §6.4.2).
const EMPTY_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];
/// Datagrams of strangers dropped in one go.
const MAX_STRANGERS: usize = 64;

/// Where RTP and RTCP of one track come in.
#[derive(Debug)]
pub(crate) struct UdpPair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// The only address that is listened to.
    peer: IpAddr,
    /// Where reports go: what SETUP named, until RTCP comes from elsewhere (a NAT's port).
    reports_to: SocketAddr,
}

/// A datagram of the peer.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) rtcp: bool,
    pub(crate) payload: Bytes,
}

impl UdpPair {
    /// Opens an even port and its odd successor (RFC 3550 §11) on `local`, for packets of `peer`,
    /// whose RTCP port is `peer_rtcp`.
    pub(crate) async fn open(local: IpAddr, peer: IpAddr, peer_rtcp: u16) -> io::Result<Self> {
        let reports_to = SocketAddr::new(peer, peer_rtcp);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PAIR_TRIES {
            let rtp = UdpSocket::bind((local, 0)).await?;
            let port = rtp.local_addr()?.port();
            if port % 2 != 0 {
                continue;
            }
            match UdpSocket::bind((local, port + 1)).await {
                Ok(rtcp) => {
                    enlarge(&rtp);
                    return Ok(Self { rtp, rtcp, peer, reports_to });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The ports of RTP and RTCP.
    pub(crate) fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.rtp.local_addr()?.port(), self.rtcp.local_addr()?.port()))
    }

    /// Learns the ports that the peer sends from, and sends it a little from both of our own, so that a
    /// firewall between lets its packets in.
    pub(crate) fn open_way(&mut self, rtp: u16, rtcp: u16) {
        self.reports_to = SocketAddr::new(self.peer, rtcp);
        let _ = self.rtp.try_send_to(&EMPTY_RTP, SocketAddr::new(self.peer, rtp));
        self.report(&EMPTY_REPORT);
    }

    /// Sends a report, if the socket takes it at once: the next one comes soon.
    pub(crate) fn report(&self, packet: &[u8]) {
        let _ = self.rtcp.try_send_to(packet, self.reports_to);
    }

    /// The next datagram of the peer, if one is there. Those of others are dropped.
    pub(crate) fn try_receive(&mut self, buffer: &mut BytesMut) -> Option<Datagram> {
        for (rtcp, socket) in [(false, &self.rtp), (true, &self.rtcp)] {
            for _ in 0..MAX_STRANGERS {
                if buffer.capacity() < LARGEST {
                    buffer.reserve(CHUNK);
                }
                // Errors are those of earlier reports (ICMP), or there is nothing to read.
                let Ok((_, from)) = socket.try_recv_buf_from(buffer) else { break };
                let payload = buffer.split().freeze();
                if from.ip().to_canonical() != self.peer.to_canonical() {
                    continue;
                }
                if rtcp {
                    self.reports_to = from;
                }
                return Some(Datagram { rtcp, payload });
            }
        }
        None
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = [&self.rtp, &self.rtcp].map(|socket| socket.poll_recv_ready(context).is_ready());
        if ready.contains(&true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// As far as the system lets us: beyond `net.core.rmem_max` only with the right to administer it.
fn enlarge(socket: &UdpSocket) {
    if set_socket_recv_buffer_size_force(socket, KERNEL_BUFFER).is_err() {
        let _ = set_socket_recv_buffer_size(socket, KERNEL_BUFFER);
    }
}

/// Waits until one of the pairs may have a datagram; for ever when there are none.
pub(crate) async fn readable(pairs: impl Iterator<Item = &UdpPair> + Clone) {
    poll_fn(|context| {
        // All are polled: each keeps only the waker it was last given.
        let ready = pairs.clone().map(|pair| pair.poll_ready(context).is_ready());
        if ready.fold(false, |any, ready| any | ready) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn takes_the_peers_datagrams_and_reports_back() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let camera = UdpSocket::bind((local, 0)).await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let mut pair = UdpPair::open(local, local, 9).await.unwrap();
        let (rtp, rtcp) = pair.ports().unwrap();
        assert_eq!((rtp % 2, rtcp), (0, rtp + 1));

        stranger.send_to(b"evil", (local, rtp)).await.unwrap();
        camera.send_to(b"rtp", (local, rtp)).await.unwrap();
        camera.send_to(b"rtcp", (local, rtcp)).await.unwrap();
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        while found.len() < 2 {
            tokio::time::timeout(Duration::from_secs(5), readable([&pair].into_iter())).await.unwrap();
            while let Some(datagram) = pair.try_receive(&mut buffer) {
                found.push((datagram.rtcp, datagram.payload));
            }
        }
        found.sort();
        assert_eq!(found, [(false, Bytes::from_static(b"rtp")), (true, Bytes::from_static(b"rtcp"))]);

        pair.report(b"report");
        let mut got = [0; 16];
        assert_eq!(camera.recv(&mut got).await.unwrap(), 6, "reports follow the source of RTCP");
    }
}
