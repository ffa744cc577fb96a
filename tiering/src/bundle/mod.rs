//! The `.index` object: everything about a segment except its records, in one object.
//!
//! ```text
//! header   "ICEINDEX", version u16, number of parts u16, header length u32,
//!          topic id 16, partition i32, base i64, end i64, first timestamp i64, max timestamp i64,
//!          log size u64, log CRC32C u32, leader epoch i32, sealed at i64, segment id 16,
//!          checksum block u32,
//!          topic name (u16 length, bytes), epochs (u32 count, then epoch i32 and offset i64 each),
//!          part table (kind u16, reserved u16, position u64, length u64, CRC32C u32, each),
//!          CRC32C of all header bytes before it u32
//! parts    one after the other, in the order of the table
//! ```
//! All numbers are big-endian. Positions count from the start of the object.
//!
//! Invariants: every byte is under a checksum, and a bundle that decodes was verified whole; a
//! reader skips part kinds that it does not know, so that a newer writer can add one; the version
//! changes only when an old reader must not read on.

mod block_checks;
mod decode;
mod encode;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use block_checks::BlockChecks;
pub use decode::BundleError;
pub(crate) use encode::encode;

use crate::ids::{LeaderEpoch, Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;
use crate::segment::{LocalState, ObjectSpan, RemoteState, Segment};

const MAGIC: &[u8; 8] = b"ICEINDEX";
const VERSION: u16 = 1;
const PART_ENTRY_BYTES: usize = 24;
/// Bytes up to and including the header length.
const PREAMBLE_BYTES: usize = 16;
/// Longer headers are refused before anything is reserved for them.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// The log is checksummed in blocks of this many bytes, so that a range of it can be verified.
pub(crate) const CHECKSUM_BLOCK_BYTES: u32 = 64 << 10;

/// The kinds of parts. The numbers are the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(crate) enum PartKind {
    OffsetIndex = 1,
    TimeIndex = 2,
    TxnIndex = 3,
    ProducerSnapshot = 4,
    LeaderEpochs = 5,
    BlockChecksums = 6,
}

/// What the header of a bundle tells: a whole manifest row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleHeader {
    /// The topic's full name.
    pub topic: String,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The partition's number.
    pub partition: i32,
    /// The first offset in the log object.
    pub base: Offset,
    /// The last offset in the log object, inclusive.
    pub end: Offset,
    /// The first timestamp, or -1.
    pub first_timestamp_ms: i64,
    /// The largest timestamp, or -1.
    pub max_timestamp_ms: i64,
    /// The length of the log object in bytes.
    pub size: u64,
    /// CRC32C of the log object.
    pub log_crc: u32,
    /// The epoch of the leader that sealed the segment.
    pub leader_epoch: LeaderEpoch,
    /// When it was sealed, in milliseconds.
    pub sealed_ms: i64,
    /// The upload attempt.
    pub segment_id: SegmentId,
    /// The epochs inside with their first offsets.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

impl BundleHeader {
    /// The header for one upload attempt of `segment`.
    pub(crate) fn of(segment: &Segment, log_crc: u32) -> Self {
        Self {
            topic: segment.partition.topic.as_ref().to_owned(),
            topic_id: segment.partition.topic_id,
            partition: segment.partition.partition,
            base: segment.object.base,
            end: segment.object.end,
            first_timestamp_ms: segment.first_timestamp_ms,
            max_timestamp_ms: segment.max_timestamp_ms,
            size: segment.size,
            log_crc,
            leader_epoch: segment.leader_epoch,
            sealed_ms: segment.sealed_ms,
            segment_id: segment.segment_id,
            epochs: segment.epochs.clone(),
        }
    }

    /// The row of a segment that is live in the store and gone from this disk.
    pub(crate) fn into_row(self) -> Segment {
        Segment {
            partition: PartitionKey::new(self.topic, self.topic_id, self.partition),
            base: self.base,
            end: self.end,
            object: ObjectSpan { base: self.base, end: self.end },
            first_timestamp_ms: self.first_timestamp_ms,
            max_timestamp_ms: self.max_timestamp_ms,
            size: self.size,
            leader_epoch: self.leader_epoch,
            epochs: self.epochs,
            segment_id: self.segment_id,
            log_crc: Some(self.log_crc),
            sealed_ms: self.sealed_ms,
            local: LocalState::Gone,
            remote: RemoteState::Live,
        }
    }
}

/// A verified `.index` object. The parts are slices of one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexBundle {
    /// What the header tells.
    pub header: BundleHeader,
    /// The offset index, as the segment's `.index` file holds it.
    pub offset_index: Bytes,
    /// The time index, as the segment's `.timeindex` file holds it.
    pub time_index: Bytes,
    /// The transaction index; empty when no transaction was aborted in the segment.
    pub txn_index: Bytes,
    /// The producer snapshot at the offset after the segment.
    pub producer_snapshot: Bytes,
    /// The leader-epoch checkpoint up to the end of the segment.
    pub leader_epochs: Bytes,
    checks: Arc<BlockChecks>,
}

impl IndexBundle {
    /// Reads and verifies a whole `.index` object.
    ///
    /// # Errors
    /// [`BundleError`] when any byte is missing, too many, or wrong.
    pub fn decode(bytes: Bytes) -> Result<Self, BundleError> {
        decode::bundle(bytes)
    }

    /// What the blocks of the log are checked by.
    pub(crate) fn checks(&self) -> &Arc<BlockChecks> {
        &self.checks
    }

    /// Roughly what the bundle holds in memory.
    pub(crate) fn weight(&self) -> usize {
        let parts = [
            &self.offset_index,
            &self.time_index,
            &self.txn_index,
            &self.producer_snapshot,
            &self.leader_epochs,
        ];
        let epochs = self.header.epochs.len() * size_of::<(LeaderEpoch, Offset)>();
        let parts: usize = parts.iter().map(|part| part.len()).sum();
        // The checksums twice: they also stand in the buffer that the parts are slices of.
        512 + epochs + self.header.topic.len() + parts + 2 * self.checks.weight()
    }
}

/// The byte parts that go into a bundle, beside the header.
#[derive(Clone, Debug, Default)]
pub(crate) struct BundleParts {
    pub(crate) offset_index: Bytes,
    pub(crate) time_index: Bytes,
    pub(crate) txn_index: Bytes,
    pub(crate) producer_snapshot: Bytes,
    pub(crate) leader_epochs: Bytes,
    /// One big-endian CRC32C per block of [`CHECKSUM_BLOCK_BYTES`] of the log.
    pub(crate) block_checksums: Bytes,
}

/// Reads and verifies only the header, from the first bytes of an object.
pub(crate) fn header(bytes: &[u8]) -> Result<BundleHeader, BundleError> {
    decode::header(bytes)
}

/// As [`header`], with the length that the whole object ought to have.
pub(crate) fn header_and_length(bytes: &[u8]) -> Result<(BundleHeader, u64), BundleError> {
    decode::header_and_length(bytes)
}

#[cfg(test)]
mod tests;
