//! The bytes of the cache's index: a header, and an entry for each slot.
//!
//! Invariant: whatever stands in the file, decoding never fails: it gives an entry that this cache
//! wrote for this slot, or none. An entry carries a checksum over the id of the index, the number
//! of the slot and itself, so that a torn entry, one of an older index and one at the wrong place
//! are none. That the slot still holds the chunk is not told by the entry: its `sum` is to be
//! compared with the bytes.

use super::standing::Standing;
use super::{CHUNK_BYTES, ChunkKey};
use crate::checksum::crc64;
use crate::ids::SegmentId;

/// The header's room; entries start behind it.
pub(super) const HEADER_BYTES: u64 = 4096;
/// The length of an entry.
pub(super) const ENTRY_BYTES: usize = 40;

const MAGIC: &[u8; 8] = b"ICECACHE";
const VERSION: u16 = 1;
/// magic 8 | version 2 | reserved 2 | chunk bytes 4 | id 16 | CRC-64 of all before 8
const HEADER_USED: usize = 40;
/// What of an entry its own checksum covers.
const ENTRY_COVERED: usize = 32;

/// Tells one index from every other one.
pub(super) type IndexId = [u8; 16];

/// What a slot was filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: ChunkKey,
    pub(super) standing: Standing,
    /// How many bytes of the slot are the chunk's: at least one.
    pub(super) len: u32,
    /// CRC-64/NVME of the chunk.
    pub(super) sum: u64,
}

/// Why a file is no index of this cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("it is empty")]
    Empty,
    #[error("it is not an index of a cache")]
    Magic,
    #[error("it has version {0}, this icecore knows {known}", known = VERSION)]
    Version(u16),
    #[error("it is of chunks of {0} bytes, not of {ours}", ours = CHUNK_BYTES)]
    Chunk(u32),
    #[error("its header is damaged")]
    Damaged,
}

pub(super) fn encode_header(id: &IndexId) -> [u8; HEADER_USED] {
    let mut bytes = [0; HEADER_USED];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
    bytes[12..16].copy_from_slice(&(CHUNK_BYTES as u32).to_be_bytes());
    bytes[16..32].copy_from_slice(id);
    let sum = crc64(&[&bytes[..32]]);
    bytes[32..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The id of the index that this header begins. The version is looked at first: a later one may
/// have its checksum elsewhere.
pub(super) fn decode_header(bytes: &[u8]) -> Result<IndexId, HeaderError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(HeaderError::Empty);
    }
    let header: &[u8; HEADER_USED] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
    if &header[..8] != MAGIC {
        return Err(HeaderError::Magic);
    }
    let version = u16::from_be_bytes(field(header, 8));
    if version != VERSION {
        return Err(HeaderError::Version(version));
    }
    if u64::from_be_bytes(field(header, 32)) != crc64(&[&header[..32]]) {
        return Err(HeaderError::Damaged);
    }
    let chunk = u32::from_be_bytes(field(header, 12));
    if u64::from(chunk) != CHUNK_BYTES {
        return Err(HeaderError::Chunk(chunk));
    }
    Ok(field(header, 16))
}

/// Where the entry of a slot stands in the file.
pub(super) fn position(slot: u32) -> u64 {
    HEADER_BYTES + u64::from(slot) * ENTRY_BYTES as u64
}

impl Entry {
    pub(super) fn encode(&self, id: &IndexId, slot: u32) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let standing: u32 = match self.standing {
            Standing::Probation => 1,
            Standing::Protected => 2,
            Standing::Kept => 3,
            Standing::Passing => 4,
        };
        bytes[..16].copy_from_slice(self.key.segment.as_bytes());
        bytes[16..20].copy_from_slice(&self.key.chunk.to_be_bytes());
        bytes[20..24].copy_from_slice(&((standing << 24) | self.len).to_be_bytes());
        bytes[24..32].copy_from_slice(&self.sum.to_be_bytes());
        let sum = entry_sum(id, slot, &bytes[..ENTRY_COVERED]);
        bytes[ENTRY_COVERED..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    pub(super) fn decode(id: &IndexId, slot: u32, bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let sum = u64::from_be_bytes(field(bytes, ENTRY_COVERED));
        // An empty slot is the common case of a young cache.
        if sum == 0 || sum != entry_sum(id, slot, &bytes[..ENTRY_COVERED]) {
            return None;
        }
        let standing_and_len = u32::from_be_bytes(field(bytes, 20));
        let standing = match standing_and_len >> 24 {
            1 => Standing::Probation,
            2 => Standing::Protected,
            3 => Standing::Kept,
            4 => Standing::Passing,
            _ => return None,
        };
        let len = standing_and_len & 0xff_ffff;
        if len == 0 || u64::from(len) > CHUNK_BYTES {
            return None;
        }
        let segment = SegmentId::from_bytes(field(bytes, 0));
        let key = ChunkKey { segment, chunk: u32::from_be_bytes(field(bytes, 16)) };
        Some(Self { key, standing, len, sum: u64::from_be_bytes(field(bytes, 24)) })
    }
}

fn entry_sum(id: &IndexId, slot: u32, covered: &[u8]) -> u64 {
    crc64(&[id, &slot.to_be_bytes(), covered])
}

/// `N` bytes at a place that the array has.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: IndexId = [9; 16];

