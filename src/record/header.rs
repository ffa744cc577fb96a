//! The 61 bytes before a batch's records.
//!
//! ```text
//!  0 base offset            8   owned by the broker, outside the CRC
//!  8 length                 4   of what follows this field
//! 12 partition leader epoch 4   owned by the broker, outside the CRC
//! 16 magic                  1   2
//! 17 CRC-32C                4   of everything from 21 on
//! 21 attributes             2   codec 0-2, timestamp type 3, transactional 4, control 5
//! 23 last offset delta      4
//! 27 base timestamp         8
//! 35 max timestamp          8
//! 43 producer id            8
//! 51 producer epoch         2
//! 53 base sequence          4
//! 57 record count           4
//! ```

use super::codec::Codec;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// Bytes of a header.
pub const HEADER_LEN: usize = 61;
/// Where the length field ends: a batch is this many bytes and `length` more.
pub const LENGTH_END: usize = 12;
/// Where the checked bytes begin.
pub(super) const CRC_FROM: usize = 21;
/// A header as bytes.
pub type HeaderBytes = [u8; HEADER_LEN];

const MAGIC_AT: usize = 16;
const CODEC_BITS: i16 = 0b111;
const APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;

/// Whose clock the timestamps of a batch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// A header's fields. `read` and `write` are inverse for magic 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// Bytes after the length field; the batch has `LENGTH_END` more.
    pub length: i32,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// The format, 2.
    pub magic: i8,
    /// CRC-32C of the bytes from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: i16,
    /// The last record's offset less the first one's.
    pub last_offset_delta: i32,
    /// The first record's timestamp, in milliseconds.
    pub base_timestamp: i64,
    /// The largest timestamp, in milliseconds; the append time for `LogAppendTime`.
    pub max_timestamp: i64,
    /// The idempotent producer's id.
    pub producer_id: ProducerId,
    /// The idempotent producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence.
    pub base_sequence: Sequence,
    /// How many records.
    pub count: i32,
}

fn array<const N: usize>(bytes: &HeaderBytes, at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl BatchHeader {
    /// Reads the fields; whether they make sense is for the caller to judge.
    #[must_use]
    pub fn read(bytes: &HeaderBytes) -> Self {
        Self {
            base_offset: Offset::new(i64::from_be_bytes(array(bytes, 0))),
            length: i32::from_be_bytes(array(bytes, 8)),
            leader_epoch: LeaderEpoch::new(i32::from_be_bytes(array(bytes, LENGTH_END))),
            magic: i8::from_be_bytes(array(bytes, MAGIC_AT)),
            crc: u32::from_be_bytes(array(bytes, 17)),
            attributes: i16::from_be_bytes(array(bytes, CRC_FROM)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: ProducerId(i64::from_be_bytes(array(bytes, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(array(bytes, 51))),
            base_sequence: Sequence(i32::from_be_bytes(array(bytes, 53))),
            count: i32::from_be_bytes(array(bytes, 57)),
        }
    }

    /// The header as bytes.
    #[must_use]
    pub fn write(&self) -> HeaderBytes {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.base_offset.get().to_be_bytes());
        put(8, &self.length.to_be_bytes());
        put(LENGTH_END, &self.leader_epoch.get().to_be_bytes());
        put(MAGIC_AT, &self.magic.to_be_bytes());
        put(17, &self.crc.to_be_bytes());
        put(CRC_FROM, &self.attributes.to_be_bytes());
        put(23, &self.last_offset_delta.to_be_bytes());
        put(27, &self.base_timestamp.to_be_bytes());
        put(35, &self.max_timestamp.to_be_bytes());
        put(43, &self.producer_id.0.to_be_bytes());
        put(51, &self.producer_epoch.0.to_be_bytes());
        put(53, &self.base_sequence.0.to_be_bytes());
        put(57, &self.count.to_be_bytes());
        bytes
    }

    /// The whole batch's length in bytes. Zero or less for a length that lies.
    #[must_use]
    pub fn batch_len(&self) -> i64 {
        i64::from(self.length) + LENGTH_END as i64
    }

    /// The last record's offset.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The codec of the records; `None` for a number that no codec has.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_bits(self.attributes & CODEC_BITS)
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds markers for brokers and consumers, not records.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether an idempotent producer sent it.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.producer_id != ProducerId::NONE
    }

    /// The last record's sequence.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE {
            return Sequence::NONE;
        }
        self.base_sequence.advance(self.last_offset_delta)
    }

    /// Sets what a broker owns: where the batch lies, and who leads.
    #[must_use]
    pub fn stamp(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// Sets the append time. `body` is what follows the header; the CRC covers both.
    #[must_use]
    pub fn stamp_append_time(mut self, now_ms: i64, body: &[u8]) -> Self {
        self.attributes |= APPEND_TIME_BIT;
        self.max_timestamp = now_ms;
        self.crc = self.checksum(body);
        self
    }

    /// The CRC that a batch with these fields and this body must carry.
    #[must_use]
    pub fn checksum(&self, body: &[u8]) -> u32 {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.write()[CRC_FROM..]);
        digest.update(body);
        u32::try_from(digest.finalize()).unwrap_or_default()
    }

    /// Flags for a batch that is built here.
    #[must_use]
    pub(super) fn attributes_of(codec: Codec, timestamps: TimestampType) -> i16 {
        let append_time = match timestamps {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => APPEND_TIME_BIT,
        };
        codec.bits() | append_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_written() {
        let header = BatchHeader {
            base_offset: Offset::new(0x0102_0304_0506_0708),
            length: 1234,
            leader_epoch: LeaderEpoch::new(7),
            magic: 2,
            crc: 0xdead_beef,
            attributes: 0b11_0100,
            last_offset_delta: 9,
            base_timestamp: 1_600_000_000_000,
            max_timestamp: 1_600_000_000_009,
            producer_id: ProducerId(42),
            producer_epoch: ProducerEpoch(3),
            base_sequence: Sequence(i32::MAX - 4),
            count: 10,
        };
        assert_eq!(BatchHeader::read(&header.write()), header);
        assert!(header.is_transactional() && header.is_control());
        assert_eq!(header.codec(), Some(Codec::Zstd));
        assert_eq!(header.last_sequence(), Sequence(4), "the sequence wraps");
        assert_eq!(header.batch_len(), 1246);
    }

    #[test]
    fn a_length_that_lies_never_overflows() {
        let bytes = [0xff; HEADER_LEN];
        assert_eq!(BatchHeader::read(&bytes).batch_len(), 11);
        let mut bytes = [0; HEADER_LEN];
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(BatchHeader::read(&bytes).batch_len(), i64::from(i32::MAX) + 12);
    }
}
