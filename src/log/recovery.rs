//! Opens a log and mends what a crash left.
//!
//! What lies below the recovery point was synced with its indexes and is taken as it is. From
//! there on every batch is checked; the log ends after the last whole one, and indexes and
//! producer states are made to match. A torn tail is cut off; whole segments behind a hole are set
//! aside, never unlinked.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::checkpoint::UNFINISHED_SUFFIX;
use super::epochs::{EPOCH_FILE, Epochs};
use super::error::OpenLogError;
use super::file_names::{CORRUPT_SUFFIX, DELETED_SUFFIX, FileKind, parse, path};
use super::index::{OffsetEntry, TimeEntry};
use super::options::{LogConfig, LogEnv, OpenAt};
use super::partition_log::{Log, Segments, Writer};
use super::producer_snapshot;
use super::producers::Producers;
use super::segment::{Active, Extent, Found, Headers, OpenSegments, Sealed, View};
use crate::model::Offset;

/// What an opening found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes that were read to check them.
    pub checked_bytes: u64,
    /// Bytes of a torn tail that were cut off.
    pub cut_bytes: u64,
    /// Segments that were set aside because a hole lies before them.
    pub set_aside: usize,
}

impl Log {
    /// Opens the log in `dir`, or begins one there. Blocking.
    ///
    /// # Errors
    /// When the disk fails or a checkpoint is damaged. What a crash left is mended, not an error.
    pub fn open(
        dir: &Path,
        config: LogConfig,
        at: OpenAt,
        env: LogEnv,
    ) -> Result<(Self, RecoveryReport), OpenLogError> {
        let io = |source| OpenLogError::Io { folder: dir.display().to_string(), source };
        let mut epochs = Epochs::open(dir.join(EPOCH_FILE))?;
        let mut opening = Opening::scan(dir, config, at, &env).map_err(io)?;
        let (active, sealed) = opening.segments().map_err(io)?;
        let end = active.view().extent().end;
        if epochs.truncate_from(end.max(Offset::new(1))) {
            epochs.store(&*env.edges).map_err(io)?;
        }
        let producers = opening.producers(&sealed, &active).map_err(io)?;
        let first = sealed.first().map_or(active.base(), |first| first.base());
        let log_start = if at.log_start > end { first } else { at.log_start };
        let recovered_to = if at.clean { end } else { at.recovery_point.min(end) };
        let sealed_bytes = sealed.iter().map(|sealed| sealed.size()).sum();
        let segments = Segments { sealed, active: active.view().clone() };
        let log = Self {
            dir: dir.to_owned(),
            env,
            config: ArcSwap::from_pointee(config),
            writer: Mutex::new(Writer { active, producers }),
            segments: ArcSwap::from_pointee(segments),
            epochs: Mutex::new(epochs),
            log_start: AtomicI64::new(log_start.get()),
            log_end: AtomicI64::new(end.get()),
            flushed: AtomicI64::new(recovered_to.get()),
            recovery_point: AtomicI64::new(recovered_to.get()),
            sealed_bytes: AtomicU64::new(sealed_bytes),
            folder_dirty: AtomicBool::new(true),
            advancing: Mutex::new(()),
            retired: AtomicBool::new(false),
            failed: Mutex::new(None),
        };
        Ok((log, opening.report))
    }
}

struct Opening<'a> {
    dir: &'a Path,
    config: LogConfig,
    at: OpenAt,
    now_ms: i64,
    open: Arc<OpenSegments>,
    /// Sizes of the log files by base offset.
    logs: BTreeMap<Offset, u64>,
    report: RecoveryReport,
}

