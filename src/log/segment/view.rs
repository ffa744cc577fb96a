//! A segment as readers see it: a log file with its indexes, growing or not.
//!
//! Invariant: everything below the published size is whole batches, and the published end is the
//! offset after the last of them. Both change together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::scan::{Found, Headers};
use crate::log::file_names::{FileKind, path};
use crate::log::index::{OffsetIndex, TimeIndex};
use crate::model::{FileSlice, LeaderEpoch, Offset};
use crate::record::{BatchHeader, Codec, HEADER_LEN, Records};

/// Unpacked records of one batch take at most this much when a time is looked up in it.
const UNPACK_BYTES_MAX: usize = 256 << 20;
/// Held while a batch is unpacked for a search.
static UNPACKING: Mutex<()> = Mutex::new(());

/// How far a segment reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset after the last record.
    pub end: Offset,
    /// Bytes of whole batches.
    pub size: u64,
    /// The largest timestamp, -1 when there is none.
    pub max_timestamp_ms: i64,
}

/// Whole batches of one segment.
#[derive(Clone, Debug)]
pub struct LogSlice {
    /// The file range.
    pub slice: FileSlice,
}

impl LogSlice {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.slice.len).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slice.len == 0
    }
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// The record's place.
    pub offset: Offset,
    /// Its time, in milliseconds; -1 when it was not asked for.
    pub timestamp_ms: i64,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// A segment open for reading.
#[derive(Debug)]
pub struct View {
    pub(in crate::log) base: Offset,
    pub(in crate::log) log: Arc<File>,
    pub(in crate::log) offsets: OffsetIndex,
    pub(in crate::log) times: TimeIndex,
    extent: Mutex<Extent>,
}

impl View {
    /// Creates the files of a segment. What a roll that failed left in their places is emptied:
    /// no record lies there.
    pub(super) fn create(
        dir: &Path,
        base: Offset,
        extent: Extent,
        index_bytes_max: usize,
    ) -> io::Result<Self> {
        let path = path(dir, base, FileKind::Log);
        let log = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut view = Self::over(dir, base, log, extent, index_bytes_max)?;
        view.offsets.clear()?;
        view.times.clear()?;
        Ok(view)
    }

    /// Opens the files of a segment; what it holds is told by `extent`.
    pub(in crate::log) fn open(
        dir: &Path,
        base: Offset,
        extent: Extent,
        index_bytes_max: usize,
    ) -> io::Result<Self> {
        let log = File::options().read(true).write(true).open(path(dir, base, FileKind::Log))?;
        Self::over(dir, base, log, extent, index_bytes_max)
    }

    fn over(
        dir: &Path,
        base: Offset,
        log: File,
        extent: Extent,
        index_bytes_max: usize,
    ) -> io::Result<Self> {
        let offsets = path(dir, base, FileKind::OffsetIndex);
        let times = path(dir, base, FileKind::TimeIndex);
        Ok(Self {
            base,
            log: Arc::new(log),
            offsets: OffsetIndex::open(&offsets, base, index_bytes_max)?,
            times: TimeIndex::open(&times, base, index_bytes_max)?,
            extent: Mutex::new(extent),
        })
    }

