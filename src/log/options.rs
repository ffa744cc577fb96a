//! What a log is told when it is opened, and may be told anew while it runs.

use std::sync::Arc;

use super::segment::OpenSegments;
use crate::env::{Clock, Edges, NoEdges, SystemClock};
use crate::model::Offset;
use crate::record::TimestampType;

/// The settings of a topic that its log acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is rolled before it exceeds so many bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is rolled when its records span so many milliseconds (`segment.ms`).
    pub segment_ms: i64,
    /// The bound of each index file (`segment.index.bytes`).
    pub index_bytes: usize,
    /// Bytes of records between two index entries (`index.interval.bytes`).
    pub index_interval_bytes: usize,
    /// Whose clock stamps the records (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            timestamp_type: TimestampType::CreateTime,
        }
    }
}

/// Where an opened log begins to trust what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenAt {
    /// Everything below it was synced, indexes too; recovery reads from here on.
    pub recovery_point: Offset,
    /// The first offset that is not deleted; it may lie in the remote tier, below all local files.
    pub log_start: Offset,
    /// Where a log without any files begins.
    pub empty_start: Offset,
    /// The log was closed in order: there is nothing to recover.
    pub clean: bool,
}

/// The world that a log lives in.
#[derive(Clone)]
pub struct LogEnv {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Told of every edge of a disk operation.
    pub edges: Arc<dyn Edges>,
    /// Sealed segments whose files are open: those of all logs of a process together.
    pub open: Arc<OpenSegments>,
}

impl LogEnv {
    /// The real one, for as many open files as the process may have now.
    #[must_use]
    pub fn real() -> Self {
        let open = Arc::new(OpenSegments::within_the_limit());
        Self { clock: Arc::new(SystemClock), edges: Arc::new(NoEdges), open }
    }
}
