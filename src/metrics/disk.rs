//! The disk of the log folder, and that of the read cache.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::page::Page;

/// How much room there is, and what was done for it. A clone counts into the same numbers.
#[derive(Clone, Debug)]
pub struct DiskMetrics {
    /// All bytes.
    pub total_bytes: Gauge,
    /// Bytes that are free for the broker.
    pub free_bytes: Gauge,
    /// All bytes of the read cache's disk; 0 without a cache.
    pub cache_total_bytes: Gauge,
    /// Those of them that are free for the broker.
    pub cache_free_bytes: Gauge,
    /// 0 while everybody writes, 1 while producers of topics that block are refused, 2 while all are.
    pub full_state: Gauge,
    /// Batches that were refused for want of room.
    pub refused_batches: Counter,
    /// Local segments that went early.
    pub dropped_segments: Counter,
    /// Their bytes.
    pub dropped_bytes: Counter,
}

impl DiskMetrics {
    pub(super) fn registered(page: &mut Page) -> Self {
        let p = page;
        Self {
            total_bytes: p.gauge("icecore_disk_total_bytes", "Bytes of the log folder's disk"),
            free_bytes: p.gauge("icecore_disk_free_bytes", "Free bytes of the log folder's disk"),
            cache_total_bytes: p.gauge(
                "icecore_cache_disk_total_bytes",
                "Bytes of the read cache's disk; 0 without a cache",
            ),
            cache_free_bytes: p.gauge(
                "icecore_cache_disk_free_bytes",
                "Free bytes of the read cache's disk",
            ),
            full_state: p.gauge(
                "icecore_disk_full_state",
                "0 with enough room, 1 while producers of topics that block are refused, 2 while all are",
            ),
            refused_batches: p
                .counter("icecore_disk_refused_batches", "Batches refused for want of room"),
            dropped_segments: p.counter(
                "icecore_disk_dropped_segments",
                "Uploaded segments that left the disk early",
            ),
            dropped_bytes: p.counter(
                "icecore_disk_dropped_bytes",
                "Bytes of uploaded segments that left the disk early",
            ),
        }
    }
}
