//! The two directions of a socket, as the connection needs them.
//!
//! Only this file knows what carries the bytes. An encrypted transport differs in one thing: it
//! cannot take bytes from a file by itself, so it would send what [`super::delivery`] has copied.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BufMut as _;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What comes from the client.
pub(super) struct Incoming(OwnedReadHalf);

/// What goes to the client. A clone is the same way, for whoever sends on another thread.
#[derive(Clone)]
pub(super) struct Outgoing(Arc<Way>);

struct Way {
    half: OwnedWriteHalf,
    /// Bytes a second; [`UNBOUNDED`] for all there is.
    rate: AtomicU64,
}

/// What the kernel takes for no bound.
const UNBOUNDED: u64 = u64::MAX;

pub(super) fn split(stream: TcpStream) -> (Incoming, Outgoing) {
    let (read, write) = stream.into_split();
    (Incoming(read), Outgoing(Arc::new(Way { half: write, rate: AtomicU64::new(UNBOUNDED) })))
}

impl Incoming {
    /// Waits until there is something to read, without a buffer to read it into.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what is there, at most `max` bytes, to the end of `buffer`, which has room for them.
    /// 0 means that the client sends no more.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        debug_assert!(max > 0 && buffer.capacity() - buffer.len() >= max);
        self.0.read_buf(&mut buffer.limit(max)).await
    }
}

impl Outgoing {
    /// Sends some of the bytes and tells how many. `more` says that others follow at once, so that
    /// the kernel does not send a small packet before them.
    pub(super) async fn send(&self, bytes: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let stream = self.stream();
        let flags = if more { SendFlags::MORE } else { SendFlags::empty() } | SendFlags::NOSIGNAL;
        let send = || {
            let control = &mut SendAncillaryBuffer::default();
            rustix::net::sendmsg(stream, bytes, control, flags).map_err(io::Error::from)
        };
        stream.async_io(Interest::WRITABLE, send).await
    }

    /// Sends some bytes of a file if the socket takes any now: `None` if it does not, 0 if the file
    /// ends at `position`. Blocks for the disk if the range is not in the page cache.
    pub(super) fn try_send_file(
        &self,
        file: &File,
        position: u64,
        len: usize,
    ) -> io::Result<Option<usize>> {
        let stream = self.stream();
        let mut at = position;
        let sent = stream.try_io(Interest::WRITABLE, || {
            rustix::fs::sendfile(stream, file, Some(&mut at), len).map_err(io::Error::from)
        });
        match sent {
            Ok(sent) => Ok(Some(sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the socket takes bytes.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream().writable().await
    }

    /// From now on the kernel sends no faster, and evenly; `None` for as fast as it goes.
    pub(super) fn bound_rate(&self, bytes_per_second: Option<u64>) {
        let rate = bytes_per_second.unwrap_or(UNBOUNDED);
        if self.0.rate.swap(rate, Ordering::Relaxed) == rate {
            return;
        }
        if let Err(error) = set_rate(self.stream(), rate) {
            tracing::debug!(%error, rate, "the kernel keeps the rate of a connection");
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) fn finish(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self.stream(), Shutdown::Write)?)
    }

    fn stream(&self) -> &TcpStream {
        self.0.half.as_ref()
    }
}

fn set_rate(stream: &TcpStream, rate: u64) -> io::Result<()> {
    let (socket, value) = (stream.as_raw_fd(), (&raw const rate).cast());
    let len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the value lives until the call is over, and is as long as it is told.
    let code =
        unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, value, len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn rate(out: &Outgoing) -> u64 {
        let (mut rate, mut len) = (0_u64, size_of::<u64>() as libc::socklen_t);
        let (socket, value) = (out.stream().as_raw_fd(), (&raw mut rate).cast());
        // SAFETY: the kernel writes no more than it is told, into what lives until the call is over.
        let code = unsafe {
            libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, value, &mut len)
        };
        assert_eq!((code, len as usize), (0, size_of::<u64>()));
        rate
    }

    #[tokio::test]
    async fn the_kernel_keeps_to_a_rate_until_it_is_taken_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_incoming, out) = split(stream);
        assert_eq!(rate(&out), UNBOUNDED);
        out.bound_rate(Some(123_456));
        assert_eq!(rate(&out), 123_456);
        out.clone().bound_rate(None);
        assert_eq!(rate(&out), UNBOUNDED);
    }
}
