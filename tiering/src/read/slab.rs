//! The read cache: one large file of equal slots, with its index in memory.
//!
//! One file, so that a cache of a million chunks costs no million inodes, and so that a chunk is
//! sent by `sendfile` from where it lies.
//!
//! Invariant: a slot is overwritten only when nobody holds a [`Pin`] of it; a slot is found under
//! its key only after all its bytes are written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ReadError;
use crate::ids::SegmentId;

/// How long a download waits for a slot that nobody holds.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// One chunk of one log object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChunkKey {
    pub(super) segment: SegmentId,
    pub(super) chunk: u64,
}

pub(super) struct Slab {
    file: Arc<File>,
    slot_bytes: u64,
    slots: Mutex<Slots>,
    freed: Notify,
}

struct Slots {
    by_key: HashMap<ChunkKey, usize>,
    slots: Vec<Slot>,
    empty: Vec<usize>,
    /// Filled slots that nobody holds, by last use.
    idle: BTreeMap<u64, usize>,
    uses: u64,
}

#[derive(Clone, Default)]
struct Slot {
    key: Option<ChunkKey>,
    pins: usize,
    used: u64,
}

/// Keeps a slot's bytes where they are until it is dropped.
pub(super) struct Pin {
    slab: Arc<Slab>,
    slot: usize,
}

/// A slot that is being filled.
pub(super) struct Reservation {
    slab: Arc<Slab>,
    slot: usize,
    filled: bool,
}

impl Slab {
    /// Makes the file anew: what an earlier process left in it has no index.
    pub(super) fn open(folder: &Path, bytes: u64, slot_bytes: u64) -> io::Result<Arc<Self>> {
        fs::create_dir_all(folder)?;
        let count = usize::try_from(bytes / slot_bytes).unwrap_or(usize::MAX);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(folder.join("chunks.slab"))?;
        file.set_len(count as u64 * slot_bytes)?;
        let slots = Slots {
            by_key: HashMap::new(),
            slots: vec![Slot::default(); count],
            empty: (0..count).rev().collect(),
            idle: BTreeMap::new(),
            uses: 0,
        };
        let (file, slots) = (Arc::new(file), Mutex::new(slots));
        Ok(Arc::new(Self { file, slot_bytes, slots, freed: Notify::new() }))
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.lock().slots.len()
    }

    /// The chunk, when it is here.
    pub(super) fn get(self: &Arc<Self>, key: &ChunkKey) -> Option<Arc<Pin>> {
        let mut slots = self.slots.lock();
        let slot = *slots.by_key.get(key)?;
        slots.pin(slot);
        Some(Arc::new(Pin { slab: Arc::clone(self), slot }))
    }

    /// A slot to fill: an empty one, or the one that was used longest ago and that nobody holds.
    pub(super) async fn reserve(self: &Arc<Self>) -> Result<Reservation, ReadError> {
        let wait = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(slot) = self.slots.lock().take() {
                    break Reservation { slab: Arc::clone(self), slot, filled: false };
                }
                freed.await;
            }
        };
        tokio::time::timeout(SLOT_WAIT, wait).await.map_err(|_| ReadError::CacheFull)
    }

    fn unpin(&self, slot: usize) {
        self.slots.lock().unpin(slot);
        self.freed.notify_one();
    }
}

impl Slots {
    fn pin(&mut self, slot: usize) {
        self.uses += 1;
        let Slot { pins, used, .. } = &mut self.slots[slot];
        self.idle.remove(used);
        *pins += 1;
        *used = self.uses;
    }

    fn unpin(&mut self, slot: usize) {
        let Slot { pins, used, .. } = &mut self.slots[slot];
        *pins -= 1;
        if *pins == 0 {
            self.idle.insert(*used, slot);
        }
    }

    fn take(&mut self) -> Option<usize> {
        if let Some(slot) = self.empty.pop() {
            return Some(slot);
        }
        let (_, slot) = self.idle.pop_first()?;
        if let Some(key) = self.slots[slot].key.take() {
            self.by_key.remove(&key);
        }
        Some(slot)
    }
}

impl Reservation {
    /// Writes the chunk into the slot and makes it findable. Blocks.
    pub(super) fn fill(mut self, key: ChunkKey, bytes: &Bytes) -> io::Result<Arc<Pin>> {
        self.slab.file.write_all_at(bytes, self.slot as u64 * self.slab.slot_bytes)?;
        self.filled = true;
        let mut slots = self.slab.slots.lock();
        slots.slots[self.slot].key = Some(key);
        slots.by_key.insert(key, self.slot);
        slots.pin(self.slot);
        drop(slots);
        Ok(Arc::new(Pin { slab: Arc::clone(&self.slab), slot: self.slot }))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.filled {
            self.slab.slots.lock().empty.push(self.slot);
            self.slab.freed.notify_one();
        }
    }
}

impl Pin {
    pub(super) fn file(&self) -> &Arc<File> {
        &self.slab.file
    }

    /// Where the slot starts in the file.
    pub(super) fn position(&self) -> u64 {
        self.slot as u64 * self.slab.slot_bytes
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.slab.unpin(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(chunk: u64) -> ChunkKey {
        ChunkKey { segment: SegmentId::from_bytes([1; 16]), chunk }
    }

    async fn fill(slab: &Arc<Slab>, chunk: u64) -> Arc<Pin> {
        let bytes = Bytes::from(vec![u8::try_from(chunk).unwrap(); 8]);
        slab.reserve().await.unwrap().fill(key(chunk), &bytes).unwrap()
    }

    fn read(pin: &Pin) -> u8 {
        let mut bytes = [0; 8];
        pin.file().read_exact_at(&mut bytes, pin.position()).unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        bytes[0]
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_chunk_stays_while_others_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let slab = Slab::open(folder.path(), 24, 8).unwrap();
        let held = fill(&slab, 1).await;
        for chunk in 2..10 {
            assert_eq!(read(&*fill(&slab, chunk).await), u8::try_from(chunk).unwrap());
        }
        assert_eq!(read(&held), 1);
        assert!(slab.get(&key(2)).is_none(), "evicted");
        assert_eq!(read(&slab.get(&key(9)).unwrap()), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn when_every_slot_is_held_a_download_waits_and_then_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let slab = Slab::open(folder.path(), 16, 8).unwrap();
        let (one, _two) = (fill(&slab, 1).await, fill(&slab, 2).await);
        assert!(matches!(slab.reserve().await, Err(ReadError::CacheFull)));
        let waiting = tokio::spawn({
            let slab = Arc::clone(&slab);
            async move { slab.reserve().await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(one);
        assert!(waiting.await.unwrap());
        assert!(slab.reserve().await.is_ok(), "an unfilled reservation gives its slot back");
    }
}
