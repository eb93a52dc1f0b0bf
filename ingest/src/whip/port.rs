//! The UDP port that all sessions share: many datagrams in one system call, each with the address it
//! was sent to.
//!
//! Datagrams are read as soon as they are there, not in the beat in which RTSP connections read: a
//! publisher tells from the moments of their arrival how much the line can carry
//! (transport-wide congestion control), and would take every beat for a jam.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Buffers filled by one system call, and the bytes of each: the kernel joins datagrams of one source.
const BUFFERS: usize = 8;
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that the kernel keeps: the key frames of hundreds of publishers.
const KERNEL_BUFFER: usize = 16 << 20;

/// The socket.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// A datagram, where it came from, and which of this machine's addresses it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    pub(super) source: SocketAddr,
    pub(super) to: IpAddr,
    pub(super) bytes: &'a [u8],
}

/// Where datagrams are read into.
#[derive(Debug)]
pub(super) struct Buffers {
    bytes: Vec<Vec<u8>>,
    metas: [RecvMeta; BUFFERS],
    filled: usize,
}

impl Default for Buffers {
    fn default() -> Self {
        let bytes = std::iter::repeat_with(|| vec![0; BUFFER_BYTES]).take(BUFFERS).collect();
        Self { bytes, metas: [RecvMeta::default(); BUFFERS], filled: 0 }
    }
}

impl Port {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        // As far as the system lets us: beyond `net.core.rmem_max` only with the right to administer it.
        if set_socket_recv_buffer_size_force(&socket, KERNEL_BUFFER).is_err() {
            let _ = set_socket_recv_buffer_size(&socket, KERNEL_BUFFER);
        }
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local })
    }

    /// The bound address.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits for datagrams and reads what is there.
    ///
    /// # Errors
    /// Of the socket; the next call may succeed.
    pub(super) async fn receive(&self, into: &mut Buffers) -> io::Result<()> {
        into.filled = 0;
        let Buffers { bytes, metas, filled } = into;
        let mut slices: Vec<IoSliceMut<'_>> =
            bytes.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let read = || self.state.recv((&self.socket).into(), &mut slices, metas);
        *filled = self.socket.async_io(Interest::READABLE, read).await?;
        Ok(())
    }

    /// The datagrams read last.
    pub(super) fn datagrams<'a>(&self, buffers: &'a Buffers) -> impl Iterator<Item = Received<'a>> + use<'a> {
        let unknown = self.local.ip();
        buffers.bytes.iter().zip(&buffers.metas).take(buffers.filled).flat_map(move |(bytes, meta)| {
            let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let to = meta.dst_ip.unwrap_or(unknown).to_canonical();
            let joined = bytes.get(..meta.len).unwrap_or_default();
            joined.chunks(meta.stride.max(1)).map(move |bytes| Received { source, to, bytes })
        })
    }

    /// Sends a datagram from one of this machine's addresses, if the socket takes it at once. What is
    /// lost is sent again by whoever waits for it.
    pub(super) fn send(&self, contents: &[u8], destination: SocketAddr, from: IpAddr) {
        let dual = |ip: IpAddr| match ip {
            IpAddr::V4(v4) if self.local.is_ipv6() => v4.to_ipv6_mapped().into(),
            ip => ip,
        };
        let transmit = Transmit {
            destination: SocketAddr::new(dual(destination.ip()), destination.port()),
            ecn: None,
            contents,
            segment_size: None,
            src_ip: (!from.is_unspecified()).then(|| dual(from)),
        };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        let _ = self.socket.try_io(Interest::WRITABLE, send);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn received(port: &Port) -> Vec<(SocketAddr, IpAddr, Vec<u8>)> {
        let mut buffers = Buffers::default();
        tokio::time::timeout(Duration::from_secs(5), port.receive(&mut buffers)).await.unwrap().unwrap();
        port.datagrams(&buffers).map(|one| (one.source, one.to, one.bytes.to_vec())).collect()
    }

    #[tokio::test]
    async fn a_wildcard_port_answers_from_the_address_that_was_called() {
        for bound in ["0.0.0.0:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(bound).await else { continue };
            let port = Port::new(socket).unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let called = SocketAddr::from(([127, 0, 0, 3], port.local().port()));
            client.send_to(b"hello", called).await.unwrap();
            let got = received(&port).await;
            assert_eq!(got, [(client.local_addr().unwrap(), called.ip(), b"hello".to_vec())]);
            port.send(b"welcome", got[0].0, got[0].1);
            let mut answer = [0; 16];
            let (length, from) = tokio::time::timeout(Duration::from_secs(5), client.recv_from(&mut answer))
                .await
                .unwrap()
                .unwrap();
            assert_eq!((&answer[..length], from), (&b"welcome"[..], called));
        }
    }
}
