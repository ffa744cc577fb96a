//! A log object as the engine sees it: a row of chunks that can be asked for and checked.

use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path;

use crate::bundle::{BlockChecks, IndexBundle};
use crate::cache::{CHUNK_BYTES, ChunkKey, IsRight};
use crate::ids::{Offset, SegmentId};
use crate::partition::PartitionKey;
use crate::segment::Segment;

/// One log object. Holds nothing of its index but the checksums, so that hundreds of streams can
/// know their next objects.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) partition: PartitionKey,
    /// The first offset that its segment answers for.
    pub(super) base: Offset,
    /// The first offset after its segment's.
    pub(super) after: Offset,
    pub(super) segment: SegmentId,
    pub(super) name: Path,
    pub(super) checks: Arc<BlockChecks>,
}

/// Which bytes a read wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The bytes, from the first one on; as many of them are given as are there.
    pub range: Range<u64>,
    /// The read waits for all bytes before this position, at least for one.
    pub enough: u64,
    /// A reader that jumps may have to look from here on, at or before the range's start: what it
    /// downloads begins here, so that the look costs no further request.
    pub look_from: u64,
    /// The read looks for a place. Where its reader begins is known afterwards: to read on within
    /// what was searched is no sign of a reader in sequence.
    pub is_search: bool,
}

/// All of a range, as far as the cache can hold it for one reader.
impl From<Range<u64>> for Wanted {
    fn from(range: Range<u64>) -> Self {
        let (enough, look_from) = (range.end, range.start);
        Self { range, enough, look_from, is_search: false }
    }
}

impl Source {
    pub(super) fn new(segment: &Segment, name: Path, index: &IndexBundle) -> Self {
        Self {
            partition: segment.partition.clone(),
            base: segment.base,
            after: segment.end.next(),
            segment: segment.segment_id,
            name,
            checks: Arc::clone(index.checks()),
        }
    }

    /// The length of the object.
    pub(super) fn size(&self) -> u64 {
        self.checks.size()
    }

    pub(super) fn key(&self, chunk: u32) -> ChunkKey {
        ChunkKey { segment: self.segment, chunk }
    }

    /// Tells whether bytes are one of its chunks.
    pub(super) fn is_right(self: &Arc<Self>, chunk: u32) -> IsRight {
        let source = Arc::clone(self);
        Box::new(move |bytes| {
            let Range { start, end } = source.bytes(&(chunk..chunk.saturating_add(1)));
            bytes.len() as u64 == end.saturating_sub(start)
                && source.checks.first_wrong(start, bytes).is_none()
        })
    }

    /// How many chunks it has.
    pub(super) fn chunks(&self) -> u32 {
        chunk_after(self.size())
    }

    /// The bytes of some of its chunks.
    pub(super) fn bytes(&self, chunks: &Range<u32>) -> Range<u64> {
        chunk_start(chunks.start)..chunk_start(chunks.end).min(self.size())
    }
}

/// The chunk that holds the byte at `position`.
pub(super) fn chunk_at(position: u64) -> u32 {
    u32::try_from(position / CHUNK_BYTES).unwrap_or(u32::MAX)
}

/// The first chunk that holds no byte before `position`.
pub(super) fn chunk_after(position: u64) -> u32 {
    u32::try_from(position.div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
}

/// Where a chunk begins.
pub(super) fn chunk_start(chunk: u32) -> u64 {
    u64::from(chunk) * CHUNK_BYTES
}
