//! The disk of the log folder.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{counter, gauge};

/// How much room there is, and what was done for it. A clone counts into the same numbers.
#[derive(Clone, Debug)]
pub struct DiskMetrics {
    /// All bytes.
    pub total_bytes: Gauge,
    /// Bytes that are free for the broker.
    pub free_bytes: Gauge,
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
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let r = registry;
        Self {
            total_bytes: gauge(r, "icecore_disk_total_bytes", "Bytes of the log folder's disk"),
            free_bytes: gauge(r, "icecore_disk_free_bytes", "Free bytes of the log folder's disk"),
            full_state: gauge(
                r,
                "icecore_disk_full_state",
                "0 with enough room, 1 while producers of topics that block are refused, 2 while all are",
            ),
            refused_batches: counter(
                r,
                "icecore_disk_refused_batches",
                "Batches refused for want of room",
            ),
            dropped_segments: counter(
                r,
                "icecore_disk_dropped_segments",
                "Uploaded segments that left the disk early",
            ),
            dropped_bytes: counter(
                r,
                "icecore_disk_dropped_bytes",
                "Bytes of uploaded segments that left the disk early",
            ),
        }
    }
}
