//! Places for connections: whoever opens them without end takes no files from the archive, and who says nothing gives the
//! place back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at the same time: a browser opens six, and keeps one for what changes.
pub const MOST: usize = 200;
/// Time in which a new one must ask for something.
pub const SILENCE: Duration = Duration::from_secs(20);

/// A listener with so many places.
pub struct Seated<L> {
    listener: L,
    places: Arc<Semaphore>,
    silence: Duration,
}

impl<L> Seated<L> {
    /// As many at once, and as long for the first word.
    pub fn new(listener: L, most: usize, silence: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)), silence }
    }
}

impl<L: Listener> Listener for Seated<L> {
    type Io = Seat<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Whoever comes when all places are taken waits in the system's queue. The semaphore is never closed.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return std::future::pending().await;
        };
        let (io, from) = self.listener.accept().await;
        let silent = Some(Box::pin(tokio::time::sleep(self.silence)));
        (Seat { io, silent, _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that has its place.
pub struct Seat<Io> {
    io: Io,
    /// Ends the wait for the first word.
    silent: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Seat<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        if read.is_ready() {
            this.silent = None;
        } else if let Some(silent) = &mut this.silent
            && silent.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Seat<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn who_says_nothing_gives_the_place_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut seated = Seated::new(listener, 1, Duration::from_millis(50));
        let _silent = TcpStream::connect(at).await.unwrap();
        let mut next = TcpStream::connect(at).await.unwrap();
        next.write_all(b"hello").await.unwrap();
        let (mut first, _) = seated.accept().await;
        let waiting = tokio::time::timeout(Duration::from_millis(20), seated.accept()).await;
        assert!(waiting.is_err(), "two in one place");
        let mut word = [0; 5];
        assert_eq!(first.read(&mut word).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(first);
        let (mut second, _) = seated.accept().await;
        second.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"hello");
        // Who has said something may think.
        tokio::time::sleep(Duration::from_millis(80)).await;
        let more = tokio::time::timeout(Duration::from_millis(50), second.read(&mut word)).await;
        assert!(more.is_err(), "cut off");
    }
}
