//! Producer states on disk, in Kafka's format: `<next offset>.snapshot`.
//!
//! ```text
//! version 2 | crc 4 (CRC-32C of what follows) | count 4 | count entries of 46 bytes:
//! producer id 8 | epoch 2 | last sequence 4 | last offset 8 | offset delta 4 | timestamp 8
//!   | coordinator epoch 4 | first offset of an open transaction 8
//! ```
//! The timestamp is the time of the append: see [`super::producers`]. Kafka writes one entry for
//! each producer, with its last batch; here there is one for each batch that is remembered, the
//! last one last: a reader that keeps one entry for each producer ends up with Kafka's.

use std::io;

use crate::model::{Offset, ProducerEpoch, ProducerId, Sequence};

const VERSION: i16 = 1;
const HEADER_LEN: usize = 10;
const CRC_END: usize = 6;
const ENTRY_LEN: usize = 46;

/// A producer's batch in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// Who.
    pub producer: ProducerId,
    /// In which incarnation.
    pub epoch: ProducerEpoch,
    /// Its last sequence.
    pub last_sequence: Sequence,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Its records, less one.
    pub offset_delta: i32,
    /// When it was appended, in milliseconds.
    pub appended_ms: i64,
}

impl SnapshotEntry {
    /// Its first sequence.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let first = i64::from(self.last_sequence.0) - i64::from(self.offset_delta);
        let wrapped = if first < 0 { first + i64::from(i32::MAX) + 1 } else { first };
        Sequence(i32::try_from(wrapped).unwrap_or(0))
    }
}

/// A snapshot as bytes.
#[must_use]
pub(super) fn encode(entries: &[SnapshotEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + entries.len() * ENTRY_LEN);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    for entry in entries {
        bytes.extend_from_slice(&entry.producer.0.to_be_bytes());
        bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&entry.last_sequence.0.to_be_bytes());
        bytes.extend_from_slice(&entry.last_offset.get().to_be_bytes());
        bytes.extend_from_slice(&entry.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&entry.appended_ms.to_be_bytes());
        bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        bytes.extend_from_slice(&(-1_i64).to_be_bytes());
    }
    let crc = checksum(&bytes[CRC_END..]);
    bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A snapshot without producers.
#[must_use]
pub fn empty() -> Vec<u8> {
    encode(&[])
}

/// Reads a snapshot.
///
/// # Errors
/// `InvalidData` when version, length or CRC do not fit: the snapshot is then of no use, and the
/// state has to be rebuilt from an earlier one and the log.
pub fn decode(bytes: &[u8]) -> io::Result<Vec<SnapshotEntry>> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let (header, body) = bytes
        .split_first_chunk::<HEADER_LEN>()
        .ok_or_else(|| invalid("shorter than its header"))?;
    if header[..2] != VERSION.to_be_bytes() {
        return Err(invalid("unknown version"));
    }
    if header[2..CRC_END] != checksum(&bytes[CRC_END..]).to_be_bytes() {
        return Err(invalid("wrong checksum"));
    }
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    let (entries, rest) = body.as_chunks::<ENTRY_LEN>();
    if entries.len() != count || !rest.is_empty() {
        return Err(invalid("wrong length"));
    }
    Ok(entries.iter().map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8; ENTRY_LEN]) -> SnapshotEntry {
    fn at<const N: usize>(bytes: &[u8; ENTRY_LEN], at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&bytes[at..at + N]);
        field
    }
    SnapshotEntry {
        producer: ProducerId(i64::from_be_bytes(at(bytes, 0))),
        epoch: ProducerEpoch(i16::from_be_bytes(at(bytes, 8))),
        last_sequence: Sequence(i32::from_be_bytes(at(bytes, 10))),
        last_offset: Offset::new(i64::from_be_bytes(at(bytes, 14))),
        offset_delta: i32::from_be_bytes(at(bytes, 22)),
        appended_ms: i64::from_be_bytes(at(bytes, 26)),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> SnapshotEntry {
        SnapshotEntry {
            producer: ProducerId(7),
            epoch: ProducerEpoch(2),
            last_sequence: Sequence(3),
            last_offset: Offset::new(1000),
            offset_delta: 9,
            appended_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_snapshot_reads_back_and_damage_is_seen() {
        let bytes = encode(&[entry(), entry()]);
        assert_eq!(bytes.len(), 10 + 2 * 46);
        assert_eq!(decode(&bytes).expect("decode"), [entry(), entry()]);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_first_sequence_wraps_back() {
        assert_eq!(entry().first_sequence(), Sequence(i32::MAX - 5));
    }
}
