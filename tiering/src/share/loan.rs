//! Chunks that lie in another process's cache, held here.
//!
//! ```text
//! owner says "slot 7"  ->  lock slot 7 of the slab file  ->  is it still the same owner's era?
//! ```
//! While the owner lives it keeps the slot for this process; when it is gone, or does not know of this
//! process any more, the lock does. An owner begins its era before it looks at the locks, and writes
//! over nothing before that. So one of two things is seen: the lock by the next owner, or the next era
//! here, and then the chunk is not touched.
//!
//! Invariant: nobody reads a slot of another process's cache but through a [`Loan`], and as long as
//! one lives nobody writes to its slot.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::frame::{GuestSays, Placed, Terms};
use crate::cache::{CHUNK_BYTES, Pin, open_era, read_era, slab_name, slot_locks};

/// The files of an owner's cache, and what this process holds in them.
pub(super) struct Lender {
    folder: PathBuf,
    terms: Terms,
    era: File,
    slabs: Mutex<HashMap<u32, Arc<File>>>,
    /// How often each slot is held: its lock is one.
    held: Mutex<HashMap<u32, u32>>,
    loans: AtomicU32,
    /// To the owner, as long as it is there.
    out: mpsc::UnboundedSender<Bytes>,
}

/// A chunk that is kept in its place until this is dropped.
pub(super) struct Loan {
    lender: Arc<Lender>,
    place: Placed,
    file: Option<Arc<File>>,
}

impl Lender {
    pub(super) fn new(
        folder: &Path,
        terms: Terms,
        out: mpsc::UnboundedSender<Bytes>,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            terms,
            era: open_era(folder)?,
            slabs: Mutex::default(),
            held: Mutex::default(),
            loans: AtomicU32::new(0),
            out,
        }))
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How many chunks are held.
    pub(super) fn loans(&self) -> u32 {
        self.loans.load(Ordering::Relaxed)
    }

    /// Tells the owner something. It does not wait; what the owner is not there to hear is lost.
    pub(super) fn tell(&self, says: &GuestSays) {
        let _ = self.out.send(says.encode());
    }

    /// Takes over a hold that the owner has counted for this process. It is given back with the
    /// loan, and at once when the chunk cannot be had.
    ///
    /// # Errors
    /// When the files are not those of that owner, or cannot be locked.
    pub(super) fn lend(self: &Arc<Self>, place: Placed) -> io::Result<Loan> {
        self.loans.fetch_add(1, Ordering::Relaxed);
        let mut loan = Loan { lender: Arc::clone(self), place, file: None };
        if place.slot >= self.terms.slots {
            return Err(io::Error::other("the owner of the cache names a slot that it has not"));
        }
        let file = self.slab(place.slot / self.terms.slots_per_slab)?;
        self.lock(&file, place.slot)?;
        loan.file = Some(file);
        if read_era(&self.era)? == self.terms.era {
            Ok(loan)
        } else {
            Err(io::Error::other("the cache has another owner now"))
        }
    }

    fn slab(&self, slab: u32) -> io::Result<Arc<File>> {
        let mut slabs = self.slabs.lock();
        if let Some(file) = slabs.get(&slab) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.folder.join(slab_name(slab)))?);
        slabs.insert(slab, Arc::clone(&file));
        Ok(file)
    }

    fn bytes(&self, slot: u32) -> Range<u64> {
        let start = u64::from(slot % self.terms.slots_per_slab) * CHUNK_BYTES;
        start..start + CHUNK_BYTES
    }

    fn lock(&self, file: &File, slot: u32) -> io::Result<()> {
        let mut held = self.held.lock();
        let holds = held.entry(slot).or_insert(0);
        if *holds == 0
            && let Err(error) = slot_locks::lock(file, &self.bytes(slot))
        {
            held.remove(&slot);
            return Err(error);
        }
        *holds += 1;
        Ok(())
    }

    fn unlock(&self, file: &File, slot: u32) {
        let mut held = self.held.lock();
        let Some(holds) = held.get_mut(&slot) else { return };
        *holds -= 1;
        if *holds > 0 {
            return;
        }
        held.remove(&slot);
        if let Err(error) = slot_locks::unlock(file, &self.bytes(slot)) {
            tracing::warn!(%error, slot, "a slot of the read cache stays locked");
        }
    }
}

impl Loan {
    /// Reads the chunk into the start of a room that is large enough. Blocks.
    pub(super) fn read<'r>(&self, room: &'r mut [u8]) -> io::Result<&'r [u8]> {
        let bytes = room.get_mut(..self.place.len as usize).ok_or(io::ErrorKind::InvalidInput)?;
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(bytes, self.lender.bytes(self.place.slot).start)?;
        Ok(bytes)
    }

    /// The number of its slot.
    pub(super) fn slot(&self) -> u32 {
        self.place.slot
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        u64::from(self.place.len)
    }

    /// For readers. Nothing without a file, which a loan that was given out always has.
    pub(super) fn into_pin(self) -> Option<Arc<Pin>> {
        let file = Arc::clone(self.file.as_ref()?);
        let (position, len) = (self.lender.bytes(self.place.slot).start, self.place.len);
        Some(Arc::new(Pin::lent(file, position, len, Box::new(self))))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            self.lender.unlock(file, self.place.slot);
        }
        self.lender.loans.fetch_sub(1, Ordering::Relaxed);
        self.lender.tell(&GuestSays::Release { slot: self.place.slot });
    }
}
