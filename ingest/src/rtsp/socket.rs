//! The TCP socket below a connection: woken by the system while a client talks, read in the common
//! [`Beat`] once it records.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::ioctl_fionread;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::{client, server};

use super::beat::Beat;

/// A TCP socket.
pub(crate) struct Socket(Mode);

enum Mode {
    /// The system tells when it can be read or written.
    Woken(TcpStream),
    /// The system is not asked: it would wake this process for every packet, even one that rests.
    Paced(Paced),
    /// It could be taken neither way.
    Broken,
}

struct Paced {
    stream: std::net::TcpStream,
    beat: Beat,
    /// Over once the socket may be looked at again.
    rest: Pin<Box<Sleep>>,
}

/// A byte stream over a [`Socket`].
pub(crate) trait OverTcp {
    /// The socket below.
    fn socket(&mut self) -> &mut Socket;
}

impl Socket {
    /// A socket that has just been accepted or connected.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Mode::Woken(stream))
    }

    /// Reads and writes in the beat from now on.
    ///
    /// # Errors
    /// When the system does not let go of the socket, which is closed then.
    pub(crate) fn pace(&mut self, beat: Beat) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, Mode::Broken) {
            Mode::Woken(stream) => {
                let rest = Box::pin(sleep_until(beat.next()));
                Mode::Paced(Paced { stream: stream.into_std()?, beat, rest })
            }
            mode @ (Mode::Paced(_) | Mode::Broken) => mode,
        };
        Ok(())
    }
}

impl Paced {
    /// Tries `attempt` at once if the rest is over, and else, or where the socket is not ready,
    /// again at the next beat.
    fn attempt<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&std::net::TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.rest.as_mut().poll(cx));
            match attempt(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.rest(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn rest(&mut self) {
        self.rest.as_mut().reset(self.beat.next());
    }
}

fn broken() -> io::Error {
    io::Error::from(ErrorKind::NotConnected)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Mode::Woken(stream) => Pin::new(stream).poll_read(cx, into),
            Mode::Paced(paced) => {
                let read = paced.attempt(cx, |mut stream| {
                    // No more is cleared and read than there is; at the end of the stream, and where nothing came,
                    // there is nothing, which only a read tells apart.
                    let waiting = usize::try_from(ioctl_fionread(stream)?).unwrap_or(usize::MAX);
                    let room = into.remaining().min(waiting.max(1));
                    let read = stream.read(into.initialize_unfilled_to(room))?;
                    Ok((read, read >= waiting))
                });
                let (read, all) = ready!(read)?;
                into.advance(read);
                if all {
                    paced.rest();
                }
                Poll::Ready(Ok(()))
            }
            Mode::Broken => Poll::Ready(Err(broken())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Mode::Woken(stream) => Pin::new(stream).poll_write(cx, bytes),
            Mode::Paced(paced) => paced.attempt(cx, |mut stream| stream.write(bytes)),
            Mode::Broken => Poll::Ready(Err(broken())),
        }
    }

    /// TCP sockets keep nothing back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Mode::Woken(stream) => Pin::new(stream).poll_shutdown(cx),
            Mode::Paced(paced) => Poll::Ready(paced.stream.shutdown(Shutdown::Write)),
            Mode::Broken => Poll::Ready(Ok(())),
        }
    }
}

impl OverTcp for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }
}

impl OverTcp for server::TlsStream<Socket> {
    fn socket(&mut self) -> &mut Socket {
        self.get_mut().0
    }
}

impl OverTcp for client::TlsStream<Socket> {
    fn socket(&mut self) -> &mut Socket {
        self.get_mut().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn nothing_is_lost_between_waking_and_pacing() {
        let (mut socket, mut client) = pair().await;
        client.write_all(b"before").await.unwrap();
        let mut got = vec![0; 3];
        socket.read_exact(&mut got).await.unwrap();
        socket.pace(Beat::start()).unwrap();
        let more: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let sent = more.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client
        });
        let mut rest = vec![0; 3 + more.len()];
        socket.read_exact(&mut rest).await.unwrap();
        assert_eq!((got.as_slice(), &rest[..3], &rest[3..]), (&b"bef"[..], &b"ore"[..], more.as_slice()));
        drop(writer.await.unwrap());
        assert_eq!(socket.read(&mut got).await.unwrap(), 0, "the end is seen, too");
    }

    #[tokio::test]
    async fn a_reply_waits_for_a_slow_reader() {
        let (mut socket, mut client) = pair().await;
        socket.pace(Beat::start()).unwrap();
        let reply = vec![7; 20_000_000];
        let expected = reply.len();
        let writing = tokio::spawn(async move {
            socket.write_all(&reply).await.unwrap();
            socket.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap();
        assert_eq!(got.len(), expected);
    }
}
