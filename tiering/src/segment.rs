//! A sealed segment as the manifest knows it: one row.
//!
//! Invariants: `base <= end`; `object.base <= base` and `end <= object.end`; a segment whose local
//! state is [`LocalState::Gone`] is [`RemoteState::Live`] or [`RemoteState::Deleting`].

use crate::ids::{LeaderEpoch, Offset, SegmentId};
use crate::partition::PartitionKey;

/// Where the local copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalState {
    /// The sealed file is on this machine's disk.
    Present,
    /// The sealed file may be unlinked, or is already.
    Gone,
}

/// Where the copy in the object store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteState {
    /// Never uploaded, or its objects are deleted again.
    None,
    /// An attempt wrote its intent; objects under this segment id may exist in part.
    Uploading,
    /// Both objects are written and verified.
    Live,
    /// Nobody reads it any more; its objects are being deleted.
    Deleting,
}

/// The offsets that an object pair really holds. It differs from a row's own bounds only after
/// two leaders uploaded overlapping segments and the later one won a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectSpan {
    /// The first offset in the object, as in its name.
    pub base: Offset,
    /// The last offset in the object, inclusive, as in its name.
    pub end: Offset,
}

/// One sealed segment: a row of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The partition it belongs to.
    pub partition: PartitionKey,
    /// The first offset that this row answers for.
    pub base: Offset,
    /// The last offset that this row answers for, inclusive.
    pub end: Offset,
    /// What the objects hold.
    pub object: ObjectSpan,
    /// The smallest first timestamp, in milliseconds; -1 when the records carry none.
    pub first_timestamp_ms: i64,
    /// The largest timestamp, in milliseconds; -1 when the records carry none.
    pub max_timestamp_ms: i64,
    /// The length of the log file in bytes.
    pub size: u64,
    /// The epoch of the leader that sealed it. Where two segments overlap, the higher epoch wins.
    pub leader_epoch: LeaderEpoch,
    /// The epochs inside the segment with their first offsets, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The name of the current upload attempt, or of the uploaded objects.
    pub segment_id: SegmentId,
    /// CRC32C of the whole log file; known from the first upload attempt on.
    pub log_crc: Option<u32>,
    /// When the segment was sealed, in milliseconds; retention falls back on it when the records
    /// carry no timestamps.
    pub sealed_ms: i64,
    /// Where the local copy stands.
    pub local: LocalState,
    /// Where the remote copy stands.
    pub remote: RemoteState,
}

impl Segment {
    /// A segment that was just sealed: present locally, not uploaded.
    #[must_use]
    pub fn sealed(
        partition: PartitionKey,
        (base, end): (Offset, Offset),
        (first_timestamp_ms, max_timestamp_ms): (i64, i64),
        size: u64,
        leader_epoch: LeaderEpoch,
        epochs: Vec<(LeaderEpoch, Offset)>,
        sealed_ms: i64,
    ) -> Self {
        Self {
            partition,
            base,
            end,
            object: ObjectSpan { base, end },
            first_timestamp_ms,
            max_timestamp_ms,
            size,
            leader_epoch,
            epochs,
            segment_id: SegmentId::random(),
            log_crc: None,
            sealed_ms,
            local: LocalState::Present,
            remote: RemoteState::None,
        }
    }

    /// Whether `offset` is one that this row answers for.
    #[must_use]
    pub fn covers(&self, offset: Offset) -> bool {
        self.base <= offset && offset <= self.end
    }

    /// Whether the object holds offsets that another segment answers for: a reader must skip what
    /// lies outside `base..=end`.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.object.base != self.base || self.object.end != self.end
    }

    /// The time that retention judges by: the largest timestamp, or the time of the seal when the
    /// records carry none.
    #[must_use]
    pub fn retention_time_ms(&self) -> i64 {
        if self.max_timestamp_ms >= 0 { self.max_timestamp_ms } else { self.sealed_ms }
    }

    /// Whether the objects may be read.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.remote == RemoteState::Live
    }
}
