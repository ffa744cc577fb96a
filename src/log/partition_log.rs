//! The local log of one partition: one writer, many readers.
//!
//! Invariants: `log_start <= log_end` and `local_log_start <= log_end`; segments follow each other
//! without a gap, the last one is active; what is below `flushed` survives a power cut.
//!
//! The writer's state is behind one lock that only appends, rolls and upkeep take. Readers see an
//! immutable list of segments, swapped whole, and never wait for the writer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::epochs::Epochs;
use super::error::{AppendError, ReadError};
use super::file_names::{DELETED_SUFFIX, FileKind};
use super::options::{LogConfig, LogEnv};
use super::producer_snapshot::SnapshotEntry;
use super::producers::Producers;
use super::segment::{Active, LogSlice, Sealed, TimestampedOffset, View};
use crate::env::Edge;
use crate::model::{LeaderEpoch, Offset};

/// The segments that readers see.
#[derive(Debug)]
pub(super) struct Segments {
    /// By base offset.
    pub(super) sealed: Vec<Arc<Sealed>>,
    pub(super) active: Arc<View>,
}

impl Segments {
    /// The first offset on this disk.
    fn start(&self) -> Offset {
        self.sealed.first().map_or(self.active.base(), |first| first.base())
    }

    /// The number of the sealed segment that holds `offset`, or the number of sealed segments
    /// when it is the active one's.
    fn place(&self, offset: Offset) -> usize {
        self.sealed.partition_point(|segment| segment.end() <= offset)
    }

    fn view(&self, place: usize) -> io::Result<Arc<View>> {
        self.sealed.get(place).map_or_else(|| Ok(self.active.clone()), |sealed| sealed.view())
    }
}

/// What only the writer touches.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) active: Active,
    pub(super) producers: Producers,
}

/// The local log of a partition.
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) env: LogEnv,
    pub(super) config: ArcSwap<LogConfig>,
    pub(super) writer: Mutex<Writer>,
    pub(super) segments: ArcSwap<Segments>,
    pub(super) epochs: Mutex<Epochs>,
    pub(super) log_start: AtomicI64,
    pub(super) log_end: AtomicI64,
    /// Data below it was synced.
    pub(super) flushed: AtomicI64,
    /// Data and indexes below it were synced: recovery may begin there.
    pub(super) recovery_point: AtomicI64,
    /// Held while the recovery point moves: two at a time would write the same snapshot.
    pub(super) advancing: Mutex<()>,
    pub(super) sealed_bytes: AtomicU64,
    /// Files were created that the folder does not durably name yet.
    pub(super) folder_dirty: AtomicBool,
    /// Set with both locks held: whoever finds it unset under one of them may use the folder.
    pub(super) retired: AtomicBool,
    /// Why no more appends are taken.
    pub(super) failed: Mutex<Option<Arc<io::Error>>>,
}

fn load(offset: &AtomicI64) -> Offset {
    Offset::new(offset.load(Ordering::Acquire))
}

impl Log {
    /// The partition's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first offset that is not deleted. It may lie below all local segments.
    pub fn log_start(&self) -> Offset {
        load(&self.log_start)
    }

    /// The first offset that lies on this disk.
    pub fn local_log_start(&self) -> Offset {
        self.segments.load().start().max(self.log_start())
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        load(&self.log_end)
    }

    /// The offset after the last record whose transaction is decided. Transactional batches are
    /// refused, so every record is.
    pub fn last_stable(&self) -> Offset {
        self.log_end()
    }

    /// Records below it survive a power cut.
    pub fn flushed(&self) -> Offset {
        load(&self.flushed)
    }

    /// Where recovery would begin.
    pub fn recovery_point(&self) -> Offset {
        load(&self.recovery_point)
    }

    /// Bytes of records on this disk.
    pub fn size_bytes(&self) -> u64 {
        self.sealed_bytes.load(Ordering::Relaxed) + self.segments.load().active.extent().size
    }

    /// The local segments that never change again, by base offset.
    pub fn sealed(&self) -> Vec<Arc<Sealed>> {
        self.segments.load().sealed.clone()
    }

    /// How far the active segment reaches, and where it began.
    pub fn active_extent(&self) -> (Offset, super::segment::Extent) {
        let segments = self.segments.load();
        (segments.active.base(), segments.active.extent())
    }

