//! The chunk cache: what was read back from the store, on this machine's disk.
//!
//! ```text
//! get(key) -> Ready      bytes that this process wrote or compared: served from where they lie
//!          -> Unchecked  found at the start: compared with their checksum first
//!          -> Missing    reserve() a slot, download, fill()
//! ```
//! The files: `slabs` (the bytes), `index_file` and `entry` (what lies in which slot). In memory:
//! `slots` (the same, to look up), `policy`, `standing`, `class`, `ghost` and `list` (which slot gives
//! way). `lanes` and `worker` are the threads that touch the disk, `writeback` keeps them from flooding it.
//!
//! Invariants:
//! - A slot is written anew only when nobody holds a [`Pin`] of it, and then in new pages: what
//!   `sendfile` took from it may not have left the machine. It is found under its key only when all
//!   its bytes are written.
//! - Nothing that an earlier process wrote is served before its bytes were compared with the
//!   checksum in the index. So no order of writes is asked of the disk, nothing is ever synced, and
//!   any garbage in any file costs a download and nothing else.
//! - Slots, memory and threads are taken when the cache is opened and never grow.
//! - [`Cache::get`] takes one short lock; nothing else here runs on a thread of the caller.

#[cfg(test)]
mod cache_test;
mod claim;
mod class;
#[cfg(test)]
mod class_test;
#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod damage_test;
mod entry;
#[cfg(test)]
mod fixture_test;
mod ghost;
mod index_file;
mod lanes;
mod list;
mod open;
mod pin;
mod policy;
#[cfg(test)]
mod policy_test;
#[cfg(test)]
mod reuse_test;
mod shared;
mod slabs;
pub(crate) mod slot_locks;
mod slots;
mod standing;
mod worker;
mod writeback;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use claim::{Era, open_era, read_era};
pub use class::CacheClass;
pub(crate) use lanes::IsRight;
pub use open::CacheOpenError;
pub(crate) use open::CacheSettings;
pub(crate) use pin::{Held, Pin, Slot, Unchecked};
pub(crate) use slabs::slab_name;

use crate::ids::SegmentId;
use lanes::{Job, Lanes};
use parking_lot::Mutex;
use pin::Reserved;
use shared::Shared;
use tokio::sync::oneshot;

/// The cache's unit: a multiple of the block that a checksum of the `.index` object covers.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;

/// How long a download waits for a slot that nobody holds.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// Slots that are looked through under one lock, which takes some 10 microseconds.
const SLOTS_AT_ONCE: u32 = 4096;

/// One chunk of one log object: chunk `n` holds bytes `n * CHUNK_BYTES..` of it. The last one of an
/// object may be shorter than [`CHUNK_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey {
    pub(crate) segment: SegmentId,
    pub(crate) chunk: u32,
}

/// Every slot is held by somebody, and was for as long as [`Cache::reserve`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every slot of the read cache is in use")]
pub(crate) struct CacheFull;

/// What the cache has of a chunk.
#[must_use]
pub(crate) enum Lookup {
    /// Bytes that are right, held where they lie.
    Ready(Arc<Pin>),
    /// Bytes that an earlier process left, or another one brought.
    Unchecked(Unchecked),
    /// Nothing.
    Missing,
}

/// The cache. Its folder belongs to it until the last pin, slot and queued job of it is gone.
pub(crate) struct Cache {
    shared: Arc<Shared>,
    lanes: Lanes,
    /// What processes may still read that nobody here hears of any more. It is locked over calls of
    /// the system, by the thread that speaks with processes alone.
    left: Mutex<Vec<Held>>,
    left_count: AtomicU32,
}

impl Cache {
    /// Looks a chunk up and holds it. Memory only: it never waits for the disk.
    pub(crate) fn get(self: &Arc<Self>, key: &ChunkKey, class: CacheClass) -> Lookup {
        self.hold(key, class).map_or(Lookup::Missing, |held| held.into_found(self, *key))
    }

    /// Holds a chunk for who checks it by himself. It counts as a use in that class.
    pub(crate) fn hold(&self, key: &ChunkKey, class: CacheClass) -> Option<Held> {
        let now = self.shared.now();
        let found = self.shared.slots.lock().get(key, class, now)?;
        if found.is_moved {
            // A hint for the next start, dropped when the threads are busy.
            self.lanes.offer(found.slot, Job::Moved { slot: found.slot, key: *key });
        }
        Some(Held::new(&self.shared, found))
    }

