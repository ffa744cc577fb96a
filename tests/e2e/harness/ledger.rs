//! What producers know to be written, and what consumers read: see `clients/records.py`.

use std::path::Path;

use super::Client;

type Digest = [u8; 16];

/// A record that was acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) partition: usize,
    /// `None` from a client that does not tell.
    pub(crate) offset: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    /// In the order in which its producer sent it.
    pub(crate) number: i64,
    pub(crate) digest: Digest,
}

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) digest: Digest,
}

fn long(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().unwrap())
}

/// Whole entries only: of a ledger that is being written the last may be cut.
pub(crate) fn read_ledger(path: &Path) -> Vec<Ack> {
    let known = |number: i64| (number >= 0).then_some(number);
    let entry = |bytes: &[u8]| Ack {
        partition: usize::try_from(i32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap(),
        offset: known(long(&bytes[4..12])),
        timestamp: known(long(&bytes[12..20])),
        number: long(&bytes[20..28]),
        digest: bytes[28..].try_into().unwrap(),
    };
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes.chunks_exact(44).map(entry).collect()
}

/// What was read of one partition.
pub(crate) fn read_transcript(path: &Path) -> Vec<Entry> {
    let entry = |bytes: &[u8]| Entry {
        offset: long(&bytes[..8]),
        timestamp: long(&bytes[8..16]),
        digest: bytes[16..].try_into().unwrap(),
    };
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes.len() % 32, 0, "{} is cut", path.display());
    bytes.chunks_exact(32).map(entry).collect()
}

/// The logs that these acks make, which must fill them without a gap from offset 0 on.
pub(crate) fn log_of(acks: &[Ack], partitions: usize) -> Vec<Vec<Entry>> {
    let mut logs = vec![Vec::new(); partitions];
    for ack in acks {
        let (offset, timestamp) = (ack.offset.unwrap(), ack.timestamp.unwrap());
        logs[ack.partition].push(Entry { offset, timestamp, digest: ack.digest });
    }
    for (partition, log) in logs.iter_mut().enumerate() {
        log.sort_by_key(|entry| entry.offset);
        for (expected, entry) in (0..).zip(log.iter()) {
            assert_eq!(entry.offset, expected, "acked offsets of partition {partition}");
        }
    }
    logs
}

/// Record by record, so that the first difference is what a failure tells.
pub(crate) fn assert_same(client: Client, partition: usize, read: &[Entry], log: &[Entry]) {
    for (place, (read, written)) in read.iter().zip(log).enumerate() {
        assert_eq!(read, written, "{client:?}, partition {partition}, record {place} of it");
    }
    assert_eq!(read.len(), log.len(), "records by {client:?} of partition {partition}");
}
