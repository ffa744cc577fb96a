//! What one server takes on at most. Past a limit it reads no further or closes with a reason;
//! it never grows.

use std::time::Duration;

/// Bounds of a server, over all of its listeners unless a field says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request frame (`socket.request.max.bytes`), at most `i32::MAX`.
    pub frame_bytes_max: usize,
    /// Open connections (`max.connections`); one more is closed at once.
    pub connections_max: usize,
    /// Requests of one connection that are being answered; the next is not read before.
    pub in_flight_requests_max: usize,
    /// Bytes of these requests. A larger frame is taken alone.
    pub in_flight_bytes_max: usize,
    /// Bytes of replies that this connection's client has not taken; with more, no further request
    /// is read. Records do not count: they leave from files.
    pub in_flight_reply_bytes_max: usize,
    /// Bytes of all request frames in memory (`queued.max.request.bytes`); at least one largest
    /// frame. A frame beyond waits unread.
    pub request_memory_bytes: usize,
    /// Bytes of frame buffers that are kept for the next frames, so that large ones do not fault
    /// their pages in anew.
    pub spare_buffer_bytes_max: usize,
    /// A connection that owes the server bytes, or does not take its replies, is closed after
    /// this time without a byte (`connections.max.idle.ms`).
    pub idle_timeout: Duration,
    /// From the first byte of a frame to its last, waiting for memory not counted.
    pub frame_timeout: Duration,
    /// How long answers in flight may take when no more requests are read: at shutdown, after the
    /// client's end of stream, after a frame that broke the protocol.
    pub drain_timeout: Duration,
    /// The kernel's buffer for bytes from a client (`socket.receive.buffer.bytes`); the kernel
    /// sizes it by itself when not set.
    pub receive_buffer_bytes: Option<usize>,
    /// The same for bytes to a client (`socket.send.buffer.bytes`).
    pub send_buffer_bytes: Option<usize>,
    /// Threads that read pages which are not in the page cache.
    pub cold_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 100 << 20,
            connections_max: 10_000,
            in_flight_requests_max: 128,
            in_flight_bytes_max: 16 << 20,
            in_flight_reply_bytes_max: 1 << 20,
            request_memory_bytes: 128 << 20,
            spare_buffer_bytes_max: 32 << 20,
            idle_timeout: Duration::from_secs(600),
            frame_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            cold_threads: 4,
        }
    }
}

impl Limits {
    /// The nearest limits with which a server can work: no zero where one is needed, and request
    /// memory for at least one largest frame, since otherwise that frame would wait forever.
    #[must_use]
    pub(super) fn workable(self) -> Self {
        let frame_bytes_max = self.frame_bytes_max.min(i32::MAX as usize);
        Self {
            frame_bytes_max,
            in_flight_requests_max: self.in_flight_requests_max.max(1),
            request_memory_bytes: self
                .request_memory_bytes
                .clamp(frame_bytes_max, tokio::sync::Semaphore::MAX_PERMITS),
            connections_max: self.connections_max.min(tokio::sync::Semaphore::MAX_PERMITS),
            cold_threads: self.cold_threads.max(1),
            ..self
        }
    }
}
