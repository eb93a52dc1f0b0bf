//! ICE over TCP (RFC 6544) for those whom UDP does not reach: connections that carry what would be
//! datagrams, each behind its length in 16 bits (RFC 4571).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Server;
use super::routes::{Datagram, Via};

/// The longest that is taken: more than any path's MTU, so that a length says nothing about memory.
const LONGEST: usize = 2048;
/// Datagrams that may wait for the other end to read; reports are not waited for.
const OUTBOX: usize = 64;

/// Serves a connection until either end closes it. It belongs to the session that its first message,
/// a STUN request, is for; without such a message in time it is closed.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let (mut reader, writer) = stream.into_split();
    let Ok(Some(first)) = timeout(server.limits.handshake, read(&mut reader)).await else { return };
    let Some(inbox) = server.routes.find(peer, &first) else { return };
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let writing = tokio::spawn(write(writer, outgoing));
    let mut next = Some(first);
    while let Some(bytes) = next {
        let arrival = server.clock.monotonic();
        let datagram = Datagram {
            source: peer,
            via: Via::Tcp(local.ip().to_canonical(), outbox.clone()),
            bytes,
            arrival,
        };
        if inbox.send(datagram).await.is_err() {
            break;
        }
        next = tokio::select! {
            next = read(&mut reader) => next,
            () = inbox.closed() => None,
        };
    }
    writing.abort();
}

/// The next datagram; `None` when there is none, or its length is beyond what is taken.
async fn read(reader: &mut OwnedReadHalf) -> Option<Bytes> {
    let length = usize::from(reader.read_u16().await.ok()?);
    if length > LONGEST {
        return None;
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).await.ok()?;
    Some(bytes.into())
}

async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(contents) = outgoing.recv().await {
        let Ok(length) = u16::try_from(contents.len()) else { continue };
        let framed = [&length.to_be_bytes()[..], &contents].concat();
        if writer.write_all(&framed).await.is_err() {
            return;
        }
    }
}
