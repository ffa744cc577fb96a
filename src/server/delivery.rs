//! Sends ranges of files.
//!
//! Order: `resident? -> sendfile`, asked anew after every wait, since pages can go while a slow
//! client lets the socket fill up. Pages that are not resident are read by the cold threads first.
//! Pages that vanish again and again before they can be sent go through memory, so that a network
//! thread does not wait for a disk even then.

use std::io::{self, IoSlice};
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::aside::Aside;
use super::cold::{ColdReadError, ColdReader};
use super::limits::Limits;
use super::residency::Residency;
use super::transport::Outgoing;
use crate::metrics::SocketMetrics;
use crate::model::FileSlice;
use crate::task;

/// What one call sends. While it runs its thread sees no other connection's readiness, so its time
/// is felt in the latency of all others.
const SEND_STEP: u64 = 512 * 1024;
/// What the cold threads bring in at once, and how far ahead of it the kernel may read.
const COLD_STEP: u64 = 1 << 20;
/// How often a step's pages may vanish before they are copied.
const TOUCHES_MAX: u32 = 3;
/// A copied step is smaller: it costs memory for as long as the client takes it.
const COPY_STEP: u64 = 64 * 1024;

/// Sends file ranges for all connections of a server.
#[derive(Debug)]
pub(super) struct Delivery {
    residency: Residency,
    cold: ColdReader,
    aside: Aside,
    metrics: SocketMetrics,
}