impl<'a> Opening<'a> {
    /// Lists the folder and removes what is on its way out, or never came in.
    fn scan(dir: &'a Path, config: LogConfig, at: OpenAt, env: &LogEnv) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let (mut logs, mut indexes) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(DELETED_SUFFIX) || name.ends_with(UNFINISHED_SUFFIX) {
                fs::remove_file(entry.path())?;
                continue;
            }
            match parse(name) {
                Some((base, FileKind::Log)) => drop(logs.insert(base, entry.metadata()?.len())),
                Some((_, FileKind::ProducerSnapshot)) | None => {}
                Some((base, _)) => indexes.push((base, entry.path())),
            }
        }
        // A removal that died after the log file was renamed.
        let strays = indexes.into_iter().filter(|(base, _)| !logs.contains_key(base));
        strays.map(|(_, index)| index).try_for_each(fs::remove_file)?;
        let now_ms = env.clock.now_ms();
        let (open, report) = (env.open.clone(), RecoveryReport::default());
        Ok(Self { dir, config, at, now_ms, open, logs, report })
    }

    /// The active segment and the sealed ones before it.
    fn segments(&mut self) -> io::Result<(Active, Vec<Arc<Sealed>>)> {
        let bases: Vec<_> = self.logs.keys().copied().collect();
        let Some(&last) = bases.last() else {
            let base = self.at.empty_start.max(self.at.log_start);
            return Ok((self.create(base)?, Vec::new()));
        };
        let mut sealed: Vec<Arc<Sealed>> = Vec::with_capacity(bases.len());
        for (number, &base) in bases.iter().enumerate() {
            let next = bases.get(number + 1).copied();
            // Below, not at the recovery point: sealing writes to the indexes once more.
            let trusted = next.is_some_and(|next| self.at.clean || next < self.at.recovery_point);
            if let (true, Some(next)) = (trusted, next)
                && let Some(segment) = self.trusted(base, next)?
            {
                sealed.push(Arc::new(segment));
                continue;
            }
            let (view, max_timestamp) = self.recover(base)?;
            let end = view.extent().end;
            let interval = self.config.index_interval_bytes;
            let active = Active::over(self.dir, view, max_timestamp, interval, self.now_ms);
            if base == last {
                return Ok((active, sealed));
            }
            if next != Some(end) {
                // A hole: nothing behind it can be reached by counting on.
                self.set_aside(&bases[number + 1..])?;
                return Ok((active, sealed));
            }
            sealed.push(active.seal(&self.open)?);
        }
        unreachable!("the last segment is never taken for a trusted one")
    }

    fn create(&self, base: Offset) -> io::Result<Active> {
        let LogConfig { index_bytes, index_interval_bytes, .. } = self.config;
        Active::create(self.dir, base, index_bytes, index_interval_bytes, self.now_ms)
    }

    /// A segment below the recovery point, known without a look inside; `None` when its indexes
    /// are not there or of no use, so that it has to be gone through.
    fn trusted(&self, base: Offset, next: Offset) -> io::Result<Option<Sealed>> {
        let size = self.logs[&base];
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            if !path(self.dir, base, kind).exists() {
                return Ok(None);
            }
        }
        let extent = Extent { end: next, size, max_timestamp_ms: -1 };
        let view = View::open(self.dir, base, extent, 0)?;
        if view
            .offsets
            .last()?
            .is_some_and(|last| last.position >= size || last.last_offset >= next)
        {
            return Ok(None);
        }
        // The last entry of a sealed segment tells its largest timestamp; without one there are
        // no timestamps, or the segment was not sealed in order.
        let Some(last) = view.times.last()? else { return Ok(None) };
        let extent = Extent { max_timestamp_ms: last.timestamp_ms, ..extent };
        Ok(Some(Sealed::known(self.dir, base, extent, view.first_timestamp()?, &self.open)))
    }

    /// Goes through a segment from the recovery point on, and cuts it after its last whole batch.
    fn recover(&mut self, base: Offset) -> io::Result<(View, TimeEntry)> {
        let size = self.logs[&base];
        let unknown = Extent { end: base, size, max_timestamp_ms: -1 };
        let mut view = View::open(self.dir, base, unknown, self.config.index_bytes)?;
        let point = if self.at.clean { Offset::MAX } else { self.at.recovery_point };
        let mut position = 0;
        let kept = if point > base {
            view.offsets.truncate_from(point)?;
            view.times.truncate_from(point)?;
            indexes_are_sane(&view, point, size)?
        } else {
            false
        };
        if kept {
            position = view.offsets.last()?.map_or(0, |entry| entry.position);
        } else {
            view.offsets.clear()?;
            view.times.clear()?;
        }
        let mut largest =
            view.times.last()?.unwrap_or(TimeEntry { timestamp_ms: -1, offset: base });
        let indexed_until = if kept { point } else { base };
        let mut walk =
            Walk { since_index: 0, indexed: view.offsets.last()?, indexed_until, end: base };
        let mut headers = Headers::new(&view.log, position, size);
        let mut whole = position;
        while let Some(found) = headers.next()? {
            let trusted = found.header.last_offset() < point;
            if found.header.base_offset < walk.end || !(trusted || self.is_whole(&view, &found)?) {
                break;
            }
            walk.index(&view, &found, &mut largest, self.config.index_interval_bytes)?;
            whole = found.end();
        }
        if whole < size {
            self.report.cut_bytes += size - whole;
            tracing::warn!(
                log = %self.dir.display(), segment = %base, cut_bytes = size - whole,
                "the tail of a segment is no whole batch and was cut off"
            );
            view.log.set_len(whole)?;
        }
        if !kept {
            // They are below the recovery point and have to be what that promises.
            view.offsets.sync()?;
            view.times.sync()?;
        }
        let extent = Extent { end: walk.end, size: whole, max_timestamp_ms: largest.timestamp_ms };
        view.publish(extent);
        Ok((view, largest))
    }

    /// Whether a batch's bytes are what its CRC says.
    fn is_whole(&mut self, view: &View, found: &Found) -> io::Result<bool> {
        let batch = view.batch(found)?;
        self.report.checked_bytes += batch.len() as u64;
        let body = &batch[crate::record::HEADER_LEN..];
        let header = &found.header;
        Ok(header.magic == 2 && header.count > 0 && header.checksum(body) == header.crc)
    }

    /// Renames the files of segments that no reader can reach.
    fn set_aside(&mut self, bases: &[Offset]) -> io::Result<()> {
        for &base in bases {
            tracing::error!(
                log = %self.dir.display(), segment = %base,
                "a hole lies before this segment: its files are kept as *{CORRUPT_SUFFIX}"
            );
            self.report.set_aside += 1;
            for kind in FileKind::ALL {
                let from = path(self.dir, base, kind);
                let mut to = from.clone().into_os_string();
                to.push(CORRUPT_SUFFIX);
                if from.exists() {
                    fs::rename(from, to)?;
                }
            }
        }
        Ok(())
    }

    /// Producer states at the end of the log: the latest snapshot that is of use, and what was
    /// written after it.
    fn producers(&self, sealed: &[Arc<Sealed>], active: &Active) -> io::Result<Producers> {
        let end = active.view().extent().end;
        let mut bases = snapshots(self.dir)?;
        bases.sort_unstable();
        let (mut producers, mut from) = (Producers::default(), None);
        while let Some(base) = bases.pop() {
            let file = path(self.dir, base, FileKind::ProducerSnapshot);
            if base > end {
                // It tells of records that were cut off.
                fs::remove_file(file)?;
                continue;
            }
            match producer_snapshot::decode(&fs::read(&file)?) {
                Ok(entries) => {
                    (producers, from) = (Producers::restore(&entries), Some(base));
                    self.drop_snapshots(&bases)?;
                    break;
                }
                Err(error) => {
                    // From the recovery point on a crash leaves torn ones, and they are not needed.
                    if base < self.at.recovery_point {
                        tracing::warn!(snapshot = %file.display(), %error, "a producer snapshot is of no use");
                    }
                    fs::remove_file(file)?;
                }
            }
        }
        let from = from.unwrap_or(Offset::ZERO);
        for sealed in sealed.iter().filter(|sealed| sealed.end() > from) {
            replay(&*sealed.view()?, from, self.now_ms, &mut producers)?;
        }
        replay(active.view(), from, self.now_ms, &mut producers)?;
        Ok(producers)
    }

    /// Removes those that nobody needs: no segment begins where they were taken, and the one at the
    /// recovery point, which is durable, knows more.
    fn drop_snapshots(&self, older: &[Offset]) -> io::Result<()> {
        let needless =
            |base: &&Offset| **base < self.at.recovery_point && !self.logs.contains_key(base);
        let strays = older.iter().filter(needless);
        let mut files = strays.map(|base| path(self.dir, *base, FileKind::ProducerSnapshot));
        files.try_for_each(fs::remove_file)
    }
}