    /// The base timestamp of the first local batch, -1 when there is none. Blocking.
    ///
    /// # Errors
    /// What the disk says.
    pub fn first_timestamp_ms(&self) -> io::Result<i64> {
        let segments = self.segments.load();
        let sealed = segments.sealed.first().map(|first| first.first_timestamp_ms());
        sealed.map_or_else(|| segments.active.first_timestamp(), Ok)
    }

    /// Takes over changed settings; they count from the next append on.
    pub fn configure(&self, config: LogConfig) {
        self.config.store(Arc::new(config));
    }

    /// Why the log takes no appends, if it does not.
    pub fn failure(&self) -> Option<Arc<io::Error>> {
        self.failed.lock().clone()
    }

    /// Whole batches from the one that holds `from` on: at most `max_bytes` of them, but the first
    /// one in any case when `min_one` is set; none that reaches `upper`; all from one segment.
    /// `None` when there is nothing to read there yet.
    ///
    /// # Errors
    /// When `from` is outside the log or below its local part, or the disk fails.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        upper: Offset,
        min_one: bool,
    ) -> Result<Option<LogSlice>, ReadError> {
        let (log_start, log_end) = (self.log_start(), self.log_end());
        if from < log_start || from > log_end {
            return Err(ReadError::OutOfRange { offset: from, log_start, log_end });
        }
        if from >= upper.min(log_end) {
            return Ok(None);
        }
        let segments = self.segments.load();
        if from < segments.start() {
            let local_log_start = segments.start();
            return Err(ReadError::BelowLocal { offset: from, local_log_start });
        }
        let view = segments.view(segments.place(from))?;
        self.check_folder()?;
        Ok(view.read(from, max_bytes, upper, min_one)?)
    }

    /// The first local record at or after the log start with at least that timestamp.
    ///
    /// # Errors
    /// When the disk fails or a batch does not unpack.
    pub fn offset_for_timestamp(&self, timestamp_ms: i64) -> io::Result<Option<TimestampedOffset>> {
        let (segments, start) = (self.segments.load_full(), self.local_log_start());
        let late_enough = |sealed: &&Arc<Sealed>| {
            sealed.end() > start && sealed.max_timestamp_ms() >= timestamp_ms
        };
        for sealed in segments.sealed.iter().filter(late_enough) {
            let view = sealed.view()?;
            self.check_folder()?;
            if let Some(found) = view.find_time(timestamp_ms, start)? {
                return Ok(Some(found));
            }
        }
        segments.active.find_time(timestamp_ms, start)
    }

    /// The largest timestamp of the local records, -1 when there is none.
    pub fn max_timestamp_ms(&self) -> i64 {
        let segments = self.segments.load();
        let sealed = segments.sealed.iter().map(|sealed| sealed.max_timestamp_ms()).max();
        sealed.unwrap_or(-1).max(segments.active.extent().max_timestamp_ms)
    }

    /// The first local record with the largest timestamp.
    ///
    /// # Errors
    /// When the disk fails or a batch does not unpack.
    pub fn max_timestamp(&self) -> io::Result<Option<TimestampedOffset>> {
        match self.max_timestamp_ms() {
            -1 => Ok(None),
            largest => self.offset_for_timestamp(largest),
        }
    }

    /// The largest epoch that is not after `epoch`, and the offset after its last record.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.lock().end(epoch, self.log_end())
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.lock().at(offset)
    }

    /// The epochs of the offsets from `base` up to `end`.
    pub fn epochs_within(&self, base: Offset, end: Offset) -> Vec<(LeaderEpoch, Offset)> {
        self.epochs.lock().within(base, end)
    }

    /// The epochs from the log's start up to `end`, as they go with an upload.
    pub fn epochs_until(&self, end: Offset) -> Vec<(LeaderEpoch, Offset)> {
        self.epochs.lock().within(self.log_start(), end)
    }

    /// Moves the first offset that is not deleted; it never moves back nor past the end. What lies
    /// below it is synced first: were it lost in a power cut, the log would end below its own start,
    /// and offsets would be given twice. Returns where it is now, for the checkpoint file. Blocking.
    ///
    /// # Errors
    /// When the records cannot be synced: nothing has moved.
    pub fn move_log_start(&self, start: Offset) -> Result<Offset, AppendError> {
        let start = start.min(self.log_end());
        if start > self.flushed() {
            self.sync()?;
        }
        let before = self.log_start.fetch_max(start.get(), Ordering::AcqRel);
        if before < start.get() {
            // Not in the file yet: until the log start is durable, a crash takes it back, and what
            // lies below it needs its epochs.
            self.epochs.lock().truncate_to(start);
        }
        Ok(Offset::new(before.max(start.get())))
    }

    /// Removes the local copies of the sealed segments that end at or before `until`. The caller
    /// has made sure that they are in the remote tier or below the log start. Blocking.
    ///
    /// # Errors
    /// What the disk says; the segments that are still there are still listed then, so that a later
    /// removal leaves no hole before them.
    pub fn remove_until(&self, until: Offset) -> io::Result<u64> {
        // Also below the log start: what the producers wrote there is known from a durable snapshot
        // from here on.
        if self.recovery_point() < until && self.segments.load().start() < until {
            self.advance_recovery_point().map_err(io::Error::other)?;
        }
        let mut bytes = 0;
        while let Some(removed) = self.remove_oldest(until)? {
            bytes += removed;
        }
        Ok(bytes)
    }

    /// Removes the oldest segment if it ends at or before `until`. Returns its bytes.
    fn remove_oldest(&self, until: Offset) -> io::Result<Option<u64>> {
        let _writer = self.writer.lock();
        if self.is_retired() {
            return Ok(None);
        }
        let segments = self.segments.load_full();
        let Some((oldest, kept)) =
            segments.sealed.split_first().filter(|(oldest, _)| oldest.end() <= until)
        else {
            return Ok(None);
        };
        let active = segments.active.clone();
        self.segments.store(Arc::new(Segments { sealed: kept.to_vec(), active }));
        // The log file first: without it the others are strays.
        let renamed = rename_to_deleted(&oldest.path(FileKind::Log)).inspect_err(|_| {
            self.segments.store(segments.clone());
        })?;
        self.sealed_bytes.fetch_sub(oldest.size(), Ordering::Relaxed);
        self.unlink(oldest, renamed)?;
        Ok(Some(oldest.size()))
    }

    /// Renames first, so that a crash leaves no half a segment that a start would take for one.
    fn unlink(&self, sealed: &Sealed, log: Option<PathBuf>) -> io::Result<()> {
        let mut renamed = Vec::from_iter(log);
        for kind in FileKind::ALL.into_iter().filter(|kind| *kind != FileKind::Log) {
            renamed.extend(rename_to_deleted(&sealed.path(kind))?);
        }
        self.env.edges.reached(Edge::SegmentRenamed)?;
        renamed.into_iter().try_for_each(std::fs::remove_file)
    }

    /// Ends the log's use of its folder, which may be renamed or another's from here on: no file is
    /// made, renamed or removed any more. Blocking.
    pub fn retire(&self) {
        let (_advancing, _writer) = (self.advancing.lock(), self.writer.lock());
        self.failed.lock().get_or_insert_with(|| Arc::new(deleted()));
        self.retired.store(true, Ordering::Release);
    }

    /// To be asked after a file was opened by its path: had the folder become another's before
    /// that, it would be another's file.
    fn check_folder(&self) -> io::Result<()> {
        if self.is_retired() { Err(deleted()) } else { Ok(()) }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// The last batch of each idempotent producer that is remembered. Blocking: a write may be
    /// under way.
    pub fn last_batches(&self) -> Vec<SnapshotEntry> {
        self.writer.lock().producers.last_batches()
    }

    /// Forgets idempotent producers that have not written for `expiration_ms`.
    pub fn expire_producers(&self, expiration_ms: i64) {
        let now_ms = self.env.clock.now_ms();
        self.writer.lock().producers.expire(now_ms, expiration_ms);
    }
}

/// Marks a file as on its way out; `None` when it is not there.
fn rename_to_deleted(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut to = path.as_os_str().to_owned();
    to.push(DELETED_SUFFIX);
    match std::fs::rename(path, &to) {
        Ok(()) => Ok(Some(to.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is said of a log whose folder is gone.
pub(super) fn deleted() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the topic was deleted")
}
