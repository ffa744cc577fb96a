//! Connections and bytes on the wire.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::page::Page;

/// What the server of Kafka's protocol counts. A clone counts into the same numbers.
#[derive(Clone, Debug)]
pub struct SocketMetrics {
    /// Open now.
    pub connections: Gauge,
    /// Accepted since the start.
    pub accepted: Counter,
    /// Closed at once, since the limit was reached.
    pub refused: Counter,
    closed: Family<ClosedLabels, Counter>,
    /// Bytes that came from clients.
    pub received_bytes: Counter,
    /// Bytes sent to clients from memory.
    pub sent_bytes: Counter,
    /// Bytes sent to clients by sendfile.
    pub sendfile_bytes: Counter,
    /// Bytes of files that were read into memory to be sent, where sendfile could have blocked.
    pub file_copied_bytes: Counter,
    /// Reads of pages that were not in the page cache, done away from the network threads.
    pub cold_reads: Counter,
    /// Bytes of these reads.
    pub cold_read_bytes: Counter,
    /// From asking for a cold read to having it.
    pub cold_read_seconds: Histogram,
    /// Cold reads that are asked for and not yet done.
    pub cold_reads_waiting: Gauge,
    /// Bytes of request frames in memory.
    pub request_memory_bytes: Gauge,
    /// Frames that had to wait until other frames gave memory back.
    pub request_memory_waits: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    reason: &'static str,
}

impl SocketMetrics {
    /// Handles that no page shows.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::registered(&mut Page::default())
    }

    /// Counts a connection's end.
    pub fn close(&self, reason: &'static str) {
        self.closed.get_or_create(&ClosedLabels { reason }).inc();
    }

    /// How many connections ended for this reason.
    #[must_use]
    pub fn closed(&self, reason: &'static str) -> u64 {
        self.closed.get(&ClosedLabels { reason }).map_or(0, |count| count.get())
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let p = page;
        let kafka = |name| format!("kafka_server_socket_server_metrics_connection_{name}");
        Self {
            connections: p.gauge(&kafka("count"), "Open connections"),
            accepted: p.counter(&kafka("creation"), "Connections accepted"),
            refused: p.counter(
                "icecore_connections_refused",
                "Connections refused since max.connections was reached",
            ),
            closed: p.family(&kafka("close"), &["reason"], "Connections closed, by reason"),
            received_bytes: p.counter("icecore_network_received_bytes", "Bytes received"),
            sent_bytes: p.counter("icecore_network_sent_bytes", "Bytes sent from memory"),
            sendfile_bytes: p.counter("icecore_sendfile_bytes", "Bytes sent by sendfile"),
            file_copied_bytes: p.counter(
                "icecore_file_copied_bytes",
                "Bytes of files sent through memory, where sendfile could have blocked",
            ),
            cold_reads: p.counter(
                "icecore_cold_reads",
                "Reads of pages outside the page cache, away from network threads",
            ),
            cold_read_bytes: p.counter("icecore_cold_read_bytes", "Bytes of cold reads"),
            cold_read_seconds: p
                .histogram("icecore_cold_read_seconds", "From asking for a cold read to having it"),
            cold_reads_waiting: p
                .gauge("icecore_cold_reads_waiting", "Cold reads asked for and not done"),
            request_memory_bytes: p
                .gauge("icecore_request_memory_bytes", "Bytes of request frames in memory"),
            request_memory_waits: p
                .counter("icecore_request_memory_waits", "Frames that waited for request memory"),
        }
    }
}
