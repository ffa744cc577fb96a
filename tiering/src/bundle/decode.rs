//! Reads an `.index` object, believing nothing: every length is checked against the bytes that are
//! there before it is used.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{
    BlockChecks, BundleHeader, CHECKSUM_BLOCK_BYTES, HEADER_BYTES_MAX, IndexBundle, MAGIC,
    PART_ENTRY_BYTES, PREAMBLE_BYTES, PartKind, VERSION,
};
use crate::checksum::crc32c;
use crate::ids::{LeaderEpoch, Offset, SegmentId, TopicId};

/// Why bytes are not a right `.index` object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It does not start as one.
    #[error("not an index object: the first bytes are others")]
    Magic,
    /// Written by a later version.
    #[error("written in format version {0}, this version reads 1")]
    Version(u16),
    /// Bytes are missing.
    #[error("cut short: {have} bytes where {need} are needed")]
    Short {
        /// How many are needed.
        need: usize,
        /// How many are there.
        have: usize,
    },
    /// The header's checksum does not fit its bytes.
    #[error("the header does not fit its checksum")]
    HeaderChecksum,
    /// A field holds what no writer writes.
    #[error("a field of the header is impossible: {0}")]
    Field(&'static str),
    /// A part's checksum does not fit its bytes.
    #[error("part {0} does not fit its checksum")]
    PartChecksum(u16),
    /// A part that every bundle has is absent.
    #[error("part {0} is missing")]
    PartMissing(u16),
}

/// One line of the part table.
struct PartEntry {
    kind: u16,
    position: u64,
    length: u64,
    crc: u32,
}

struct Decoded {
    header: BundleHeader,
    checksum_block: u32,
    table: Vec<PartEntry>,
}

pub(super) fn header(bytes: &[u8]) -> Result<BundleHeader, BundleError> {
    Ok(decode_header(bytes)?.header)
}

pub(super) fn header_and_length(bytes: &[u8]) -> Result<(BundleHeader, u64), BundleError> {
    let Decoded { header, table, .. } = decode_header(bytes)?;
    let ends = table.iter().map(|entry| entry.position.saturating_add(entry.length));
    Ok((header, ends.max().unwrap_or_default()))
}

pub(super) fn bundle(bytes: Bytes) -> Result<IndexBundle, BundleError> {
    let Decoded { header, checksum_block, table } = decode_header(&bytes)?;
    let part = |kind: PartKind| {
        let kind = kind as u16;
        let entry = table.iter().find(|entry| entry.kind == kind);
        slice_part(&bytes, entry.ok_or(BundleError::PartMissing(kind))?)
    };
    let sums = part(PartKind::BlockChecksums)?;
    if sums.len() as u64 != header.size.div_ceil(u64::from(checksum_block)) * 4 {
        return Err(BundleError::Field("number of block checksums"));
    }
    Ok(IndexBundle {
        offset_index: part(PartKind::OffsetIndex)?,
        time_index: part(PartKind::TimeIndex)?,
        txn_index: part(PartKind::TxnIndex)?,
        producer_snapshot: part(PartKind::ProducerSnapshot)?,
        leader_epochs: part(PartKind::LeaderEpochs)?,
        checks: Arc::new(BlockChecks::new(header.size, checksum_block, &sums)),
        header,
    })
}

fn slice_part(bytes: &Bytes, entry: &PartEntry) -> Result<Bytes, BundleError> {
    let range = || {
        let start = usize::try_from(entry.position).ok()?;
        let end = start.checked_add(usize::try_from(entry.length).ok()?)?;
        Some(start..end)
    };
    let range = range().ok_or(BundleError::Field("place of a part"))?;
    if range.end > bytes.len() {
        return Err(BundleError::Short { need: range.end, have: bytes.len() });
    }
    let part = bytes.slice(range);
    if crc32c(&part) == entry.crc { Ok(part) } else { Err(BundleError::PartChecksum(entry.kind)) }
}

