//! A shard is read back from its partition, from the log start to the end.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use super::room::Room;
use super::shard::Shard;
use super::step::Now;
use crate::log::{Log, ReadError};
use crate::record::{BatchHeader, HEADER_LEN, RecordError, Records};

/// Bytes read at a time; a larger batch is read whole.
const READ_BYTES: usize = 1 << 20;
/// Most bytes that a packed batch may unpack to. This broker writes none; a restored log could
/// hold some.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// A shard could not be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The disk failed, or the log start moved past what was being read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error("the segment cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A batch is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There are bytes that no batch could be.
    #[error("no batch begins at offset {0}")]
    NoBatch(crate::model::Offset),
    /// It was broken off.
    #[error("the load was broken off")]
    BrokenOff,
}

/// A shard, and how many bytes its partition had for it.
pub(super) struct Loaded {
    pub(super) shard: Shard,
    pub(super) bytes: u64,
}

/// Reads a shard back. Blocking.
pub(super) fn load(log: &Log, now: Now, room: Arc<Room>) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded { shard: Shard::new(room), bytes: 0 };
    let (start, end) = (log.log_start(), log.log_end());
    let mut next = start;
    while next < end {
        let Some(slice) = log.read(next, READ_BYTES, end, true)? else { break };
        let mut bytes = vec![0; slice.len()];
        slice.slice.file.read_exact_at(&mut bytes, slice.slice.position)?;
        let mut bytes = Bytes::from(bytes);
        let before = next;
        loaded.bytes += bytes.len() as u64;
        while let Some(header) = bytes.first_chunk::<HEADER_LEN>() {
            let header = BatchHeader::read(header);
            let len = usize::try_from(header.batch_len()).unwrap_or(0);
            if len < HEADER_LEN || len > bytes.len() {
                break;
            }
            replay_batch(&mut loaded.shard, &header, &bytes, start, now)?;
            next = header.last_offset().next();
            bytes = bytes.slice(len..);
        }
        if next <= before {
            return Err(LoadError::NoBatch(before));
        }
    }
    Ok(loaded)
}

fn replay_batch(
    shard: &mut Shard,
    header: &BatchHeader,
    bytes: &Bytes,
    start: crate::model::Offset,
    now: Now,
) -> Result<(), LoadError> {
    if header.is_control() {
        return Ok(());
    }
    for record in Records::of_batch(bytes, UNPACKED_BYTES_MAX)? {
        let record = record?;
        let Some(key) = record.key.filter(|_| record.offset >= start) else { continue };
        // Values are kept: a copy does not hold on to the whole read.
        let value = record.value.map(|value| Bytes::copy_from_slice(&value));
        if let Err(error) = shard.replay(now, &key, value) {
            tracing::warn!(offset = %record.offset, %error, "a record is not understood and passed over");
        }
    }
    Ok(())
}