    fn entry() -> Entry {
        let key = ChunkKey { segment: SegmentId::from_bytes([0xab; 16]), chunk: 0x0102_0304 };
        Entry { key, standing: Standing::Protected, len: 0x03_0201, sum: 0x1122_3344_5566_7788 }
    }

    #[test]
    fn an_entry_comes_back_for_its_own_slot_of_its_own_index_alone() {
        let bytes = entry().encode(&ID, 7);
        assert_eq!(Entry::decode(&ID, 7, &bytes), Some(entry()));
        assert_eq!(Entry::decode(&ID, 8, &bytes), None);
        assert_eq!(Entry::decode(&[8; 16], 7, &bytes), None);
        assert_eq!(Entry::decode(&ID, 7, &[0; ENTRY_BYTES]), None);
    }

    #[test]
    fn every_standing_comes_back_and_one_that_is_not_known_makes_no_entry() {
        for (standing, byte) in [
            (Standing::Probation, 1),
            (Standing::Protected, 2),
            (Standing::Kept, 3),
            (Standing::Passing, 4),
        ] {
            let stands = Entry { standing, ..entry() };
            let bytes = stands.encode(&ID, 7);
            assert_eq!((bytes[20], Entry::decode(&ID, 7, &bytes)), (byte, Some(stands)));
        }
        let mut later = entry().encode(&ID, 7);
        later[20] = 5;
        let sum = entry_sum(&ID, 7, &later[..ENTRY_COVERED]);
        later[ENTRY_COVERED..].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Entry::decode(&ID, 7, &later), None);
    }

    #[test]
    fn the_bytes_stand_where_the_format_says() {
        let bytes = entry().encode(&ID, 7);
        assert_eq!(bytes[..16], [0xab; 16]);
        assert_eq!(bytes[16..24], [1, 2, 3, 4, 2, 3, 2, 1]);
        assert_eq!(bytes[24..32], [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
        let header = encode_header(&ID);
        assert_eq!(header[..16], *b"ICECACHE\x00\x01\x00\x00\x00\x04\x00\x00");
        assert_eq!(decode_header(&header), Ok(ID));
    }

    #[test]
    fn a_header_that_is_not_ours_is_named() {
        let ours = encode_header(&ID);
        assert_eq!(decode_header(&[]), Err(HeaderError::Empty));
        assert_eq!(decode_header(&[0; 4096]), Err(HeaderError::Empty));
        assert_eq!(decode_header(&ours[..20]), Err(HeaderError::Damaged));
        assert_eq!(decode_header(&[b'x'; 100]), Err(HeaderError::Magic));
        let mut later = ours;
        later[9] = 2;
        assert_eq!(decode_header(&later), Err(HeaderError::Version(2)));
        let mut torn = ours;
        torn[30] ^= 1;
        assert_eq!(decode_header(&torn), Err(HeaderError::Damaged));
    }

    proptest! {
        #[test]
        fn no_bytes_are_an_entry_but_those_that_were_written(
            change in 0..ENTRY_BYTES, bits in 1..=u8::MAX, noise: [u8; ENTRY_BYTES], cut in 0..ENTRY_BYTES,
        ) {
            let whole = entry().encode(&ID, 7);
            let mut changed = whole;
            changed[change] ^= bits;
            prop_assert_eq!(Entry::decode(&ID, 7, &changed), None);
            prop_assert_eq!(Entry::decode(&ID, 7, &noise), None);
            let mut torn = noise;
            torn[..cut].copy_from_slice(&whole[..cut]);
            prop_assume!(torn != whole);
            prop_assert_eq!(Entry::decode(&ID, 7, &torn), None);
        }

        #[test]
        fn a_header_of_any_bytes_is_an_error_and_never_a_panic(noise: Vec<u8>) {
            prop_assert!(decode_header(&noise).is_err());
        }
    }
}