/// A reply could not be sent to its end; the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The client is gone.
    #[error("cannot send: {0}")]
    Socket(#[source] io::Error),
    /// The file ends before the range does: it was truncated after the range was handed out.
    #[error("the file ends at {position}, {missing} bytes before its range does")]
    ShortFile {
        /// Where in the file.
        position: u64,
        /// Bytes that were promised to the client.
        missing: u64,
    },
    /// The range could not be read.
    #[error(transparent)]
    Read(#[from] ColdReadError),
}

impl Delivery {
    pub(super) fn new(limits: &Limits, aside: Aside, metrics: SocketMetrics) -> Self {
        let cold = ColdReader::new(limits, metrics.clone());
        Self { residency: Residency::detect(), cold, aside, metrics }
    }

    /// Sends bytes of memory, all of them. `more` says that others follow at once.
    pub(super) async fn send_bytes(
        &self,
        out: &Outgoing,
        bytes: &mut [IoSlice<'_>],
        more: bool,
        pace: &mut Pace<'_>,
    ) -> Result<(), SendError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = out.send(rest, more).await.map_err(SendError::Socket)?;
            self.metrics.sent_bytes.inc_by(sent as u64);
            pace.sent(sent as u64).await;
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// Sends a range of a file, all of it.
    pub(super) async fn send_slice(
        &self,
        out: &Outgoing,
        slice: &FileSlice,
        pace: &mut Pace<'_>,
    ) -> Result<(), SendError> {
        let mut rest = slice.clone();
        let mut touches = 0;
        while rest.len > 0 {
            let step = rest.len.min(SEND_STEP);
            if self.residency.is_resident(&rest.file, rest.position, step) {
                self.send_resident(out, &mut rest, step, pace).await?;
                touches = 0;
            } else if touches < TOUCHES_MAX {
                self.touch(&rest).await?;
                touches += 1;
            } else {
                self.send_copied(out, &mut rest, pace).await?;
            }
        }
        Ok(())
    }

    /// Sends a range of a file that gives way, all of it. `moved` is called whenever bytes went out.
    pub(super) async fn send_aside(
        self: &Arc<Self>,
        out: &Outgoing,
        slice: &FileSlice,
        moved: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), SendError> {
        out.bound_rate(self.aside.rate());
        let (delivery, out, slice) = (Arc::clone(self), out.clone(), slice.clone());
        let sending = self
            .aside
            .threads
            .spawn(async move { delivery.send_slice(&out, &slice, &mut Pace::new(&moved)).await });
        task::done(AbortOnDropHandle::new(sending)).await
    }

    /// One sendfile of a range that is in the page cache, or the wait for room in the socket.
    async fn send_resident(
        &self,
        out: &Outgoing,
        rest: &mut FileSlice,
        step: u64,
        pace: &mut Pace<'_>,
    ) -> Result<(), SendError> {
        let sent = out.try_send_file(&rest.file, rest.position, step as usize);
        match sent.map_err(SendError::Socket)? {
            None => out.writable().await.map_err(SendError::Socket),
            Some(0) => Err(SendError::ShortFile { position: rest.position, missing: rest.len }),
            Some(sent) => {
                self.metrics.sendfile_bytes.inc_by(sent as u64);
                advance(rest, sent as u64);
                pace.sent(sent as u64).await;
                Ok(())
            }
        }
    }

    async fn touch(&self, rest: &FileSlice) -> Result<(), SendError> {
        let step = rest.len.min(COLD_STEP);
        let ahead = (rest.len - step).min(COLD_STEP);
        self.cold.touch(&rest.file, rest.position, step as usize, ahead).await?;
        self.residency.check_sight(&rest.file, rest.position, step);
        Ok(())
    }

    async fn send_copied(
        &self,
        out: &Outgoing,
        rest: &mut FileSlice,
        pace: &mut Pace<'_>,
    ) -> Result<(), SendError> {
        let step = rest.len.min(COPY_STEP);
        let bytes = self.cold.copy(&rest.file, rest.position, step as usize).await?;
        self.send_bytes(out, &mut [IoSlice::new(&bytes)], false, pace).await?;
        self.metrics.file_copied_bytes.inc_by(step);
        advance(rest, step);
        Ok(())
    }
}

/// Lets others have their turn while much is sent to a client that is never slower than the loop.
pub(super) struct Pace<'a> {
    moved: &'a (dyn Fn() + Sync),
    since_yield: u64,
}

impl<'a> Pace<'a> {
    /// `moved` is called whenever bytes went out.
    pub(super) fn new(moved: &'a (dyn Fn() + Sync)) -> Self {
        Self { moved, since_yield: 0 }
    }

    async fn sent(&mut self, bytes: u64) {
        (self.moved)();
        self.since_yield += bytes;
        if self.since_yield >= SEND_STEP {
            self.since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn advance(rest: &mut FileSlice, sent: u64) {
    rest.position += sent;
    rest.len -= sent;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use futures::poll;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Builder;

    use super::*;
    use crate::server::transport;

    #[tokio::test]
    async fn pages_that_are_never_seen_in_the_page_cache_go_through_memory() {
        let metrics = SocketMetrics::unregistered();
        let cold = ColdReader::new(&Limits::default(), metrics.clone());
        let (residency, aside) = (Residency::blind(), Aside::here());
        let delivery = Delivery { residency, cold, aside, metrics: metrics.clone() };
        let (bytes, slice) = some_bytes(LEN);
        let (mut client, out) = connection().await;
        let mut received = vec![0; LEN];
        let moved = || ();
        let mut pace = Pace::new(&moved);
        let (sent, read) = tokio::join!(
            delivery.send_slice(&out, &slice, &mut pace),
            client.read_exact(&mut received)
        );
        sent.unwrap();
        read.unwrap();
        assert!(received == bytes);
        assert_eq!(metrics.file_copied_bytes.get(), LEN as u64);
        assert_eq!(metrics.sendfile_bytes.get(), 0);
    }

    #[tokio::test]
    async fn what_gives_way_is_sent_by_threads_that_give_way() {
        let threads = Builder::new_current_thread().enable_all().build().unwrap();
        let aside = Aside { threads: threads.handle().clone(), ..Aside::here() };
        let metrics = SocketMetrics::unregistered();
        let delivery = Arc::new(Delivery::new(&Limits::default(), aside, metrics.clone()));
        let (bytes, slice) = some_bytes(LEN);
        let (mut client, out) = connection().await;
        let mut sending = pin!(delivery.send_aside(&out, &slice, || ()));
        for _ in 0..100 {
            assert!(poll!(&mut sending).is_pending(), "nobody gives that runtime a thread");
            tokio::task::yield_now().await;
        }
        assert_eq!(metrics.sendfile_bytes.get(), 0);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let given = std::thread::spawn(move || drop(threads.block_on(stopped)));
        let mut received = vec![0; LEN];
        let (sent, read) = tokio::join!(sending, client.read_exact(&mut received));
        sent.unwrap();
        read.unwrap();
        assert!(received == bytes);
        stop.send(()).unwrap();
        given.join().unwrap();
    }

    #[tokio::test]
    async fn what_gives_way_leaves_evenly_at_the_rate_of_replays() {
        let aside = Aside::here();
        aside.replays.set_share(Some(16 << 20));
        let (limits, metrics) = (Limits::default(), SocketMetrics::unregistered());
        let delivery = Arc::new(Delivery::new(&limits, aside, metrics));
        let (bytes, slice) = some_bytes(8 << 20);
        let (mut client, out) = connection().await;
        let (mut received, began) = (vec![0; bytes.len()], Instant::now());
        let (sent, read) = tokio::join!(
            delivery.send_aside(&out, &slice, || ()),
            client.read_exact(&mut received)
        );
        sent.unwrap();
        read.unwrap();
        assert!(received == bytes);
        // Half a second, less what the kernel lets go before it knows the way: ten packets of 64 KiB.
        assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
    }

    const LEN: usize = 300_000;

    fn some_bytes(len: usize) -> (Vec<u8>, FileSlice) {
        let bytes: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (bytes, FileSlice::new(Arc::new(file), 0, len as u64))
    }

    async fn connection() -> (TcpStream, Outgoing) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, out) = transport::split(listener.accept().await.unwrap().0);
        (client, out)
    }
}
