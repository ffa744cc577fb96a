//! Look-ups in the indexes of a remote segment, which lie in memory as bytes.

use bytes::Bytes;

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

    /// The entries of batches that begin from `from` up to `to`, and the one before: a copy, so that
    /// the index, which may have megabytes, need not stay in memory while bytes are waited for.
    pub(super) fn between(&self, from: u64, to: u64) -> Bytes {
        let read = |bytes: &[u8; OFFSET_ENTRY_LEN]| read_offset_entry(self.base, *bytes);
        let first = self.entries.partition_point(|bytes| read(bytes).position < from);
        let after = self.entries.partition_point(|bytes| read(bytes).position <= to);
        let entries = self.entries.get(first.saturating_sub(1)..after).unwrap_or_default();
        Bytes::copy_from_slice(entries.as_flattened())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry for each 100 bytes, with ten offsets each.
    fn index() -> Vec<u8> {
        let entry = |at: u32| [(at * 10).to_be_bytes(), (at * 100).to_be_bytes()].concat();
        (1..=50).flat_map(entry).collect()
    }

    #[test]
    fn a_part_of_an_index_answers_for_its_range_as_the_whole_does() {
        let bytes = index();
        let whole = Offsets::new(Offset::new(7), &bytes);
        let part = whole.between(1000, 2050);
        let part = Offsets::new(Offset::new(7), &part);
        for position in [1000, 1001, 1099, 1500, 2050] {
            let expected = whole.floor_position(position).expect("an entry");
            assert_eq!(part.floor_position(position), Some(expected), "{position}");
        }
        assert_eq!(part.entries.len(), 12, "from 900 to 2000");
        assert!(whole.between(9000, 9999).len() <= OFFSET_ENTRY_LEN);
        assert!(whole.between(2000, 1000).is_empty(), "nonsense gives nothing");
    }
}
