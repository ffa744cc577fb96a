//! Who holds a slot: readers by a [`Pin`], a check by an [`Unchecked`], a download by a [`Slot`], and
//! another process by a [`Held`].
//!
//! Invariant: each of them gives up its slot exactly once, when it is dropped, wherever that is: in
//! the reader, in a queue, or on a thread of the cache.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::lanes::{IsRight, Job};
use super::shared::Shared;
use super::slabs::Place;
use super::slots::Found;
use super::{CHUNK_BYTES, Cache, CacheClass, ChunkKey, Lookup};

/// Keeps a filled slot from being overwritten.
pub(super) struct Hold {
    shared: Arc<Shared>,
    slot: u32,
}

impl Hold {
    /// Takes over a hold that [`super::slots::Slots`] has counted.
    pub(super) fn of(shared: &Arc<Shared>, slot: u32) -> Self {
        Self { shared: Arc::clone(shared), slot }
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let free = self.shared.slots.lock().release(self.slot);
        if free {
            self.shared.freed.notify_one();
        }
    }
}

/// A chunk in its place until this is dropped, for who checks it by himself.
pub(crate) struct Held {
    hold: Hold,
    len: u32,
    is_checked: bool,
}

impl Held {
    pub(super) fn new(shared: &Arc<Shared>, found: Found) -> Self {
        let Found { slot, len, checked, .. } = found;
        Self { hold: Hold::of(shared, slot), len, is_checked: checked }
    }

    /// A slot that is kept, not for what is in it.
    pub(super) fn left(shared: &Arc<Shared>, slot: u32) -> Self {
        Self { hold: Hold::of(shared, slot), len: 0, is_checked: false }
    }

    /// The number of its slot.
    pub(crate) fn slot(&self) -> u32 {
        self.hold.slot
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// For a reader of this process.
    pub(crate) fn into_found(self, cache: &Arc<Cache>, key: ChunkKey) -> Lookup {
        let Self { hold, len, is_checked } = self;
        if !is_checked {
            return Lookup::Unchecked(Unchecked { cache: Arc::clone(cache), hold, key, len });
        }
        hold.shared.counters.chunk_hits.bump();
        Lookup::Ready(Arc::new(Pin::new(hold, len)))
    }
}

/// A chunk, right and in its place until this is dropped.
pub(crate) struct Pin {
    _keeper: Keeper,
    place: Place,
    len: u32,
}

/// What keeps a chunk in its place.
enum Keeper {
    Slot { _hold: Hold },
    Other { _loan: Box<dyn Send + Sync> },
}

impl Pin {
    pub(super) fn new(hold: Hold, len: u32) -> Self {
        let place = hold.shared.slabs.place(hold.slot);
        Self { _keeper: Keeper::Slot { _hold: hold }, place, len }
    }

    /// A chunk in another process's cache, which stays as long as `loan` is not dropped.
    pub(crate) fn lent(
        file: Arc<File>,
        position: u64,
        len: u32,
        loan: Box<dyn Send + Sync>,
    ) -> Self {
        Self { _keeper: Keeper::Other { _loan: loan }, place: Place { file, position }, len }
    }

    /// The file that the chunk lies in.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.place.file
    }

    /// Where it starts in the file.
    pub(crate) fn position(&self) -> u64 {
        self.place.position
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.len)
    }
}

/// A chunk of an earlier run, held but not to be served yet.
#[must_use]
pub(crate) struct Unchecked {
    cache: Arc<Cache>,
    hold: Hold,
    key: ChunkKey,
    len: u32,
}

impl Unchecked {
    /// Reads the chunk on a thread of the cache and compares it with its checksum, and with what
    /// the reader knows of it. `None` when it is wrong or cannot be read, and then it is forgotten;
    /// and when the cache's disk is stuck.
    pub(crate) async fn check(self, is_right: Option<IsRight>) -> Option<Arc<Pin>> {
        let Self { cache, hold, key, len } = self;
        let (done, checked) = oneshot::channel();
        let slot = hold.slot();
        let job = Job::Check { hold, key, len, is_right, done };
        let pin = cache.lanes.run(slot, job, checked).await.ok()??;
        cache.shared.counters.chunk_hits.bump();
        Some(pin)
    }
}

/// A slot out of the queues, not filled yet.
pub(super) struct Reserved {
    shared: Arc<Shared>,
    slot: Option<u32>,
}

impl Reserved {
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.slots.lock().take(shared.now())?;
        shared.counters.chunk_evictions.add(u64::from(taken.evicted));
        Some(Self { shared: Arc::clone(shared), slot: Some(taken.slot) })
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot.unwrap_or_default()
    }

    /// The chunk is written: it is found under its key from here on, and held.
    pub(super) fn filled(mut self, key: ChunkKey, len: u32, is_checked: bool) -> Held {
        let slot = self.slot.take().unwrap_or_default();
        let found = self.shared.slots.lock().fill(slot, key, len, is_checked);
        // The chunk may have been there: then a slot is free.
        self.shared.freed.notify_one();
        Held::new(&self.shared, found)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.shared.slots.lock().give_back(slot);
            self.shared.freed.notify_one();
        }
    }
}

/// A slot for a chunk that is being downloaded. Dropped unfilled it is free again.
#[must_use]
pub(crate) struct Slot {
    cache: Arc<Cache>,
    reserved: Reserved,
}

impl Slot {
    pub(super) fn new(cache: &Arc<Cache>, reserved: Reserved) -> Self {
        Self { cache: Arc::clone(cache), reserved }
    }

    /// Writes the chunk, on a thread of the cache. It is found from then on, also when nobody waits
    /// for this any more.
    ///
    /// # Errors
    /// When the disk fails or is stuck; when `bytes` are none or more than a chunk has.
    pub(crate) async fn fill(
        self,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
    ) -> io::Result<Arc<Pin>> {
        let Held { hold, len, .. } = self.write(key, class, bytes, true).await?;
        Ok(Arc::new(Pin::new(hold, len)))
    }

    /// Writes what another process says is the chunk: it is compared with what its readers know of
    /// it before it is served here.
    ///
    /// # Errors
    /// As [`Slot::fill`].
    pub(crate) async fn fill_unchecked(
        self,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
    ) -> io::Result<Held> {
        self.write(key, class, bytes, false).await
    }

    async fn write(
        self,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
        is_checked: bool,
    ) -> io::Result<Held> {
        let Self { cache, reserved } = self;
        if bytes.is_empty() || bytes.len() as u64 > CHUNK_BYTES {
            let what = format!("a chunk of {} bytes", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let (done, filled) = oneshot::channel();
        let slot = reserved.slot();
        let job = Job::Fill { slot: reserved, key, class, bytes, is_checked, done };
        cache.lanes.run(slot, job, filled).await?
    }
}
