//! A segment that never changes again. Its files are opened when they are read and closed for those
//! that are read later ([`OpenSegments`]), so a log with years of segments costs memory for a few
//! numbers each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use super::open::OpenSegments;
use super::view::{Extent, View};
use crate::log::file_names::{FileKind, path};
use crate::model::Offset;

/// A sealed segment.
#[derive(Debug)]
pub struct Sealed {
    dir: PathBuf,
    base: Offset,
    extent: Extent,
    first_timestamp_ms: i64,
    open: ArcSwapOption<View>,
    /// Whether it was read since it was last asked.
    was_read: AtomicBool,
    /// Whether it is counted among those that are open.
    is_counted: AtomicBool,
    others: Arc<OpenSegments>,
}

impl Sealed {
    /// A segment known by its numbers; nothing is opened.
    pub(in crate::log) fn known(
        dir: &Path,
        base: Offset,
        extent: Extent,
        first_timestamp_ms: i64,
        others: &Arc<OpenSegments>,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            base,
            extent,
            first_timestamp_ms,
            open: ArcSwapOption::empty(),
            was_read: AtomicBool::new(false),
            is_counted: AtomicBool::new(false),
            others: others.clone(),
        }
    }

    /// The segment that `view` shows, which grows no more. It stays open until it was
    /// [synced](Self::synced).
    pub(super) fn of(view: Arc<View>, dir: &Path, others: &Arc<OpenSegments>) -> io::Result<Self> {
        let (base, extent, first) = (view.base(), view.extent(), view.first_timestamp()?);
        let sealed = Self::known(dir, base, extent, first, others);
        sealed.open.store(Some(view));
        Ok(sealed)
    }

    /// The first offset.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.base
    }

    /// The last offset, inclusive.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.extent.end.prev()
    }

    /// The offset after the last.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.extent.end
    }

    /// Bytes of the log file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.extent.size
    }

    /// The first batch's base timestamp, in milliseconds, -1 for none.
    #[must_use]
    pub fn first_timestamp_ms(&self) -> i64 {
        self.first_timestamp_ms
    }

    /// The largest timestamp, in milliseconds, -1 for none.
    #[must_use]
    pub fn max_timestamp_ms(&self) -> i64 {
        self.extent.max_timestamp_ms
    }

    /// Where the file of that kind lies.
    #[must_use]
    pub fn path(&self, kind: FileKind) -> PathBuf {
        path(&self.dir, self.base, kind)
    }

    /// Where the snapshot of the producers after this segment lies.
    #[must_use]
    pub fn snapshot_after(&self) -> PathBuf {
        path(&self.dir, self.extent.end, FileKind::ProducerSnapshot)
    }

    /// The bytes of the offset index and the time index.
    ///
    /// # Errors
    /// What the disk says.
    pub fn index_bytes(self: &Arc<Self>) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let view = self.view()?;
        Ok((view.offsets.bytes()?, view.times.bytes()?))
    }

    /// Opens the files, or gives the open ones. Whoever has them keeps them when they are closed for
    /// others.
    ///
    /// # Errors
    /// What the disk says.
    pub fn view(self: &Arc<Self>) -> io::Result<Arc<View>> {
        if !self.was_read.load(Ordering::Relaxed) {
            self.was_read.store(true, Ordering::Relaxed);
        }
        if let Some(view) = self.open.load_full() {
            return Ok(view);
        }
        // Two readers may open it at once; one view wins, both are right.
        let view = Arc::new(View::open(&self.dir, self.base, self.extent, 0)?);
        self.open.store(Some(view.clone()));
        self.count();
        Ok(view)
    }

    /// All of it is on stable storage: the files may be closed for others.
    pub(in crate::log) fn synced(self: &Arc<Self>) {
        if self.is_open() {
            self.count();
        }
    }

    fn count(self: &Arc<Self>) {
        if !self.is_counted.swap(true, Ordering::AcqRel) {
            self.others.opened(self);
        }
    }

    /// Whether it was read since this was last asked.
    pub(super) fn was_read(&self) -> bool {
        self.was_read.swap(false, Ordering::Relaxed)
    }

    /// Lets go of the open files, and gives them to whoever wants to wait until they are closed.
    pub(in crate::log) fn close(&self) -> Option<Arc<View>> {
        self.is_counted.store(false, Ordering::Release);
        self.open.swap(None)
    }

    /// Whether the files are open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load().is_some()
    }
}
