//! Timestamps to offsets, sparse: `.timeindex`.
//!
//! ```text
//! entry: timestamp 8 | relative offset 4        both big-endian
//! ```
//! An entry says: no record up to this offset has a larger timestamp. Timestamps ascend strictly,
//! offsets do not descend. The last entry of a sealed segment holds its largest timestamp.

use std::io;
use std::path::Path;

use super::mapped::Mapped;
use crate::model::Offset;

/// Bytes of an entry.
pub const TIME_ENTRY_LEN: usize = 12;

/// A largest timestamp so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// In milliseconds.
    pub timestamp_ms: i64,
    /// The last offset of the batch that has it.
    pub offset: Offset,
}

/// The time index of one segment.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    base: Offset,
    entries: Mapped<TIME_ENTRY_LEN>,
}

/// Reads an entry of a segment with that base.
#[must_use]
pub fn read_time_entry(base: Offset, bytes: [u8; TIME_ENTRY_LEN]) -> TimeEntry {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
    let relative = i32::from_be_bytes([i, j, k, l]);
    TimeEntry {
        timestamp_ms: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        offset: base + i64::from(relative),
    }
}

impl TimeIndex {
    /// Opens or creates it; `bytes_max` bounds its size (`segment.index.bytes`). One slot is kept
    /// for the entry that sealing adds.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(path: &Path, base: Offset, bytes_max: usize) -> io::Result<Self> {
        Ok(Self { base, entries: Mapped::open(path, bytes_max / TIME_ENTRY_LEN + 1)? })
    }

    /// Adds an entry when its timestamp is larger than the last one's, also when only the slot for
    /// the sealing entry is left. One thread at a time.
    ///
    /// # Errors
    /// What the disk says; the index is as before then.
    pub(crate) fn push(&self, entry: TimeEntry) -> io::Result<()> {
        if self.last()?.is_some_and(|last| last.timestamp_ms >= entry.timestamp_ms) {
            return Ok(());
        }
        let relative = i32::try_from(entry.offset - self.base).map_err(io::Error::other)?;
        let mut bytes = [0; TIME_ENTRY_LEN];
        bytes[..8].copy_from_slice(&entry.timestamp_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(bytes)
    }

    fn get(&self, at: usize) -> io::Result<TimeEntry> {
        Ok(read_time_entry(self.base, self.entries.get(at)?))
    }

    /// The last entry.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn last(&self) -> io::Result<Option<TimeEntry>> {
        self.entries.count().checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// Whether only the slot for the sealing entry is left: the segment has to be rolled.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.entries.room() <= 1
    }

    /// The last entry whose timestamp is smaller than `timestamp_ms`: no record up to its offset
    /// is what a search for that time wants.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn before(&self, timestamp_ms: i64) -> io::Result<Option<TimeEntry>> {
        let read = |bytes| read_time_entry(self.base, bytes).timestamp_ms < timestamp_ms;
        let after = self.entries.partition_point(read)?;
        after.checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// Whether timestamps ascend and offsets do not descend nor reach `end`. Reads all entries.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn is_sane(&self, end: Offset) -> io::Result<bool> {
        let mut previous = TimeEntry { timestamp_ms: i64::MIN, offset: self.base };
        for at in 0..self.entries.count() {
            let entry = self.get(at)?;
            let ascends =
                entry.timestamp_ms > previous.timestamp_ms && entry.offset >= previous.offset;
            if !ascends || entry.offset >= end {
                return Ok(false);
            }
            previous = entry;
        }
        Ok(true)
    }

    /// Keeps the entries whose offset is below `offset`. Only before the index is shared.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn truncate_from(&mut self, offset: Offset) -> io::Result<()> {
        let keep = self
            .entries
            .partition_point(|bytes| read_time_entry(self.base, bytes).offset < offset)?;
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

    #[test]
    fn the_slot_for_the_sealing_entry_is_kept_even_when_the_bound_was_lowered() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("t");
        let entry = |number| TimeEntry { timestamp_ms: number, offset: Offset::new(number) };
        let fill = |index: &TimeIndex, mut number| {
            while !index.is_full() {
                index.push(entry(number)).expect("push");
                number += 1;
            }
            number
        };
        let index = TimeIndex::open(&path, Offset::ZERO, 5 * TIME_ENTRY_LEN).expect("open");
        let next = fill(&index, 1);
        assert_eq!(next, 6, "five fit");
        index.push(entry(next)).expect("the sealing entry");
        drop(index);
        let index = TimeIndex::open(&path, Offset::ZERO, TIME_ENTRY_LEN).expect("open");
        assert!(index.is_full());
        index.push(entry(next + 1)).expect("the sealing entry");
    }

    #[test]
    fn a_search_starts_after_the_last_smaller_timestamp() {
        let dir = tempfile::tempdir().expect("dir");
        let index = TimeIndex::open(&dir.path().join("t"), Offset::ZERO, 120).expect("open");
        for (timestamp_ms, offset) in [(1000, 10), (900, 20), (2000, 30), (2000, 40)] {
            index.push(TimeEntry { timestamp_ms, offset: Offset::new(offset) }).expect("push");
        }
        let before = |ts| index.before(ts).expect("look up").map(|entry| entry.offset.get());
        assert_eq!(
            (before(1000), before(1001), before(2000), before(9999)),
            (None, Some(10), Some(10), Some(30))
        );
        assert_eq!(index.bytes().expect("bytes").len(), 24, "smaller and equal ones are left out");
    }
}
