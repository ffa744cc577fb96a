//! How late the live rows of a long partition are, block by block, so that a jump by time looks through
//! one block and not through every row that is late enough.
//!
//! Timestamps need not ascend with offsets, so no index of SQLite's finds the first row that is late
//! enough without looking at all of them. The largest timestamp up to each row does ascend. It is kept for
//! every 32nd: 16 bytes for as many rows.
//!
//! Invariant: of one moment, and told of no change since. Whoever keeps one drops it with the first change.

use std::ops::Range;

use crate::ids::Offset;

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 32;
/// Partitions with fewer live rows are looked through.
pub(super) const ROWS_MIN: u64 = 512;

/// Where times are, in one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    blocks: Vec<Block>,
}

#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// The first row's.
    base: Offset,
    /// The largest of this block and of all before it, in milliseconds.
    latest_ms: i64,
}

impl Times {
    /// Of all live rows: base and largest timestamp of each, in any order.
    pub(super) fn of(mut rows: Vec<(Offset, i64)>) -> Self {
        rows.sort_unstable();
        let mut latest_ms = i64::MIN;
        let blocks = rows.chunks(BLOCK_ROWS).map(|rows| {
            latest_ms = rows.iter().fold(latest_ms, |latest, (_, max)| latest.max(*max));
            Block { base: rows[0].0, latest_ms }
        });
        Self { blocks: blocks.collect() }
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Between which bases the first row lies that is at least as late; `None` when none is.
    pub(super) fn block_of(&self, timestamp_ms: i64) -> Option<Range<Offset>> {
        let at = self.blocks.partition_point(|block| block.latest_ms < timestamp_ms);
        let base = self.blocks.get(at)?.base;
        Some(base..self.blocks.get(at + 1).map_or(Offset::MAX, |next| next.base))
    }
}
