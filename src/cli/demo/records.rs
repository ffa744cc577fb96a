//! The demo's records: each follows from its partition and its number, so that what comes back can
//! be compared with what was sent without keeping it.
//!
//! ```text
//! key    partition-number
//! value  random bytes, 88 to 1960 of them | CRC-32C of key and these bytes, 4
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use crc_fast::{CrcAlgorithm, Digest};

const BODY_LEN_MIN: usize = 88;
const BODY_LENS: u64 = 1873;
/// Half of the lengths lie below.
const VALUE_LEN_MEAN: u64 = 1028;
const CRC_LEN: usize = 4;
/// Records are of yesterday, so that none is younger than the end of the demo.
const AGE_MS: i64 = 86_400_000;

/// How many records there are, and their times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Of all values, nearly.
    pub(super) bytes: u64,
    pub(super) partitions: i32,
    /// In each partition.
    pub(super) records_each: i64,
    first_timestamp_ms: i64,
}

impl Plan {
    /// About so many bytes in so many partitions.
    pub(super) fn new(bytes: u64, partitions: i32) -> Self {
        let each = bytes / VALUE_LEN_MEAN / u64::from(partitions.unsigned_abs().max(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let records_each = i64::try_from(each).unwrap_or(i64::MAX).max(1);
        Self { bytes, partitions, records_each, first_timestamp_ms: now_ms - AGE_MS }
    }

    /// In all partitions.
    pub(super) fn records(&self) -> u64 {
        self.records_each.unsigned_abs() * u64::from(self.partitions.unsigned_abs())
    }

    pub(super) fn timestamp_ms(&self, number: i64) -> i64 {
        self.first_timestamp_ms + number
    }
}

/// One record; made over and over in the same memory.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
}

impl Made {
    /// Makes record `number` of a partition.
    pub(super) fn make(&mut self, partition: i32, number: i64) {
        self.key.clear();
        self.key.push_str(&format!("{partition}-{number}"));
        let mut state = seed(partition, number);
        let len = BODY_LEN_MIN + (next(&mut state) % BODY_LENS) as usize;
        self.value.clear();
        self.value.resize(len, 0);
        for chunk in self.value.chunks_mut(8) {
            let word = next(&mut state).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        let crc = checksum(self.key.as_bytes(), &self.value);
        self.value.extend_from_slice(&crc);
    }
}

/// Whether a value that came back fits its checksum.
pub(super) fn fits(key: &[u8], value: &[u8]) -> bool {
    let body = value.len().checked_sub(CRC_LEN).map(|len| value.split_at(len));
    body.is_some_and(|(body, crc)| checksum(key, body) == crc)
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; CRC_LEN] {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(key);
    digest.update(body);
    u32::try_from(digest.finalize()).unwrap_or_default().to_be_bytes()
}

/// Never 0, which the generator would not leave.
fn seed(partition: i32, number: i64) -> u64 {
    let mixed = (u64::from(partition.unsigned_abs()) << 48) ^ number.unsigned_abs();
    (mixed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Marsaglia's xorshift.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_made_alike_each_time_and_others_differ() {
        let (mut a, mut b) = (Made::default(), Made::default());
        a.make(1, 7);
        b.make(1, 7);
        assert_eq!((&a.key, &a.value), (&b.key, &b.value));
        assert!(fits(a.key.as_bytes(), &a.value));
        b.make(2, 7);
        assert_ne!(a.value, b.value);
        assert!(!fits(b"1-8", &a.value), "the checksum covers the key");
        assert!(!fits(b"", b"abc"));
    }

    #[test]
    fn a_plan_has_about_the_bytes_that_were_wanted() {
        let plan = Plan::new(4_000_000, 4);
        let mut made = Made::default();
        let mut bytes = 0;
        for number in 0..plan.records_each {
            for partition in 0..plan.partitions {
                made.make(partition, number);
                bytes += made.value.len();
            }
        }
        assert!((3_800_000..4_200_000).contains(&bytes), "{bytes}");
    }
}
