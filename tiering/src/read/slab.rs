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

use crate::ids::SegmentId;

/// What is kept and found as one; the last chunk of an object may be shorter.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;
/// How long a download waits for a slot that nobody holds.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// One chunk of one log object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey {
    pub(crate) segment: SegmentId,
    pub(crate) chunk: u32,
}

/// What the cache has of a chunk.
pub(crate) enum Lookup {
    Ready(Arc<Pin>),
    /// It was written by an earlier process, and nobody has looked at its bytes since.
    #[expect(dead_code, reason = "this cache forgets all at the start; the one to come does not")]
    Unchecked(Unchecked),
    Missing,
}

/// A chunk whose bytes have to be checked before they count.
pub(crate) struct Unchecked(Option<Arc<Pin>>);

impl Unchecked {
    /// The chunk, when its bytes are right.
    pub(crate) async fn check(self) -> Option<Arc<Pin>> {
        self.0
    }
}

/// Every slot is held by somebody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheFull;

/// The cache.
pub(crate) struct Slab {
    file: Arc<File>,
    slots: Mutex<Slots>,
    freed: Notify,
}

struct Slots {
    by_key: HashMap<ChunkKey, usize>,
    slots: Vec<Place>,
    empty: Vec<usize>,
    /// Filled slots that nobody holds, by last use.
    idle: BTreeMap<u64, usize>,
    uses: u64,
}

#[derive(Clone, Default)]
struct Place {
    key: Option<ChunkKey>,
    len: u64,
    pins: usize,
    used: u64,
}

/// Keeps a slot's bytes where they are until it is dropped.
pub(crate) struct Pin {
    slab: Arc<Slab>,
    slot: usize,
    len: u64,
}

/// A slot that is to be filled.
pub(crate) struct Slot {
    slab: Arc<Slab>,
    slot: usize,
    filled: bool,
}

impl Slab {
    /// Makes the file anew: what an earlier process left in it has no index.
    pub(crate) fn open(folder: &Path, bytes: u64) -> io::Result<Arc<Self>> {
        fs::create_dir_all(folder)?;
        let count = usize::try_from(bytes / CHUNK_BYTES).unwrap_or(usize::MAX);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(folder.join("chunks.slab"))?;
        file.set_len(count as u64 * CHUNK_BYTES)?;
        let slots = Slots {
            by_key: HashMap::new(),
            slots: vec![Place::default(); count],
            empty: (0..count).rev().collect(),
            idle: BTreeMap::new(),
            uses: 0,
        };
        let (file, slots) = (Arc::new(file), Mutex::new(slots));
        Ok(Arc::new(Self { file, slots, freed: Notify::new() }))
    }

    /// How many chunks there is room for.
    pub(crate) fn slots(&self) -> usize {
        self.slots.lock().slots.len()
    }

    /// The chunk, when it is here. Looks into memory only.
    pub(crate) fn get(self: &Arc<Self>, key: &ChunkKey) -> Lookup {
        let mut slots = self.slots.lock();
        let Some(&slot) = slots.by_key.get(key) else { return Lookup::Missing };
        let len = slots.pin(slot);
        Lookup::Ready(Arc::new(Pin { slab: Arc::clone(self), slot, len }))
    }

    /// A slot to fill: an empty one, or the one that was used longest ago and that nobody holds.
    pub(crate) async fn reserve(self: &Arc<Self>) -> Result<Slot, CacheFull> {
        let wait = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(slot) = self.slots.lock().take() {
                    break Slot { slab: Arc::clone(self), slot, filled: false };
                }
                freed.await;
            }
        };
        tokio::time::timeout(SLOT_WAIT, wait).await.map_err(|_| CacheFull)
    }

    fn unpin(&self, slot: usize) {
        self.slots.lock().unpin(slot);
        self.freed.notify_one();
    }
}

impl Slots {
    fn pin(&mut self, slot: usize) -> u64 {
        self.uses += 1;
        let Place { pins, used, len, .. } = &mut self.slots[slot];
        self.idle.remove(used);
        *pins += 1;
        *used = self.uses;
        *len
    }

    fn unpin(&mut self, slot: usize) {
        let Place { pins, used, .. } = &mut self.slots[slot];
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

impl Slot {
    /// Writes the chunk into the slot, off the async threads, and makes it findable.
    pub(crate) async fn fill(self, key: ChunkKey, bytes: Bytes) -> io::Result<Arc<Pin>> {
        let fill = tokio::task::spawn_blocking(move || self.fill_now(key, &bytes));
        fill.await.map_err(io::Error::other)?
    }

    fn fill_now(mut self, key: ChunkKey, bytes: &[u8]) -> io::Result<Arc<Pin>> {
        self.slab.file.write_all_at(bytes, self.slot as u64 * CHUNK_BYTES)?;
        self.filled = true;
        let len = bytes.len() as u64;
        let mut slots = self.slab.slots.lock();
        slots.slots[self.slot].key = Some(key);
        slots.slots[self.slot].len = len;
        if let Some(before) = slots.by_key.insert(key, self.slot) {
            slots.slots[before].key = None;
        }
        slots.pin(self.slot);
        drop(slots);
        Ok(Arc::new(Pin { slab: Arc::clone(&self.slab), slot: self.slot, len }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.filled {
            self.slab.slots.lock().empty.push(self.slot);
            self.slab.freed.notify_one();
        }
    }
}

impl Pin {
    /// The file that the chunk lies in.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.slab.file
    }

    /// Where the chunk starts in it.
    pub(crate) fn position(&self) -> u64 {
        self.slot as u64 * CHUNK_BYTES
    }

    /// The length of the chunk.
    pub(crate) fn len(&self) -> u64 {
        self.len
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

    fn key(chunk: u32) -> ChunkKey {
        ChunkKey { segment: SegmentId::from_bytes([1; 16]), chunk }
    }

    async fn fill(slab: &Arc<Slab>, chunk: u32) -> Arc<Pin> {
        let bytes = Bytes::from(vec![u8::try_from(chunk).unwrap(); 8]);
        slab.reserve().await.unwrap().fill(key(chunk), bytes).await.unwrap()
    }

    fn get(slab: &Arc<Slab>, chunk: u32) -> Option<Arc<Pin>> {
        match slab.get(&key(chunk)) {
            Lookup::Ready(pin) => Some(pin),
            Lookup::Unchecked(_) | Lookup::Missing => None,
        }
    }

    fn read(pin: &Pin) -> u8 {
        let mut bytes = [0; 8];
        assert_eq!(pin.len(), 8);
        pin.file().read_exact_at(&mut bytes, pin.position()).unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        bytes[0]
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_chunk_stays_while_others_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let slab = Slab::open(folder.path(), 3 * CHUNK_BYTES).unwrap();
        let held = fill(&slab, 1).await;
        for chunk in 2..10 {
            assert_eq!(read(&*fill(&slab, chunk).await), u8::try_from(chunk).unwrap());
        }
        assert_eq!(read(&held), 1);
        assert!(get(&slab, 2).is_none(), "evicted");
        assert_eq!(read(&get(&slab, 9).unwrap()), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn when_every_slot_is_held_a_download_waits_and_then_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let slab = Slab::open(folder.path(), 2 * CHUNK_BYTES).unwrap();
        let (one, _two) = (fill(&slab, 1).await, fill(&slab, 2).await);
        assert!(slab.reserve().await.is_err());
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
