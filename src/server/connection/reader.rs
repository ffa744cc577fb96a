//! Cuts the client's bytes into frames.
//!
//! The length is checked before anything is reserved for it, and memory is charged only when the
//! first bytes of a large frame are here: a length alone costs nothing. Small frames are cut out
//! of what one read brought; a large one is received right into the buffer that carries it on.

use std::sync::Arc;

use bytes::Bytes;

use super::super::buffers::{Charge, FrameMemory};
use super::super::transport::Incoming;
use super::ended::Ended;
use super::watchdog::Progress;
use crate::metrics::SocketMetrics;
use crate::wire::exchange::RequestFrame;

/// What one read asks for; frames up to this are copied out of it.
const INPUT_BYTES: usize = 16 * 1024;
const LENGTH_BYTES: usize = 4;

/// The reading half of a connection.
pub(super) struct Reader {
    incoming: Incoming,
    /// Received and not yet cut into frames: `input[start..]`. Without memory while idle.
    input: Vec<u8>,
    start: usize,
    frame_bytes_max: usize,
    memory: Arc<FrameMemory>,
    progress: Arc<Progress>,
    metrics: SocketMetrics,
}

impl Reader {
    pub(super) fn new(
        incoming: Incoming,
        frame_bytes_max: usize,
        memory: Arc<FrameMemory>,
        progress: Arc<Progress>,
        metrics: SocketMetrics,
    ) -> Self {
        let input = Vec::new();
        Self { incoming, input, start: 0, frame_bytes_max, memory, progress, metrics }
    }

    /// The next frame, without its length. When dropped before it is done, the connection can not
    /// be read any further.
    ///
    /// # Errors
    /// When the stream ends, between frames or within one, or the client breaks the protocol.
    pub(super) async fn next(&mut self) -> Result<Bytes, Ended> {
        loop {
            if let Some(len) = self.announced()? {
                if self.input.len() - self.start >= LENGTH_BYTES + len {
                    return self.small(len).await;
                }
                if self.input.len() - self.start == INPUT_BYTES {
                    return self.large(len).await;
                }
            }
            self.fill().await?;
        }
    }

    /// The length of the frame at the front, if its four bytes are here.
    fn announced(&self) -> Result<Option<usize>, Ended> {
        let Some(bytes) = self.input[self.start..].first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*bytes);
        match usize::try_from(length) {
            Ok(len) if len > self.frame_bytes_max => {}
            Ok(length) if length < RequestFrame::LEN_MIN => {
                return Err(Ended::FrameTooShort { length, min: RequestFrame::LEN_MIN });
            }
            Ok(len) => return Ok(Some(len)),
            Err(_) => {}
        }
        Err(Ended::FrameLength { length, max: self.frame_bytes_max })
    }

    /// A frame that is wholly here.
    async fn small(&mut self, len: usize) -> Result<Bytes, Ended> {
        let charge = self.charge(len).await;
        let begin = self.start + LENGTH_BYTES;
        let frame = self.input[begin..begin + len].to_vec();
        self.start = begin + len;
        self.progress.frame_done();
        Ok(charge.freeze(frame))
    }

    /// A frame of which more is to come than the input holds.
    async fn large(&mut self, len: usize) -> Result<Bytes, Ended> {
        let charge = self.charge(len).await;
        self.progress.frame_begun();
        let mut frame = self.memory.take(len)?;
        frame.extend_from_slice(&self.input[self.start + LENGTH_BYTES..]);
        self.input.clear();
        self.start = 0;
        while frame.len() < len {
            let missing = len - frame.len();
            let read = self.incoming.read(&mut frame, missing).await.map_err(Ended::Receive)?;
            if read == 0 {
                return Err(Ended::TornFrame { received: frame.len(), announced: len });
            }
            self.received(read);
        }
        self.progress.frame_done();
        Ok(charge.freeze(frame))
    }

    async fn charge(&self, len: usize) -> Charge {
        if let Some(charge) = self.memory.try_charge(len) {
            return charge;
        }
        self.progress.set_starved(true);
        let charge = self.memory.charge(len).await;
        self.progress.set_starved(false);
        charge
    }

    /// Reads once, for the frame at the front is not whole.
    async fn fill(&mut self) -> Result<(), Ended> {
        self.make_room().await?;
        let room = INPUT_BYTES - self.input.len();
        let read = self.incoming.read(&mut self.input, room).await.map_err(Ended::Receive)?;
        if read == 0 {
            return Err(self.end_of_stream());
        }
        self.received(read);
        Ok(())
    }

    /// Moves what is left, the begin of a frame, to the front. With nothing left, gives the memory
    /// away until more comes.
    async fn make_room(&mut self) -> Result<(), Ended> {
        self.input.drain(..self.start);
        self.start = 0;
        if !self.input.is_empty() {
            self.progress.frame_begun();
            return Ok(());
        }
        self.input = Vec::new();
        self.incoming.readable().await.map_err(Ended::Receive)?;
        self.input.reserve_exact(INPUT_BYTES);
        Ok(())
    }

    /// Reads up to `max` bytes into nothing, or to the end of the stream.
    pub(super) async fn discard(&mut self, max: usize) {
        let mut left = max;
        while left > 0 {
            self.input.clear();
            self.input.reserve_exact(INPUT_BYTES);
            match self.incoming.read(&mut self.input, INPUT_BYTES.min(left)).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left -= read,
            }
        }
    }

    fn end_of_stream(&self) -> Ended {
        if self.input.is_empty() {
            return Ended::ByClient;
        }
        let announced = self.announced().ok().flatten().unwrap_or(0);
        let received = self.input.len().saturating_sub(LENGTH_BYTES);
        Ended::TornFrame { received, announced }
    }

    fn received(&self, bytes: usize) {
        self.metrics.received_bytes.inc_by(bytes as u64);
        self.progress.moved();
    }
}
