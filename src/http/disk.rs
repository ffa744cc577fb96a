//! What the HTTP port tells of the disk.

use serde::{Deserialize, Serialize};

/// The disk of the log folder, and whose producers are let in. Scripts rely on the names of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// How things stand.
    pub state: DiskState,
    /// All bytes.
    pub total_bytes: u64,
    /// Those that are free for the broker.
    pub free_bytes: u64,
    /// With less, the disk is short (`tiering.disk.free.low.bytes`).
    pub low_bytes: u64,
    /// With as much, it is short no more (`tiering.disk.free.high.bytes`).
    pub high_bytes: u64,
    /// Batches that were refused for want of room since the start.
    pub refused_batches: u64,
    /// Local segments that went early since the start.
    pub dropped_segments: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

impl DiskStatus {
    /// In words what is amiss, if anything is.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let who = match self.state {
            DiskState::Enough => return None,
            DiskState::Short => {
                "producers of topics with tiering.disk.full.policy=block are refused, for the others \
                 uploaded segments leave the disk early"
            }
            DiskState::Full => "producers are refused",
        };
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let [free, total, high] = [self.free_bytes, self.total_bytes, self.high_bytes].map(mib);
        Some(format!(
            "the disk is short of room, {free} of {total} are free: {who}, until {high} are free"
        ))
    }
}

/// How things stand with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskState {
    /// Everybody writes.
    Enough,
    /// Producers of topics with `tiering.disk.full.policy=block` are refused; for the others uploaded
    /// segments go early.
    Short,
    /// All producers are refused.
    Full,
}
