//! Look-ups in the indexes of a remote segment, which lie in memory as bytes.

use super::super::index::{
    OFFSET_ENTRY_LEN, OffsetEntry, TIME_ENTRY_LEN, read_offset_entry, read_time_entry,
};
use crate::model::Offset;

/// Where a batch may lie: the one that holds the offset is that of `before` or `next`, or lies
/// between them, and ends where the one of `behind` begins at the latest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The last batch that ends at or before the offset.
    pub(super) before: Option<OffsetEntry>,
    pub(super) next: Option<OffsetEntry>,
    pub(super) behind: Option<OffsetEntry>,
}

/// The offset index of a segment with that base; bytes after the last whole entry are not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets<'a> {
    base: Offset,
    entries: &'a [[u8; OFFSET_ENTRY_LEN]],
}

impl<'a> Offsets<'a> {
    pub(super) fn new(base: Offset, bytes: &'a [u8]) -> Self {
        Self { base, entries: bytes.as_chunks().0 }
    }

    fn get(&self, at: usize) -> Option<OffsetEntry> {
        Some(read_offset_entry(self.base, *self.entries.get(at)?))
    }

    /// The batches around `offset` that have entries.
    pub(super) fn around(&self, offset: Offset) -> Around {
        let read = |bytes: &[u8; OFFSET_ENTRY_LEN]| read_offset_entry(self.base, *bytes);
        let after = self.entries.partition_point(|bytes| read(bytes).last_offset <= offset);
        Around {
            before: after.checked_sub(1).and_then(|at| self.get(at)),
            next: self.get(after),
            behind: self.get(after + 1),
        }
    }

    /// The last batch that begins at or before `position`.
    pub(super) fn floor_position(&self, position: u64) -> Option<OffsetEntry> {
        let read = |bytes: &[u8; OFFSET_ENTRY_LEN]| read_offset_entry(self.base, *bytes);
        let after = self.entries.partition_point(|bytes| read(bytes).position <= position);
        after.checked_sub(1).and_then(|at| self.get(at))
    }
}

/// The offset after the last entry of a time index whose timestamp is smaller than `timestamp_ms`:
/// no record before it is late enough.
pub(super) fn first_candidate(base: Offset, times: &[u8], timestamp_ms: i64) -> Offset {
    let entries = times.as_chunks::<TIME_ENTRY_LEN>().0;
    let read = |bytes: &[u8; TIME_ENTRY_LEN]| read_time_entry(base, *bytes);
    let after = entries.partition_point(|bytes| read(bytes).timestamp_ms < timestamp_ms);
    let before = after.checked_sub(1).and_then(|at| entries.get(at));
    before.map_or(base, |bytes| read(bytes).offset.next())
}