/// Where a walk through a segment stands.
struct Walk {
    since_index: usize,
    indexed: Option<OffsetEntry>,
    /// Indexes below it are kept as they are: an entry that is added there is not synced, and the
    /// recovery point says that all are.
    indexed_until: Offset,
    end: Offset,
}

impl Walk {
    /// Notes a batch; index entries are added only behind those that were kept.
    fn index(
        &mut self,
        view: &View,
        found: &Found,
        largest: &mut TimeEntry,
        interval: usize,
    ) -> io::Result<()> {
        let last_offset = found.header.last_offset();
        if found.header.max_timestamp > largest.timestamp_ms {
            *largest = TimeEntry { timestamp_ms: found.header.max_timestamp, offset: last_offset };
        }
        let known = last_offset < self.indexed_until
            || self.indexed.is_some_and(|entry| found.position <= entry.position);
        let room = !view.offsets.is_full() && !view.times.is_full();
        if !known && room && self.since_index > interval {
            self.since_index = 0;
            view.offsets.push(OffsetEntry { last_offset, position: found.position })?;
            view.times.push(*largest)?;
        }
        self.since_index += usize::try_from(found.header.batch_len()).unwrap_or(0);
        self.end = last_offset.next();
        Ok(())
    }
}

/// Whether what is left of the indexes can be built upon.
fn indexes_are_sane(view: &View, point: Offset, size: u64) -> io::Result<bool> {
    if !view.offsets.is_sane(size)? || !view.times.is_sane(point)? {
        return Ok(false);
    }
    if let Some(last) = view.offsets.last()? {
        let mut headers = Headers::new(&view.log, last.position, size);
        if headers.next()?.is_none_or(|found| found.header.last_offset() != last.last_offset) {
            return Ok(false);
        }
    }
    last_time_holds(view, size)
}

