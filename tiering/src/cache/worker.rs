//! What a thread of the cache does.
//!
//! The steps of a fill, none of which waits for the disk to have it:
//!
//! ```text
//! the slot emptied -> the chunk into it -> its entry into the index -> found in memory
//!     -> write-back begun
//! ```
//! The slot is emptied by the file system, not written over: its old bytes may still be on their way to
//! a client, in the pages of the file (`Slabs::renew`).
//!
//! Until the entry is written the index still names the chunk that lay there before, with another
//! checksum: after a crash it is found wrong and dropped.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::entry::Entry;
use super::lanes::{IsRight, Job};
use super::pin::{Held, Hold, Pin, Reserved};
use super::shared::Shared;
use super::writeback::Writeback;
use super::{CHUNK_BYTES, CacheClass, ChunkKey};
use crate::checksum::crc64;
use crate::priority::lower_thread_priority;
use crate::steps::Step;

/// Works until nobody can queue anything any more.
pub(super) fn run(shared: &Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    lower_thread_priority();
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let mut writeback = Writeback::new();
    while let Some(job) = jobs.blocking_recv() {
        // Who asked may be gone by now: then the answer is dropped, and the slot let go with it.
        match job {
            Job::Fill { slot, key, class, bytes, is_checked, done } => {
                let number = slot.slot();
                let filled = fill(shared, slot, (key, class), &bytes, is_checked);
                let written = filled.is_ok();
                drop(done.send(filled));
                if written {
                    write_back(shared, &mut writeback, number, bytes.len() as u64);
                }
            }
            Job::Check { hold, key, len, is_right, done } => {
                let bytes = &mut buffer[..len as usize];
                drop(done.send(check(shared, hold, &key, is_right, bytes)));
            }
            Job::InRoom(work) => work(&mut buffer),
            Job::Moved { slot, key } => {
                if let Err(error) = note_standing(shared, slot, &key) {
                    tracing::debug!(%error, "the cache's index does not take how a chunk stands");
                }
            }
        }
    }
}

fn fill(
    shared: &Shared,
    reserved: Reserved,
    (key, class): (ChunkKey, CacheClass),
    bytes: &Bytes,
    is_checked: bool,
) -> io::Result<Held> {
    let (slot, len) = (reserved.slot(), bytes.len() as u32);
    let standing = shared.slots.lock().admit(slot, &key, class, shared.now());
    shared.slabs.renew(slot)?;
    let place = shared.slabs.place(slot);
    place.file.write_all_at(bytes, place.position)?;
    shared.reached(Step::ChunkWritten)?;
    let entry = Entry { key, standing, len, sum: crc64(&[bytes]) };
    shared.index.write(slot, &entry)?;
    shared.reached(Step::ChunkRecorded)?;
    shared.counters.chunk_fills.bump();
    Ok(reserved.filled(key, len, is_checked))
}

/// Has the chunk written out now, in small portions. When the disk fails to take some of what was
/// written, a later read could find what lay there before: the file's chunks are not used any more.
fn write_back(shared: &Shared, writeback: &mut Writeback, slot: u32, len: u64) {
    let Err(failed) = writeback.wrote(slot, shared.slabs.place(slot), len) else { return };
    let slab = shared.slabs.slab_of(failed.slot);
    let dropped = shared.slots.lock().forget_all(shared.slabs.slots_of(slab));
    shared.freed.notify_waiters();
    tracing::error!(
        error = %failed.error, slab, dropped,
        "the disk of the cache fails to write: the chunks of this file are dropped"
    );
}

fn check(
    shared: &Arc<Shared>,
    hold: Hold,
    key: &ChunkKey,
    wanted: Option<IsRight>,
    bytes: &mut [u8],
) -> Option<Arc<Pin>> {
    let slot = hold.slot();
    // Somebody else asked for the same check.
    let known = shared.slots.lock().is_checked(slot, key)?;
    if !known {
        let right = is_right(shared, slot, key, bytes)
            .map(|right| right && wanted.is_none_or(|is_wanted| is_wanted(bytes)));
        match right {
            Ok(true) => shared.slots.lock().set_checked(slot),
            Ok(false) => return drop_wrong(shared, slot, None),
            Err(error) => return drop_wrong(shared, slot, Some(error)),
        }
    }
    Some(Arc::new(Pin::new(hold, bytes.len() as u32)))
}

fn is_right(shared: &Shared, slot: u32, key: &ChunkKey, bytes: &mut [u8]) -> io::Result<bool> {
    let (entry, len) = (shared.index.read(slot)?, bytes.len() as u32);
    let Some(entry) = entry.filter(|entry| entry.key == *key && entry.len == len) else {
        return Ok(false);
    };
    let place = shared.slabs.place(slot);
    place.file.read_exact_at(bytes, place.position)?;
    Ok(crc64(&[bytes]) == entry.sum)
}

fn drop_wrong(shared: &Shared, slot: u32, error: Option<io::Error>) -> Option<Arc<Pin>> {
    shared.counters.wrong_chunks.bump();
    shared.slots.lock().forget(slot);
    let cleared = shared.index.clear(slot).err();
    if let Some(error) = error.or(cleared) {
        tracing::warn!(%error, slot, "a chunk of the cache cannot be read and is dropped");
    } else {
        tracing::info!(slot, "a chunk of the cache is not what it was and is dropped");
    }
    None
}

fn note_standing(shared: &Shared, slot: u32, key: &ChunkKey) -> io::Result<()> {
    let standing = shared.slots.lock().standing_in(slot, key);
    match (standing, shared.index.read(slot)?) {
        (Some(standing), Some(entry)) if entry.key == *key => {
            shared.index.write(slot, &Entry { standing, ..entry })
        }
        _ => Ok(()),
    }
}
