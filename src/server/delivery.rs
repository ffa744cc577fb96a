//! Sends ranges of files.
//!
//! Order: `resident? -> sendfile`, asked anew after every wait, since pages can go while a slow
//! client lets the socket fill up. Pages that are not resident are read by the cold threads first.
//! Pages that vanish again and again before they can be sent go through memory, so that a network
//! thread does not wait for a disk even then.

use std::io::{self, IoSlice};

use super::cold::{ColdReadError, ColdReader};
use super::limits::Limits;
use super::residency::Residency;
use super::transport::Outgoing;
use crate::metrics::SocketMetrics;
use crate::model::FileSlice;

/// What is asked for, read and sent at once. Others on the same thread have their turn in between.
pub(super) const STEP: u64 = 1 << 20;
/// How often a step's pages may vanish before they are copied.
const TOUCHES_MAX: u32 = 3;
/// A copied step is smaller: it costs memory for as long as the client takes it.
const COPY_STEP: u64 = 64 * 1024;

/// Sends file ranges for all connections of a server.
#[derive(Debug)]
pub(super) struct Delivery {
    residency: Residency,
    cold: ColdReader,
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
    pub(super) fn new(limits: &Limits, metrics: SocketMetrics) -> Self {
        let cold = ColdReader::new(limits, metrics.clone());
        Self { residency: Residency::detect(), cold, metrics }
    }

    /// Sends bytes of memory, all of them.
    pub(super) async fn send_bytes(
        &self,
        out: &Outgoing<'_>,
        bytes: &mut [IoSlice<'_>],
        more: bool,
        mut on_progress: impl FnMut(),
    ) -> Result<(), SendError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = out.send(rest, more).await.map_err(SendError::Socket)?;
            self.metrics.sent_bytes.inc_by(sent as u64);
            on_progress();
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// Sends a range of a file, all of it.
    pub(super) async fn send_slice(
        &self,
        out: &Outgoing<'_>,
        slice: &FileSlice,
        mut on_progress: impl FnMut(),
    ) -> Result<(), SendError> {
        let mut rest = slice.clone();
        let mut touches = 0;
        while rest.len > 0 {
            let step = rest.len.min(STEP);
            if self.residency.is_resident(&rest.file, rest.position, step) {
                self.send_resident(out, &mut rest, step).await?;
                touches = 0;
            } else if touches < TOUCHES_MAX {
                let ahead = (rest.len - step).min(STEP);
                self.cold.touch(&rest.file, rest.position, step as usize, ahead).await?;
                self.residency.check_sight(&rest.file, rest.position, step);
                touches += 1;
                continue;
            } else {
                self.send_copied(out, &mut rest).await?;
            }
            on_progress();
        }
        Ok(())
    }

    /// One sendfile of a range that is in the page cache, or the wait for room in the socket.
    async fn send_resident(
        &self,
        out: &Outgoing<'_>,
        rest: &mut FileSlice,
        step: u64,
    ) -> Result<(), SendError> {
        let sent = out.try_send_file(&rest.file, rest.position, step as usize);
        match sent.map_err(SendError::Socket)? {
            None => out.writable().await.map_err(SendError::Socket),
            Some(0) => Err(SendError::ShortFile { position: rest.position, missing: rest.len }),
            Some(sent) => {
                self.metrics.sendfile_bytes.inc_by(sent as u64);
                advance(rest, sent as u64);
                // A client as fast as this loop would never make it wait.
                if sent as u64 == STEP {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }

    async fn send_copied(&self, out: &Outgoing<'_>, rest: &mut FileSlice) -> Result<(), SendError> {
        let step = rest.len.min(COPY_STEP);
        let bytes = self.cold.copy(&rest.file, rest.position, step as usize).await?;
        self.send_bytes(out, &mut [IoSlice::new(&bytes)], false, || ()).await?;
        self.metrics.file_copied_bytes.inc_by(step);
        advance(rest, step);
        Ok(())
    }
}

fn advance(rest: &mut FileSlice, sent: u64) {
    rest.position += sent;
    rest.len -= sent;
}
