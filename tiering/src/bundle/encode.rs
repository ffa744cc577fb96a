//! Writes an `.index` object.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    BundleHeader, BundleParts, CHECKSUM_BLOCK_BYTES, MAGIC, PART_ENTRY_BYTES, PartKind, VERSION,
};
use crate::checksum::crc32c;

/// The bytes of the `.index` object.
pub(crate) fn encode(header: &BundleHeader, parts: &BundleParts) -> Bytes {
    let table = [
        (PartKind::OffsetIndex, &parts.offset_index),
        (PartKind::TimeIndex, &parts.time_index),
        (PartKind::TxnIndex, &parts.txn_index),
        (PartKind::ProducerSnapshot, &parts.producer_snapshot),
        (PartKind::LeaderEpochs, &parts.leader_epochs),
        (PartKind::BlockChecksums, &parts.block_checksums),
    ];
    let fields = fields(header);
    let header_length = super::PREAMBLE_BYTES + fields.len() + table.len() * PART_ENTRY_BYTES + 4;
    let body: usize = table.iter().map(|(_, part)| part.len()).sum();

    let mut out = BytesMut::with_capacity(header_length + body);
    out.put_slice(MAGIC);
    out.put_u16(VERSION);
    out.put_u16(u16_of(table.len()));
    out.put_u32(u32_of(header_length));
    out.put_slice(&fields);
    let mut position = header_length;
    for (kind, part) in table {
        out.put_u16(kind as u16);
        out.put_u16(0);
        out.put_u64(position as u64);
        out.put_u64(part.len() as u64);
        out.put_u32(crc32c(part));
        position += part.len();
    }
    out.put_u32(crc32c(&out));
    debug_assert_eq!(out.len(), header_length);
    table.iter().for_each(|(_, part)| out.put_slice(part));
    out.freeze()
}

fn fields(header: &BundleHeader) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(header.topic_id.as_bytes());
    out.put_i32(header.partition);
    out.put_i64(header.base.get());
    out.put_i64(header.end.get());
    out.put_i64(header.first_timestamp_ms);
    out.put_i64(header.max_timestamp_ms);
    out.put_u64(header.size);
    out.put_u32(header.log_crc);
    out.put_i32(header.leader_epoch.get());
    out.put_i64(header.sealed_ms);
    out.put_slice(header.segment_id.as_bytes());
    out.put_u32(CHECKSUM_BLOCK_BYTES);
    out.put_u16(u16_of(header.topic.len()));
    out.put_slice(header.topic.as_bytes());
    out.put_u32(u32_of(header.epochs.len()));
    for (epoch, start) in &header.epochs {
        out.put_i32(epoch.get());
        out.put_i64(start.get());
    }
    out
}

/// Topic names have at most 249 bytes, and an upload checks the number of epochs.
fn u16_of(length: usize) -> u16 {
    u16::try_from(length).expect("checked before an upload starts")
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("checked before an upload starts")
}
