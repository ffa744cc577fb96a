//! The checksums of a log's blocks, kept apart from the bundle that they came with.
//!
//! A read ahead needs them long before anybody asks for the segment's indexes, and for as long as
//! it lasts. They are 4 bytes for each 64 KiB of the log; the bundle is a hundred times larger.

/// Checks blocks of one log object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockChecks {
    size: u64,
    block_bytes: u64,
    /// One big-endian CRC32C for each block.
    sums: Box<[u8]>,
}

impl BlockChecks {
    /// For a log of `size` bytes. `block_bytes` is not 0.
    pub(crate) fn new(size: u64, block_bytes: u32, sums: &[u8]) -> Self {
        Self { size, block_bytes: u64::from(block_bytes), sums: sums.into() }
    }

    /// The length of a block; the last one may be shorter.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// How many blocks the log has.
    pub(crate) fn blocks(&self) -> u64 {
        self.size.div_ceil(self.block_bytes)
    }

    /// The length of the log.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What this holds in memory.
    pub(super) fn weight(&self) -> usize {
        self.sums.len()
    }

    /// Whether `bytes` are block number `block` of the log, whole.
    pub(crate) fn is_right(&self, block: u64, bytes: &[u8]) -> bool {
        let Some(at) = usize::try_from(block).ok().and_then(|block| block.checked_mul(4)) else {
            return false;
        };
        let Some(stored) = self.sums.get(at..at + 4) else { return false };
        let start = block * self.block_bytes;
        let length = self.block_bytes.min(self.size.saturating_sub(start));
        bytes.len() as u64 == length && stored == crate::checksum::crc32c(bytes).to_be_bytes()
    }

    /// Where the first block that is wrong begins, in `bytes` from `start` on. `start` is where a
    /// block begins, and `bytes` end where one ends.
    pub(crate) fn first_wrong(&self, start: u64, bytes: &[u8]) -> Option<u64> {
        let blocks = bytes.chunks(usize::try_from(self.block_bytes).unwrap_or(usize::MAX));
        let mut numbered = (start / self.block_bytes..).zip(blocks);
        let wrong = numbered.find(|(block, bytes)| !self.is_right(*block, bytes));
        wrong.map(|(block, _)| block * self.block_bytes)
    }
}
