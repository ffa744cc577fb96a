//! The one segment of a log that grows.
//!
//! Invariant: the file is never longer than what was published, but for a write that is under way
//! or was cut by a crash; recovery cuts the latter off.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open::OpenSegments;
use super::sealed::Sealed;
use super::view::{Extent, View};
use crate::log::index::{OffsetEntry, TimeEntry};
use crate::model::Offset;
use crate::record::{BatchHeader, HeaderBytes};

/// Most slices that the kernel takes in one write.
const SLICES_MAX: usize = 1024;

/// A batch as it goes to the disk: its stamped header and the body as it came.
#[derive(Debug)]
pub(crate) struct Stamped<'a> {
    /// The fields.
    pub header: BatchHeader,
    /// The same as bytes.
    pub bytes: HeaderBytes,
    /// The records.
    pub body: &'a [u8],
}

impl Stamped<'_> {
    fn len(&self) -> u64 {
        (self.bytes.len() + self.body.len()) as u64
    }
}

/// The writer's end of a segment.
#[derive(Debug)]
pub(crate) struct Active {
    dir: PathBuf,
    view: Arc<View>,
    index_interval_bytes: usize,
    bytes_since_index: usize,
    /// The largest timestamp so far and the last offset of its batch.
    max_timestamp: TimeEntry,
    /// The first batch's largest timestamp: from it on the segment's age is counted.
    first_timestamp_ms: Option<i64>,
    /// When this process first wrote to it or opened it.
    opened_ms: i64,
}

impl Active {
    /// Creates an empty segment.
    pub(in crate::log) fn create(
        dir: &Path,
        base: Offset,
        index_bytes_max: usize,
        index_interval_bytes: usize,
        now_ms: i64,
    ) -> io::Result<Self> {
        let extent = Extent { end: base, size: 0, max_timestamp_ms: -1 };
        let view = View::create(dir, base, extent, index_bytes_max)?;
        let max_timestamp = TimeEntry { timestamp_ms: -1, offset: base };
        Ok(Self::over(dir, view, max_timestamp, index_interval_bytes, now_ms))
    }

    /// Takes over a segment whose extent and largest timestamp are known.
    pub(in crate::log) fn over(
        dir: &Path,
        view: View,
        max_timestamp: TimeEntry,
        index_interval_bytes: usize,
        now_ms: i64,
    ) -> Self {
        let first = if view.extent().size == 0 { None } else { view.first_timestamp().ok() };
        Self {
            dir: dir.to_owned(),
            view: Arc::new(view),
            index_interval_bytes,
            bytes_since_index: 0,
            max_timestamp,
            first_timestamp_ms: first,
            opened_ms: now_ms,
        }
    }

    /// Its first offset.
    #[must_use]
    pub(crate) fn base(&self) -> Offset {
        self.view.base
    }

    /// The readers' end.
    #[must_use]
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Bytes so far.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.view.extent().size
    }

    /// Whether an index has no room.
    #[must_use]
    pub(crate) fn index_is_full(&self) -> bool {
        self.view.offsets.is_full() || self.view.times.is_full()
    }

    /// How old the segment is by the clock of its records: `timestamp_ms` (a new batch's, or the
    /// time of day) against the first batch's. Without timestamps the time of day counts.
    #[must_use]
    pub(crate) fn age_ms(&self, timestamp_ms: i64, now_ms: i64) -> i64 {
        match self.first_timestamp_ms {
            Some(first) if first >= 0 => timestamp_ms.saturating_sub(first),
            _ if self.size() == 0 => 0,
            _ => now_ms.saturating_sub(self.opened_ms),
        }
    }

    /// How long this process has had the segment open with something in it.
    #[must_use]
    pub(crate) fn open_for_ms(&self, now_ms: i64) -> i64 {
        if self.size() == 0 { 0 } else { now_ms.saturating_sub(self.opened_ms) }
    }

    /// Writes batches in one go, indexes them and shows them to readers. On an error nothing is
    /// shown, and the file is cut back to what was there.
    ///
    /// # Errors
    /// What the disk says.
    pub(in crate::log) fn append(
        &mut self,
        batches: &[Stamped<'_>],
        now_ms: i64,
    ) -> io::Result<()> {
        let mut extent = self.view.extent();
        if extent.size == 0 {
            self.opened_ms = now_ms;
        }
        if let Err(error) = self.write(batches, extent.size) {
            // What cannot be cut off now is cut off by the next recovery.
            self.view.log.set_len(extent.size)?;
            return Err(error);
        }
        for batch in batches {
            // An index that misses an entry is slower, never wrong: the next one may fit.
            if let Err(error) = self.index(batch, extent.size) {
                tracing::warn!(segment = %self.view.base, %error, "an index entry was not written");
            }
            extent.size += batch.len();
            extent.end = batch.header.last_offset().next();
            extent.max_timestamp_ms = self.max_timestamp.timestamp_ms;
        }
        self.view.publish(extent);
        Ok(())
    }

    fn write(&self, batches: &[Stamped<'_>], mut position: u64) -> io::Result<()> {
        let slices = batches.iter().flat_map(|batch| [&batch.bytes[..], batch.body]);
        let mut slices: Vec<_> = slices.map(IoSlice::new).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(SLICES_MAX)];
            match rustix::io::pwritev(&*self.view.log, some, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Notes a batch at `position`, as Kafka does: time first, then an entry for each interval.
    fn index(&mut self, batch: &Stamped<'_>, position: u64) -> io::Result<()> {
        let header = &batch.header;
        if self.first_timestamp_ms.is_none() {
            self.first_timestamp_ms = Some(header.base_timestamp);
        }
        if header.max_timestamp > self.max_timestamp.timestamp_ms {
            self.max_timestamp =
                TimeEntry { timestamp_ms: header.max_timestamp, offset: header.last_offset() };
        }
        // An index may fill up within one write: what it misses is found by a longer scan.
        let due = self.bytes_since_index > self.index_interval_bytes && !self.index_is_full();
        if due {
            self.bytes_since_index = 0;
        }
        self.bytes_since_index += usize::try_from(batch.len()).unwrap_or(usize::MAX);
        if due {
            self.view.offsets.push(OffsetEntry { last_offset: header.last_offset(), position })?;
            self.view.times.push(self.max_timestamp)?;
        }
        Ok(())
    }

    /// Finishes the segment: the last time entry is written and the indexes are cut to size.
    ///
    /// # Errors
    /// What the disk says; the segment can still grow then.
    pub(in crate::log) fn seal(&self, others: &Arc<OpenSegments>) -> io::Result<Arc<Sealed>> {
        if self.max_timestamp.timestamp_ms >= 0 {
            self.view.times.push(self.max_timestamp)?;
        }
        self.view.offsets.trim()?;
        self.view.times.trim()?;
        Ok(Arc::new(Sealed::of(self.view.clone(), &self.dir, others)?))
    }
}
