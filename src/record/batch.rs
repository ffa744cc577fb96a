//! A batch as a client sent it: checked once, never changed.
//!
//! Invariant of a [`Batch`]: magic 2, the length is that of the bytes, the CRC holds, there is at
//! least one record, and offsets count from 0 to the last delta.

use bytes::Bytes;

use super::codec::{Codec, CodecError};
use super::header::{BatchHeader, CRC_FROM, HEADER_LEN};
use super::walk::{WalkError, walk};
use crate::model::{Offset, Sequence};

/// What a record has that was given no time.
const NO_TIMESTAMP: i64 = -1;

/// Timestamps that are accepted, in milliseconds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampBounds {
    /// The earliest.
    pub min_ms: i64,
    /// The latest.
    pub max_ms: i64,
}

impl TimestampBounds {
    /// Any timestamp.
    pub const ANY: Self = Self { min_ms: i64::MIN, max_ms: i64::MAX };
}

/// What a topic demands of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// `max.message.bytes`.
    pub batch_bytes_max: usize,
    /// `segment.bytes`.
    pub segment_bytes_max: usize,
    /// Whether every record needs a key (compacted topics).
    pub key_required: bool,
    /// Whether the client's version of Produce may send zstd (KIP-110).
    pub zstd_allowed: bool,
    /// Where timestamps must lie (KIP-937).
    pub timestamps: TimestampBounds,
}

/// Why a batch is refused. The names in brackets are the protocol's codes.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Not one whole batch (`INVALID_RECORD`).
    #[error("a produce request carries exactly one batch for a partition, this has none")]
    Empty,
    /// Fewer bytes than a header, or than the header tells (`CORRUPT_MESSAGE`).
    #[error("the batch says it has {stated} bytes, {present} are there")]
    Length {
        /// By the header.
        stated: i64,
        /// In the request.
        present: usize,
    },
    /// More than one batch (`INVALID_RECORD`).
    #[error(
        "a produce request carries exactly one batch for a partition, {surplus} bytes follow it"
    )]
    Surplus {
        /// Bytes after the first batch.
        surplus: usize,
    },
    /// Formats before 2 are gone since Kafka 4.0 (`INVALID_RECORD`).
    #[error("batches have magic 2, this has {0}")]
    Magic(i8),
    /// The bytes changed on the way (`CORRUPT_MESSAGE`).
    #[error("the batch's CRC is {stored:#010x}, its bytes have {computed:#010x}")]
    Crc {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// Over `max.message.bytes` (`MESSAGE_TOO_LARGE`).
    #[error("the batch has {len} bytes, the topic takes {max} (max.message.bytes)")]
    TooLarge {
        /// The batch's.
        len: usize,
        /// The topic's.
        max: usize,
    },
    /// Over `segment.bytes` (`RECORD_LIST_TOO_LARGE`).
    #[error("the batch has {len} bytes, a segment holds {max} (segment.bytes)")]
    LargerThanSegment {
        /// The batch's.
        len: usize,
        /// The topic's.
        max: usize,
    },
    /// A client counts offsets from 0 (`INVALID_RECORD`).
    #[error("the base offset of a batch from a client is 0, this has {0}")]
    BaseOffset(Offset),
    /// Count and last offset delta do not fit (`INVALID_RECORD`).
    #[error("the batch has {count} records and a last offset delta of {last_offset_delta}")]
    Count {
        /// Records.
        count: i32,
        /// Should be one less.
        last_offset_delta: i32,
    },
    /// No codec has this number (`INVALID_RECORD`).
    #[error("the batch's attributes {0:#06x} name no codec")]
    UnknownCodec(i16),
    /// zstd in a version before it (`UNSUPPORTED_COMPRESSION_TYPE`).
    #[error("zstd needs Produce version 7 or later")]
    ZstdTooEarly,
    /// Markers are for brokers to write (`INVALID_RECORD`).
    #[error("clients may not write control batches")]
    Control,
    /// Transactions are not served (`INVALID_RECORD`).
    #[error("transactional batches are not supported")]
    Transactional,
    /// An idempotent producer numbers its records (`INVALID_RECORD`).
    #[error("an idempotent batch has epoch {epoch} and base sequence {sequence}")]
    Sequence {
        /// The producer's epoch.
        epoch: i16,
        /// Its first sequence.
        sequence: i32,
    },
    /// A timestamp outside what the topic takes (`INVALID_TIMESTAMP`).
    #[error(
        "timestamp {timestamp} is outside {min} to {max}, which the topic takes now (message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
    )]
    Timestamp {
        /// The offending one.
        timestamp: i64,
        /// The earliest.
        min: i64,
        /// The latest.
        max: i64,
    },
    /// The records themselves are broken (`INVALID_RECORD`).
    #[error(transparent)]
    Records(#[from] WalkError),
    /// The records do not unpack, or to too much (`INVALID_RECORD`).
    #[error(transparent)]
    Packed(#[from] CodecError),
}

impl BatchError {
    /// The records that are to blame, by their numbers in the batch; none when it is the batch.
    #[must_use]
    pub fn records(&self) -> &[i32] {
        match self {
            Self::Records(WalkError::NoKey { indices }) => indices,
            _ => &[],
        }
    }
}

/// One checked batch. Cheap to clone: the bytes are shared with the request's frame.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Checks what a client sent for one partition. Reads every byte once (CRC) and the records of
    /// an uncompressed batch once more; copies none.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(bytes: Bytes, rules: &BatchRules) -> Result<Self, BatchError> {
        let header = whole(&bytes)?;
        check_size(bytes.len(), rules)?;
        check_crc(&header, &bytes)?;
        check_header(&header, rules)?;
        if header.codec() == Some(Codec::None) {
            walk(&bytes[HEADER_LEN..], header.count, rules.key_required)?;
        }
        Ok(Self { header, bytes })
    }

    /// Whether the records have to be unpacked to know that each has its key. To be answered by
    /// [`Self::check_packed`], which takes its time.
    #[must_use]
    pub fn hides_keys(&self, rules: &BatchRules) -> bool {
        rules.key_required && self.header.codec() != Some(Codec::None)
    }

    /// Unpacks the records to at most `limit` bytes and looks at each: it has to have a key.
    ///
    /// # Errors
    /// When they do not unpack, are malformed, or one has none.
    pub fn check_packed(&self, limit: usize) -> Result<(), BatchError> {
        let codec = self.header.codec().unwrap_or_default();
        let body = codec.unpack(self.body(), limit)?;
        Ok(walk(&body, self.header.count, true)?)
    }

    /// A batch of this broker's own making: what [`super::BatchBuilder`] wrote.
    pub(super) fn trusted(bytes: Bytes) -> Self {
        let header = bytes.first_chunk().map(BatchHeader::read);
        let Some(header) = header else { unreachable!("a builder writes a whole header") };
        Self { header, bytes }
    }

    /// Its header as the client sent it.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What follows the header, as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// All of it, as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes, header included. Never 0.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The header of exactly one whole batch of magic 2.
