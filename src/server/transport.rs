//! The two directions of a socket, as the connection needs them.
//!
//! Only this file knows what carries the bytes. An encrypted transport differs in one thing: it
//! cannot take bytes from a file by itself, so it would send what [`super::delivery`] has copied.

use std::fs::File;
use std::io::{self, IoSlice};

use bytes::BufMut as _;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// What comes from the client.
pub(super) struct Incoming<'a>(ReadHalf<'a>);

/// What goes to the client.
pub(super) struct Outgoing<'a>(WriteHalf<'a>);

pub(super) fn split(stream: &mut TcpStream) -> (Incoming<'_>, Outgoing<'_>) {
    let (read, write) = stream.split();
    (Incoming(read), Outgoing(write))
}

impl Incoming<'_> {
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

impl Outgoing<'_> {
    /// Sends some of the bytes and tells how many. `more` says that others follow at once, so that
    /// the kernel does not send a small packet before them.
    pub(super) async fn send(&self, bytes: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let stream = self.0.as_ref();
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
        let stream = self.0.as_ref();
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
        self.0.writable().await
    }

    /// Tells the client that nothing more comes.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}
