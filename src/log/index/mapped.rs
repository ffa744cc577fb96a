//! A file of fixed-size entries: written by `pwrite`, read through a mapping.
//!
//! Entries are never written through the mapping, so a full disk is an error of `pwrite` and not a
//! signal that ends the process. The mapping reaches to the file's largest size; only entries
//! below the published count are touched, and those are in the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Entries of `N` bytes.
#[derive(Debug)]
pub(super) struct Mapped<const N: usize> {
    file: File,
    count: AtomicUsize,
    capacity: usize,
    map: OnceLock<MmapRaw>,
}

impl<const N: usize> Mapped<N> {
    /// Opens or creates the file, with room for at least `capacity` entries, and for one more than
    /// it holds; bytes after the last whole entry are not counted.
    pub(super) fn open(path: &Path, capacity: usize) -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let count = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)? / N;
        let capacity = capacity.max(count + 1);
        Ok(Self { file, count: AtomicUsize::new(count), capacity, map: OnceLock::new() })
    }

    /// Entries that can be read.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Entries that still fit.
    pub(super) fn room(&self) -> usize {
        self.capacity - self.count()
    }

    /// Adds an entry. One thread at a time.
    pub(super) fn push(&self, entry: [u8; N]) -> io::Result<()> {
        let count = self.count();
        if count >= self.capacity {
            return Err(io::Error::other("the index is full"));
        }
        self.file.write_all_at(&entry, (count * N) as u64)?;
        self.count.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// The entry with number `at`, below [`Mapped::count`].
    pub(super) fn get(&self, at: usize) -> io::Result<[u8; N]> {
        assert!(at < self.count(), "entry {at} of {}", self.count());
        let map = self.map()?;
        let mut entry = [0; N];
        // SAFETY: the mapping is `capacity * N` bytes long and `at < count <= capacity`; the bytes
        // lie within the file, since `count` is published only after they were written and only
        // `truncate` takes it back, which has the file to itself. Nobody writes these bytes again
        // while they are below `count`.
        unsafe { std::ptr::copy_nonoverlapping(map.as_ptr().add(at * N), entry.as_mut_ptr(), N) };
        Ok(entry)
    }

    fn map(&self) -> io::Result<&MmapRaw> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = MmapOptions::new().len(self.capacity * N).map_raw_read_only(&self.file)?;
        Ok(self.map.get_or_init(|| map))
    }

    /// Forgets all entries but the first `count`. Only before the index is shared.
    pub(super) fn truncate(&mut self, count: usize) -> io::Result<()> {
        self.file.set_len((count * N) as u64)?;
        self.count.store(count, Ordering::Release);
        Ok(())
    }

    /// Cuts off what follows the last entry: a zero tail that another program allocated.
    pub(super) fn trim(&self) -> io::Result<()> {
        self.file.set_len((self.count() * N) as u64)
    }

    /// Makes the entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// All entries as bytes, for an upload.
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.count() * N];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The number of entries for which `before` holds; they must come first.
    pub(super) fn partition_point(
        &self,
        mut before: impl FnMut([u8; N]) -> bool,
    ) -> io::Result<usize> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.get(middle)?) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}