/// Whether the last time entry is true of the batch that it names. An entry of after the last sync
/// may be torn, and may name an offset of before it all the same.
fn last_time_holds(view: &View, size: u64) -> io::Result<bool> {
    let Some(last) = view.times.last()? else { return Ok(true) };
    let named = view.find(last.offset, size)?;
    Ok(named.is_some_and(|Found { header, .. }| {
        (header.last_offset(), header.max_timestamp) == (last.offset, last.timestamp_ms)
    }))
}

/// Notes the idempotent batches of a segment from `from` on.
fn replay(view: &View, from: Offset, now_ms: i64, producers: &mut Producers) -> io::Result<()> {
    let extent = view.extent();
    if extent.end <= from {
        return Ok(());
    }
    let start = if from <= view.base() {
        0
    } else {
        view.find(from, extent.size)?.map_or(extent.size, |f| f.position)
    };
    view.for_each_header(start, |found| {
        // When it was appended is not known any more: it counts as now, so that nobody expires
        // early. Its own timestamps say nothing about that.
        if found.header.is_idempotent() && !found.header.is_control() {
            producers.note(&found.header, now_ms);
        }
    })
}

/// The offsets of the producer snapshots in a folder.
pub(super) fn snapshots(dir: &Path) -> io::Result<Vec<Offset>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some((base, FileKind::ProducerSnapshot)) = name.to_str().and_then(parse) {
            bases.push(base);
        }
    }
    Ok(bases)
}
