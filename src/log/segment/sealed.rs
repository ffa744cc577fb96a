//! A segment that never changes again. Its files are opened when they are first read, so a log
//! with years of segments costs memory for a few numbers each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

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
}

impl Sealed {
    /// A segment known by its numbers; nothing is opened.
    pub(in crate::log) fn known(
        dir: &Path,
        base: Offset,
        extent: Extent,
        first_timestamp_ms: i64,
    ) -> Self {
        let open = ArcSwapOption::empty();
        Self { dir: dir.to_owned(), base, extent, first_timestamp_ms, open }
    }

    /// The segment that `view` shows, which grows no more.
    pub(super) fn of(view: Arc<View>, dir: &Path) -> io::Result<Self> {
        let (base, extent, first) = (view.base(), view.extent(), view.first_timestamp()?);
        let sealed = Self::known(dir, base, extent, first);
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
    pub fn index_bytes(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let view = self.view()?;
        Ok((view.offsets.bytes()?, view.times.bytes()?))
    }

    /// Opens the files, or gives the open ones.
    ///
    /// # Errors
    /// What the disk says.
    pub fn view(&self) -> io::Result<Arc<View>> {
        if let Some(view) = self.open.load_full() {
            return Ok(view);
        }
        // Two readers may open it at once; one view wins, both are right.
        let view = Arc::new(View::open(&self.dir, self.base, self.extent, 0)?);
        self.open.store(Some(view.clone()));
        Ok(view)
    }

    /// Lets go of the open files; readers that have them keep them.
    pub fn close(&self) {
        self.open.store(None);
    }

    /// Whether the files are open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load().is_some()
    }
}
