//! Offsets to positions, sparse: `.index`.
//!
//! ```text
//! entry: relative offset 4 | position 4        both big-endian
//! ```
//! An entry names the *last* offset of a batch and the position of that batch's first byte. Both
//! ascend strictly. The first batch of a segment never has an entry.

use std::io;
use std::path::Path;

use super::mapped::Mapped;
use crate::model::Offset;

/// Bytes of an entry.
pub const OFFSET_ENTRY_LEN: usize = 8;

/// A batch's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The batch's last offset.
    pub last_offset: Offset,
    /// The batch's first byte in the segment.
    pub position: u64,
}

/// The index of one segment.
#[derive(Debug)]
pub(crate) struct OffsetIndex {
    base: Offset,
    entries: Mapped<OFFSET_ENTRY_LEN>,
}

/// Reads an entry of a segment with that base.
#[must_use]
pub fn read_offset_entry(base: Offset, bytes: [u8; OFFSET_ENTRY_LEN]) -> OffsetEntry {
    let [a, b, c, d, e, f, g, h] = bytes;
    let relative = i32::from_be_bytes([a, b, c, d]);
    let position = u32::from_be_bytes([e, f, g, h]);
    OffsetEntry { last_offset: base + i64::from(relative), position: u64::from(position) }
}

impl OffsetIndex {
    /// Opens or creates it; `bytes_max` bounds its size (`segment.index.bytes`).
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(path: &Path, base: Offset, bytes_max: usize) -> io::Result<Self> {
        Ok(Self { base, entries: Mapped::open(path, bytes_max / OFFSET_ENTRY_LEN)? })
    }

    /// Adds a batch. One thread at a time; offsets and positions ascend.
    ///
    /// # Errors
    /// What the disk says; the index is as before then.
    pub(crate) fn push(&self, entry: OffsetEntry) -> io::Result<()> {
        let relative = i32::try_from(entry.last_offset - self.base).map_err(io::Error::other)?;
        let position = u32::try_from(entry.position).map_err(io::Error::other)?;
        let [a, b, c, d] = relative.to_be_bytes();
        let [e, f, g, h] = position.to_be_bytes();
        self.entries.push([a, b, c, d, e, f, g, h])
    }

    fn get(&self, at: usize) -> io::Result<OffsetEntry> {
        Ok(read_offset_entry(self.base, self.entries.get(at)?))
    }

    /// How many entries.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.count()
    }

    /// Whether no further entry fits: the segment has to be rolled.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.entries.room() == 0
    }

    /// The last entry.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn last(&self) -> io::Result<Option<OffsetEntry>> {
        self.len().checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// The last batch that surely does not lie after `offset`: the scan for it starts there.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn floor(&self, offset: Offset) -> io::Result<Option<OffsetEntry>> {
        let read = |bytes| read_offset_entry(self.base, bytes).last_offset <= offset;
        let after = self.entries.partition_point(read)?;
        after.checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// The last batch that begins at or before `position`.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn floor_position(&self, position: u64) -> io::Result<Option<OffsetEntry>> {
        let read = |bytes| read_offset_entry(self.base, bytes).position <= position;
        let after = self.entries.partition_point(read)?;
        after.checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// Whether every entry ascends and lies in a segment of `size` bytes. Reads all of them.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn is_sane(&self, size: u64) -> io::Result<bool> {
        let mut previous = OffsetEntry { last_offset: self.base.prev(), position: 0 };
        for at in 0..self.len() {
            let entry = self.get(at)?;
            let ascends =
                entry.last_offset > previous.last_offset && entry.position > previous.position;
            if !ascends || entry.position >= size {
                return Ok(false);
            }
            previous = entry;
        }
        Ok(true)
    }

    /// Keeps the entries whose last offset is below `offset`. Only before the index is shared.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn truncate_from(&mut self, offset: Offset) -> io::Result<()> {
        let keep = self
            .entries
            .partition_point(|bytes| read_offset_entry(self.base, bytes).last_offset < offset)?;
        self.entries.truncate(keep)
    }

    /// Forgets every entry. Only before the index is shared.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.entries.truncate(0)
    }

    /// Cuts the file to its entries.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn trim(&self) -> io::Result<()> {
        self.entries.trim()
    }

    /// Makes the entries durable.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.entries.sync()
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        self.entries.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(last_offset: i64, position: u64) -> OffsetEntry {
        OffsetEntry { last_offset: Offset::new(last_offset), position }
    }

    fn filled(dir: &tempfile::TempDir) -> OffsetIndex {
        let path = dir.path().join("i");
        let index = OffsetIndex::open(&path, Offset::new(100), 80).expect("open");
        for (offset, position) in [(109, 5000), (119, 10_000), (129, 15_000)] {
            index.push(entry(offset, position)).expect("push");
        }
        index
    }

    #[test]
    fn a_look_up_finds_the_last_batch_that_ends_at_or_before_the_offset() {
        let dir = tempfile::tempdir().expect("dir");
        let index = filled(&dir);
        for (offset, expected) in
            [(100, None), (108, None), (109, Some(5000)), (118, Some(5000)), (500, Some(15_000))]
        {
            let found = index.floor(Offset::new(offset)).expect("look up");
            assert_eq!(found.map(|entry| entry.position), expected, "{offset}");
        }
        assert_eq!(index.floor_position(14_999).expect("look up"), Some(entry(119, 10_000)));
        assert_eq!(index.floor_position(4_999).expect("look up"), None);
    }

    #[test]
    fn entries_survive_a_reopening_and_can_be_cut_back() {
        let dir = tempfile::tempdir().expect("dir");
        drop(filled(&dir));
        let mut index =
            OffsetIndex::open(&dir.path().join("i"), Offset::new(100), 80).expect("open");
        assert!(index.is_sane(20_000).expect("sane") && !index.is_sane(15_000).expect("sane"));
        index.truncate_from(Offset::new(119)).expect("cut");
        assert_eq!(index.last().expect("last"), Some(entry(109, 5000)));
        index.push(entry(115, 6000)).expect("push");
        assert_eq!(index.bytes().expect("bytes").len(), 16);
    }

    #[test]
    fn a_full_index_says_so_and_takes_no_more() {
        let dir = tempfile::tempdir().expect("dir");
        let index = OffsetIndex::open(&dir.path().join("i"), Offset::ZERO, 16).expect("open");
        index.push(entry(1, 1)).expect("push");
        assert!(!index.is_full());
        index.push(entry(2, 2)).expect("push");
        assert!(index.is_full() && index.push(entry(3, 3)).is_err());
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn a_zero_tail_from_preallocation_is_not_sane() {
        let dir = tempfile::tempdir().expect("dir");
        drop(filled(&dir));
        let path = dir.path().join("i");
        std::fs::File::options().write(true).open(&path).expect("open").set_len(80).expect("grow");
        let index = OffsetIndex::open(&path, Offset::new(100), 80).expect("open");
        assert!(!index.is_sane(20_000).expect("sane"));
    }
}