    /// A chunk was given to a reader by who brought it, and not looked up. That is a use for the
    /// classes that go by the last one; `normal` goes by the first look.
    pub(crate) fn used(&self, key: &ChunkKey, class: CacheClass) {
        if class != CacheClass::Normal {
            drop(self.hold(key, class));
        }
    }

    /// A chunk that turned out to be wrong is not found any more. Its entry in the index stays: it
    /// is compared before it is served after the next start.
    pub(crate) fn forget(&self, key: &ChunkKey) {
        if let Some(held) = self.hold(key, CacheClass::Normal) {
            self.shared.slots.lock().forget(held.slot());
        }
    }

    /// Keeps what a process held that is not heard of any more, until [`Cache::sweep`] finds that it
    /// does not read from there.
    pub(crate) fn leave(&self, held: impl IntoIterator<Item = Held>) {
        let mut left = self.left.lock();
        left.extend(held);
        self.left_count.store(left.len() as u32, Ordering::Relaxed);
    }

    /// Lets go of what nobody reads any more of that. A call of the system for each chunk.
    pub(crate) fn sweep(&self) {
        let is_read = |held: &Held| self.shared.slabs.is_locked(held.slot()).unwrap_or(true);
        let mut left = self.left.lock();
        left.retain(is_read);
        self.left_count.store(left.len() as u32, Ordering::Relaxed);
    }

    /// How many slots are kept that way.
    pub(crate) fn left(&self) -> u32 {
        self.left_count.load(Ordering::Relaxed)
    }

    /// Which owner of its folder this is; nothing where the files have no name.
    pub(crate) fn era(&self) -> Era {
        self.shared.claim.as_ref().map_or_else(Era::default, |claim| claim.era)
    }

    /// How many slots lie in one file.
    pub(crate) fn slots_per_slab(&self) -> u32 {
        self.shared.slabs.slots_per_slab()
    }

    /// A slot for a chunk that is to be downloaded. What was used least gives way for it.
    ///
    /// # Errors
    /// [`CacheFull`] when after a second every slot is still held.
    pub(crate) async fn reserve(self: &Arc<Self>) -> Result<Slot, CacheFull> {
        self.shared.counters.chunk_misses.bump();
        let reserved = tokio::time::timeout(SLOT_WAIT, self.take()).await;
        reserved.map(|reserved| Slot::new(self, reserved)).map_err(|_| CacheFull)
    }

    /// How many chunks fit.
    pub(crate) fn slots(&self) -> u32 {
        self.shared.slots.lock().count()
    }

    /// How many chunks have room that are new, or that nobody came back for: what is to stay does not
    /// give way for them.
    pub(crate) fn fresh_slots(&self) -> u32 {
        self.shared.slots.lock().fresh()
    }

    /// How many chunks of a class are here, those that are being written among them.
    pub(crate) fn chunks_of(&self, class: CacheClass) -> u32 {
        self.shared.slots.lock().standings().of_class(class)
    }

    /// Whether a chunk is here. It counts as no use.
    pub(crate) fn has(&self, key: &ChunkKey) -> bool {
        self.shared.slots.lock().has(key)
    }

    /// The segments of which there is a chunk. Takes milliseconds for a large cache, in short steps.
    pub(crate) fn segments(&self) -> HashSet<SegmentId> {
        let (mut segments, slots) = (HashSet::new(), self.slots());
        for first in (0..slots).step_by(SLOTS_AT_ONCE as usize) {
            let here = first..first.saturating_add(SLOTS_AT_ONCE).min(slots);
            segments.extend(self.shared.slots.lock().segments_in(here));
        }
        segments
    }

    /// The bytes of all chunks that can be found.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.shared.slots.lock().held_bytes()
    }

    /// Does something on a thread of the cache, which has room for a chunk in memory: it is not zeroed,
    /// and used again and again. Jobs with the same number are done one after another.
    ///
    /// # Errors
    /// When the threads do not get to it in time.
    pub(crate) async fn in_room<T: Send + 'static>(
        &self,
        number: u32,
        work: impl FnOnce(&mut [u8]) -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        // Who asked may have left.
        let work = move |room: &mut [u8]| drop(done.send(work(room)));
        self.lanes.run(number, Job::InRoom(Box::new(work)), answer).await
    }

    async fn take(&self) -> Reserved {
        loop {
            let mut freed = std::pin::pin!(self.shared.freed.notified());
            // Before the look, so that what is freed after it is not missed.
            freed.as_mut().enable();
            if let Some(reserved) = Reserved::take(&self.shared) {
                return reserved;
            }
            freed.await;
        }
    }
}