    /// The segment's first offset.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.base
    }

    /// How far it reaches now.
    #[must_use]
    pub fn extent(&self) -> Extent {
        *self.extent.lock()
    }

    pub(in crate::log) fn publish(&self, extent: Extent) {
        *self.extent.lock() = extent;
    }

    /// Whole batches from the one that holds `from` (or, in a gap, the next one) on: at most
    /// `max_bytes` of them and none that reaches `upper`, but the first one in any case when
    /// `min_one` is set. `None` when the segment has none of them.
    pub(crate) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        upper: Offset,
        min_one: bool,
    ) -> io::Result<Option<LogSlice>> {
        let extent = self.extent();
        let Some(first) = self.find(from, extent.size)? else { return Ok(None) };
        if first.header.last_offset() >= upper {
            return Ok(None);
        }
        let limit =
            if upper >= extent.end { extent.size } else { self.position_of(upper, extent)? };
        let end = self.border(&first, max_bytes as u64, limit)?;
        let end = if end == first.position && min_one { first.end() } else { end };
        let len = end - first.position;
        let slice = FileSlice::new(self.log.clone(), first.position, len);
        Ok((len > 0).then_some(LogSlice { slice }))
    }

    /// The first batch that ends at or after `from`.
    pub(crate) fn find(&self, from: Offset, limit: u64) -> io::Result<Option<Found>> {
        let start = self.offsets.floor(from)?.map_or(0, |entry| entry.position);
        let mut headers = Headers::new(&self.log, start, limit);
        while let Some(found) = headers.next()? {
            if found.header.last_offset() >= from {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Where the first batch lies that reaches `offset`.
    fn position_of(&self, offset: Offset, extent: Extent) -> io::Result<u64> {
        Ok(self.find(offset, extent.size)?.map_or(extent.size, |found| found.position))
    }

    /// The last batch border at most `max_bytes` after the start of `first`, and not after
    /// `limit`. The index knows one within its interval; only without it the headers are walked.
    fn border(&self, first: &Found, max_bytes: u64, limit: u64) -> io::Result<u64> {
        let wanted = first.position.saturating_add(max_bytes);
        if wanted >= limit {
            return Ok(limit);
        }
        if let Some(entry) = self.offsets.floor_position(wanted)?
            && entry.position > first.position
        {
            return Ok(entry.position);
        }
        let mut headers = Headers::new(&self.log, first.position, limit);
        let mut border = first.position;
        while let Some(found) = headers.next()? {
            if found.end() > wanted {
                break;
            }
            border = found.end();
        }
        Ok(border)
    }

    /// The first record at or after `from` whose timestamp is at least `timestamp_ms`.
    pub(crate) fn find_time(
        &self,
        timestamp_ms: i64,
        from: Offset,
    ) -> io::Result<Option<TimestampedOffset>> {
        let extent = self.extent();
        let after = self.times.before(timestamp_ms)?.map_or(self.base, |entry| entry.offset.next());
        let Some(start) = self.find(after.max(from), extent.size)? else { return Ok(None) };
        let mut headers = Headers::new(&self.log, start.position, extent.size);
        while let Some(found) = headers.next()? {
            if found.header.max_timestamp < timestamp_ms {
                continue;
            }
            let batch = self.batch(&found)?;
            if let Some(found) = find_in_batch(&batch, timestamp_ms, from)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A whole batch.
    pub(crate) fn batch(&self, found: &Found) -> io::Result<Bytes> {
        let len = usize::try_from(found.header.batch_len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.log.read_exact_at(&mut bytes, found.position)?;
        Ok(bytes.into())
    }

    /// The first batch's base timestamp, -1 when the segment is empty.
    pub(crate) fn first_timestamp(&self) -> io::Result<i64> {
        let mut headers = Headers::new(&self.log, 0, self.extent().size);
        Ok(headers.next()?.map_or(-1, |found| found.header.base_timestamp))
    }

    /// Calls `each` for every batch from `position` on.
    pub(crate) fn for_each_header(
        &self,
        position: u64,
        mut each: impl FnMut(&Found),
    ) -> io::Result<()> {
        let mut headers = Headers::new(&self.log, position, self.extent().size);
        while let Some(found) = headers.next()? {
            each(&found);
        }
        Ok(())
    }
}

/// The first record of a batch at or after `from` with at least that timestamp.
pub(crate) fn find_in_batch(
    batch: &Bytes,
    timestamp_ms: i64,
    from: Offset,
) -> io::Result<Option<TimestampedOffset>> {
    // Clients choose when this runs and what it unpacks to: side by side it would fill the memory.
    let header = batch.first_chunk::<HEADER_LEN>().map(BatchHeader::read);
    let packed = header.as_ref().is_some_and(|header| header.codec() != Some(Codec::None));
    let _one_at_a_time = packed.then(|| UNPACKING.lock());
    let leader_epoch = header.map_or(LeaderEpoch::NONE, |header| header.leader_epoch);
    for record in Records::of_batch(batch, UNPACK_BYTES_MAX).map_err(io::Error::other)? {
        let record = record.map_err(io::Error::other)?;
        if record.offset >= from && record.timestamp_ms >= timestamp_ms {
            let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
            return Ok(Some(TimestampedOffset { offset, timestamp_ms, leader_epoch }));
        }
    }
    Ok(None)
}
