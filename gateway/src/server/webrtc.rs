//! The WebRTC listener: bound so that its number is this process's, and taking no session.

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use super::told_to_stop;

/// Closes what connects and throws away what arrives, until the server stops.
pub(super) async fn refuse((tcp, udp): (TcpListener, UdpSocket), mut stopped: watch::Receiver<bool>) {
    let mut datagram = [0; 2048];
    loop {
        let failed = tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            accepted = tcp.accept() => accepted.is_err(),
            received = udp.recv_from(&mut datagram) => received.is_err(),
        };
        if failed {
            tokio::time::sleep(super::http::ACCEPT_PAUSE).await;
        }
    }
}
