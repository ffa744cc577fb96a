//! The disk as it is told over HTTP.

use crate::http::{DiskState, DiskStatus};
use crate::replica::{SpaceReport, SpaceState};

/// The numbers.
pub(super) fn status(report: &SpaceReport) -> DiskStatus {
    DiskStatus {
        state: match report.state {
            SpaceState::Enough => DiskState::Enough,
            SpaceState::Short => DiskState::Short,
            SpaceState::Full => DiskState::Full,
        },
        total_bytes: report.total_bytes,
        free_bytes: report.free_bytes,
        low_bytes: report.marks.low,
        high_bytes: report.marks.high,
        refused_batches: report.refused_batches,
        dropped_segments: report.dropped_segments,
        dropped_bytes: report.dropped_bytes,
    }
}