fn whole(bytes: &Bytes) -> Result<BatchHeader, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::Empty);
    }
    // Magic lies at the same place in every format, and tells an old one apart from a torn one.
    if let Some(&magic) = bytes.get(16)
        && magic < 2
    {
        return Err(BatchError::Magic(magic.cast_signed()));
    }
    let present = bytes.len();
    let Some(header) = bytes.first_chunk().map(BatchHeader::read) else {
        return Err(BatchError::Length { stated: HEADER_LEN as i64, present });
    };
    if header.magic != 2 {
        return Err(BatchError::Magic(header.magic));
    }
    let stated = header.batch_len();
    match usize::try_from(stated) {
        Ok(len) if len >= HEADER_LEN && len == present => Ok(header),
        Ok(len) if len >= HEADER_LEN && len < present => {
            Err(BatchError::Surplus { surplus: present - len })
        }
        _ => Err(BatchError::Length { stated, present }),
    }
}

fn check_size(len: usize, rules: &BatchRules) -> Result<(), BatchError> {
    if len > rules.batch_bytes_max {
        return Err(BatchError::TooLarge { len, max: rules.batch_bytes_max });
    }
    if len > rules.segment_bytes_max {
        return Err(BatchError::LargerThanSegment { len, max: rules.segment_bytes_max });
    }
    Ok(())
}

fn check_crc(header: &BatchHeader, bytes: &Bytes) -> Result<(), BatchError> {
    let computed = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[CRC_FROM..]);
    let computed = u32::try_from(computed).unwrap_or_default();
    if computed == header.crc {
        Ok(())
    } else {
        Err(BatchError::Crc { stored: header.crc, computed })
    }
}

fn check_header(header: &BatchHeader, rules: &BatchRules) -> Result<(), BatchError> {
    let &BatchHeader { count, last_offset_delta, attributes, .. } = header;
    if header.base_offset != Offset::ZERO {
        return Err(BatchError::BaseOffset(header.base_offset));
    }
    if count < 1 || last_offset_delta != count - 1 {
        return Err(BatchError::Count { count, last_offset_delta });
    }
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.is_transactional() {
        return Err(BatchError::Transactional);
    }
    match header.codec() {
        None => return Err(BatchError::UnknownCodec(attributes)),
        Some(Codec::Zstd) if !rules.zstd_allowed => return Err(BatchError::ZstdTooEarly),
        Some(_) => {}
    }
    let (epoch, sequence) = (header.producer_epoch.0, header.base_sequence);
    if header.is_idempotent() && (epoch < 0 || sequence.0 < 0) {
        return Err(BatchError::Sequence { epoch, sequence: sequence.0 });
    }
    if !header.is_idempotent() && sequence != Sequence::NONE && sequence.0 < 0 {
        return Err(BatchError::Sequence { epoch, sequence: sequence.0 });
    }
    let TimestampBounds { min_ms: min, max_ms: max } = rules.timestamps;
    // The base is the first record's, not the smallest: the header knows no better, and to look
    // further would cost a walk that compressed batches do not get.
    let outside = [header.base_timestamp, header.max_timestamp]
        .into_iter()
        .find(|timestamp| *timestamp != NO_TIMESTAMP && !(min..=max).contains(timestamp));
    outside.map_or(Ok(()), |timestamp| Err(BatchError::Timestamp { timestamp, min, max }))
}
