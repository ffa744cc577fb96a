//! What to fetch before it is asked for.
//!
//! A small rule for now: behind a reader that goes on from where it was, the next few chunks of
//! the same segment. It sees every read and answers with chunks, and knows nothing of how they are
//! fetched: an engine that measures the store and crosses segment borders takes its place here.

use std::ops::Range;

use super::recent::Recent;
use crate::ids::SegmentId;

/// Segments whose readers are remembered.
const SEGMENTS_MAX: usize = 1024;

pub(super) struct ReadAhead {
    chunks: u64,
    /// The chunk after the last one that was read, for each segment.
    expected: Recent<SegmentId, u64>,
}

impl ReadAhead {
    pub(super) fn new(chunks: u64) -> Self {
        Self { chunks, expected: Recent::new(SEGMENTS_MAX) }
    }

    /// The chunks to fetch after a read of `read`, of a segment of `total` chunks.
    pub(super) fn after(&self, segment: SegmentId, read: &Range<u64>, total: u64) -> Range<u64> {
        let expected = self.expected.get(&segment).unwrap_or(0);
        self.expected.put(segment, read.end, 1);
        let goes_on = read.start <= expected && expected <= read.end;
        if !goes_on || self.chunks == 0 {
            return 0..0;
        }
        read.end..total.min(read.end + self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_reader_is_served_ahead_and_a_random_one_is_not() {
        let ahead = ReadAhead::new(2);
        let id = SegmentId::from_bytes([3; 16]);
        assert_eq!(ahead.after(id, &(0..1), 10), 1..3);
        assert_eq!(ahead.after(id, &(0..1), 10), 1..3, "still in the first chunk");
        assert_eq!(ahead.after(id, &(1..2), 10), 2..4);
        assert_eq!(ahead.after(id, &(7..8), 10), 0..0, "a jump");
        assert_eq!(ahead.after(id, &(8..9), 10), 9..10, "the end of the segment");
        let other = SegmentId::from_bytes([4; 16]);
        assert_eq!(ahead.after(other, &(5..6), 10), 0..0);
    }
}