fn decode_header(bytes: &[u8]) -> Result<Decoded, BundleError> {
    let (parts, mut fields) = checked_fields(bytes)?;
    let topic_id = TopicId::from_bytes(take(&mut fields)?);
    let partition = i32_of(&mut fields)?;
    let (base, end) = (Offset::new(i64_of(&mut fields)?), Offset::new(i64_of(&mut fields)?));
    if base < Offset::ZERO || end < base {
        return Err(BundleError::Field("offsets"));
    }
    let first_timestamp_ms = i64_of(&mut fields)?;
    let max_timestamp_ms = i64_of(&mut fields)?;
    let size = u64::from_be_bytes(take(&mut fields)?);
    let log_crc = u32_of(&mut fields)?;
    let leader_epoch = LeaderEpoch::new(i32_of(&mut fields)?);
    let sealed_ms = i64_of(&mut fields)?;
    let segment_id = SegmentId::from_bytes(take(&mut fields)?);
    let checksum_block = u32_of(&mut fields)?;
    // Larger or odd blocks could not be checked as they come in.
    if checksum_block == 0 || !CHECKSUM_BLOCK_BYTES.is_multiple_of(checksum_block) {
        return Err(BundleError::Field("checksum block"));
    }
    let topic = topic(&mut fields)?;
    let epochs = epochs(&mut fields)?;
    let table = table(&mut fields, parts)?;
    let header = BundleHeader {
        topic,
        topic_id,
        partition,
        base,
        end,
        first_timestamp_ms,
        max_timestamp_ms,
        size,
        log_crc,
        leader_epoch,
        sealed_ms,
        segment_id,
        epochs,
    };
    Ok(Decoded { header, checksum_block, table })
}

/// The number of parts, and the header's fields once their checksum was found right.
fn checked_fields(bytes: &[u8]) -> Result<(u16, &[u8]), BundleError> {
    let short = |need| BundleError::Short { need, have: bytes.len() };
    let mut preamble = bytes.get(..PREAMBLE_BYTES).ok_or(short(PREAMBLE_BYTES))?;
    if preamble.get(..8) != Some(MAGIC) {
        return Err(BundleError::Magic);
    }
    preamble.advance(8);
    let (version, parts, length) = (preamble.get_u16(), preamble.get_u16(), preamble.get_u32());
    if version != VERSION {
        return Err(BundleError::Version(version));
    }
    let length = length as usize;
    if !(PREAMBLE_BYTES + 4..=HEADER_BYTES_MAX).contains(&length) {
        return Err(BundleError::Field("header length"));
    }
    let header = bytes.get(..length).ok_or(short(length))?;
    let (checked, crc) = header.split_at(length - 4);
    if crc != crc32c(checked).to_be_bytes() {
        return Err(BundleError::HeaderChecksum);
    }
    Ok((parts, &checked[PREAMBLE_BYTES..]))
}

fn topic(fields: &mut &[u8]) -> Result<String, BundleError> {
    let length = usize::from(u16::from_be_bytes(take(fields)?));
    let name = fields.split_off(..length).ok_or(BundleError::Field("topic name"))?;
    let name = std::str::from_utf8(name).map_err(|_| BundleError::Field("topic name"))?;
    Ok(name.to_owned())
}

fn epochs(fields: &mut &[u8]) -> Result<Vec<(LeaderEpoch, Offset)>, BundleError> {
    let count = u32_of(fields)? as usize;
    if count > fields.len() / 12 {
        return Err(BundleError::Field("number of epochs"));
    }
    (0..count)
        .map(|_| Ok((LeaderEpoch::new(i32_of(fields)?), Offset::new(i64_of(fields)?))))
        .collect()
}

fn table(fields: &mut &[u8], parts: u16) -> Result<Vec<PartEntry>, BundleError> {
    if fields.len() != usize::from(parts) * PART_ENTRY_BYTES {
        return Err(BundleError::Field("part table"));
    }
    let mut entry = || {
        let kind = u16::from_be_bytes(take(fields)?);
        let _reserved: [u8; 2] = take(fields)?;
        let position = u64::from_be_bytes(take(fields)?);
        let length = u64::from_be_bytes(take(fields)?);
        Ok(PartEntry { kind, position, length, crc: u32_of(fields)? })
    };
    (0..parts).map(|_| entry()).collect()
}

fn take<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], BundleError> {
    let (taken, rest) = fields.split_first_chunk::<N>().ok_or(BundleError::Field("length"))?;
    *fields = rest;
    Ok(*taken)
}

fn i32_of(fields: &mut &[u8]) -> Result<i32, BundleError> {
    Ok(i32::from_be_bytes(take(fields)?))
}

fn u32_of(fields: &mut &[u8]) -> Result<u32, BundleError> {
    Ok(u32::from_be_bytes(take(fields)?))
}

fn i64_of(fields: &mut &[u8]) -> Result<i64, BundleError> {
    Ok(i64::from_be_bytes(take(fields)?))
}
