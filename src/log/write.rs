//! The writing half of a log: append, roll, sync, checkpoint, close.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::replace;
use super::error::AppendError;
use super::file_names::{FileKind, path};
use super::options::LogConfig;
use super::partition_log::{Log, Segments, Writer};
use super::producer_snapshot;
use super::producers::{ProducerEntry, Verdict};
use super::segment::{Active, Sealed, Stamped};
use crate::env::Edge;
use crate::model::{LeaderEpoch, Offset, ProducerId};
use crate::record::{Batch, BatchHeader, TimestampType};

/// A batch's place after its append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// When it was appended, in milliseconds.
    pub append_time_ms: i64,
    /// The log start at that time.
    pub log_start: Offset,
    /// It was there already; nothing was written.
    pub duplicate: bool,
}

/// Batches that go out in one write, and how to take their notes back.
#[derive(Default)]
struct Group<'a> {
    stamped: Vec<Stamped<'a>>,
    /// Where each one's answer belongs.
    places: Vec<usize>,
    undo: Vec<(ProducerId, Option<ProducerEntry>)>,
    bytes: u64,
}

type Results = Vec<Option<Result<Appended, AppendError>>>;

impl Log {
    /// Appends batches in order, each on its own terms, with one write for all that fit into the
    /// segment. One answer for each. Blocking.
    pub fn append(
        &self,
        batches: &[Batch],
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Vec<Result<Appended, AppendError>> {
        let mut writer = self.writer.lock();
        if let Some(failure) = self.failure() {
            return batches.iter().map(|_| Err(AppendError::Failed(failure.clone()))).collect();
        }
        let mut results: Results = vec![None; batches.len()];
        let mut group = Group::default();
        for (place, batch) in batches.iter().enumerate() {
            results[place] =
                self.stage(&mut writer, &mut group, &mut results, (place, batch), epoch, now_ms);
        }
        self.write(&mut writer, &mut group, &mut results, epoch, now_ms);
        let answered = results.into_iter().collect::<Option<Vec<_>>>();
        let Some(answered) = answered else { unreachable!("every batch was staged or refused") };
        answered
    }

    /// Judges a batch and puts it into the group, or answers it at once.
    fn stage<'a>(
        &self,
        writer: &mut Writer,
        group: &mut Group<'a>,
        results: &mut Results,
        (place, batch): (usize, &'a Batch),
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Option<Result<Appended, AppendError>> {
        let header = batch.header();
        let mut answer = self.judge(writer, header);
        if matches!(&answer, Some(Ok(found)) if found.base_offset >= self.log_end()) {
            // The first of them waits in the group: what becomes of it decides.
            self.write(writer, group, results, epoch, now_ms);
            answer = self.judge(writer, header);
        }
        if answer.is_some() {
            return answer;
        }
        let config = self.config.load();
        let max_timestamp = match config.timestamp_type {
            TimestampType::CreateTime => header.max_timestamp,
            TimestampType::LogAppendTime => now_ms,
        };
        let last = self.next_offset(group) + i64::from(header.last_offset_delta);
        if last == Offset::MAX {
            return Some(Err(AppendError::OffsetsExhausted));
        }
        let next = NextBatch { bytes: batch.len() as u64, last, max_timestamp };
        if roll_is_due(&writer.active, &config, group.bytes, &next, now_ms) {
            self.write(writer, group, results, epoch, now_ms);
            // The batch before it may have failed just now, and this one would follow a hole.
            if let Some(answer) = self.judge(writer, header) {
                return Some(answer);
            }
            if writer.active.size() > 0
                && let Err(error) = self.roll(writer, now_ms)
            {
                return Some(Err(AppendError::Write(Arc::new(error))));
            }
        }
        let base_offset = self.next_offset(group);
        let mut stamped = header.stamp(base_offset, epoch);
        if config.timestamp_type == TimestampType::LogAppendTime {
            stamped = stamped.stamp_append_time(now_ms, batch.body());
        }
        if header.is_idempotent() {
            let before = writer.producers.note(&stamped, now_ms);
            group.undo.push((header.producer_id, before));
        }
        group.bytes += batch.len() as u64;
        group.places.push(place);
        group.stamped.push(Stamped { header: stamped, bytes: stamped.write(), body: batch.body() });
        None
    }

    /// What an idempotent batch is answered without a write; `None` when it is next.
    fn judge(
        &self,
        writer: &Writer,
        header: &BatchHeader,
    ) -> Option<Result<Appended, AppendError>> {
        if !header.is_idempotent() {
            return None;
        }
        match writer.producers.judge(header) {
            Ok(Verdict::Append) => None,
            Ok(Verdict::Duplicate(found)) => Some(Ok(Appended {
                base_offset: found.base_offset,
                last_offset: found.last_offset,
                append_time_ms: found.appended_ms,
                log_start: self.log_start(),
                duplicate: true,
            })),
            Err(error) => Some(Err(error.into())),
        }
    }

    fn next_offset(&self, group: &Group<'_>) -> Offset {
        group.stamped.last().map_or_else(|| self.log_end(), |last| last.header.last_offset().next())
    }

    /// Writes the group and answers its batches.
    fn write(
        &self,
        writer: &mut Writer,
        group: &mut Group<'_>,
        results: &mut Results,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) {
        let group = std::mem::take(group);
        let Some(last) = group.stamped.last() else { return };
        let end = last.header.last_offset().next();
        match self.write_group(writer, &group, epoch, now_ms) {
            Ok(()) => {
                self.log_end.store(end.get(), Ordering::Release);
                for (place, stamped) in group.places.iter().zip(&group.stamped) {
                    results[*place] = Some(Ok(Appended {
                        base_offset: stamped.header.base_offset,
                        last_offset: stamped.header.last_offset(),
                        append_time_ms: now_ms,
                        log_start: self.log_start(),
                        duplicate: false,
                    }));
                }
            }
            Err(error) => {
                tracing::error!(log = %self.dir.display(), %error, "an append failed");
                let error = AppendError::Write(Arc::new(error));
                group.places.iter().for_each(|place| results[*place] = Some(Err(error.clone())));
                for (producer, before) in group.undo.into_iter().rev() {
                    writer.producers.undo(producer, before);
                }
            }
        }
    }

    fn write_group(
        &self,
        writer: &mut Writer,
        group: &Group<'_>,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> io::Result<()> {
        self.env.edges.reached(Edge::BeforeAppend)?;
        self.begin_epoch(epoch)?;
        writer.active.append(&group.stamped, now_ms)?;
        self.env.edges.reached(Edge::AfterAppend)
    }

    /// Notes where an epoch begins; durable before its first record is written.
    fn begin_epoch(&self, epoch: LeaderEpoch) -> io::Result<()> {
        let mut epochs = self.epochs.lock();
        if epochs.latest().is_some_and(|latest| epoch <= latest) {
            return Ok(());
        }
        let mut begun = epochs.clone();
        begun.assign(epoch, self.log_end());
        begun.store(&*self.env.edges)?;
        *epochs = begun;
        Ok(())
    }

    /// Rolls the active segment if its records span `segment.ms` or it has been open for so long.
    /// Blocking.
    ///
    /// # Errors
    /// What the disk says; the segment stays active then.
    pub fn roll_if_due(&self, now_ms: i64) -> io::Result<bool> {
        let mut writer = self.writer.lock();
        let segment_ms = self.config.load().segment_ms;
        let due = writer.active.size() > 0
            && writer.active.open_for_ms(now_ms) >= segment_ms
            && !self.is_retired();
        if due {
            self.roll(&mut writer, now_ms)?;
        }
        Ok(due)
    }

    /// Rolls the active segment unless it is empty. Blocking.
    ///
    /// # Errors
    /// What the disk says; the segment stays active then.
    pub fn force_roll(&self) -> io::Result<bool> {
        let mut writer = self.writer.lock();
        let due = writer.active.size() > 0 && !self.is_retired();
        if due {
            self.roll(&mut writer, self.env.clock.now_ms())?;
        }
        Ok(due)
    }

    /// How long the active segment has held records, in milliseconds; 0 when it is empty.
    pub fn active_for_ms(&self, now_ms: i64) -> i64 {
        self.writer.lock().active.open_for_ms(now_ms)
    }

    fn roll(&self, writer: &mut Writer, now_ms: i64) -> io::Result<()> {
        let config = self.config.load();
        let sealed = writer.active.seal(&self.env.open)?;
        self.env.edges.reached(Edge::SealedBeforeNext)?;
        let next = self.create_next(writer, &config, now_ms).inspect_err(|_| {
            // Were the file still there at the next start, it would end the active segment early.
            drop(std::fs::remove_file(path(&self.dir, self.log_end(), FileKind::Log)));
        })?;
        let segments = self.segments.load();
        let mut all = segments.sealed.clone();
        self.sealed_bytes.fetch_add(sealed.size(), Ordering::Relaxed);
        all.push(sealed);
        self.segments.store(Arc::new(Segments { sealed: all, active: next.view().clone() }));
        writer.active = next;
        Ok(())
    }

    fn create_next(&self, writer: &Writer, config: &LogConfig, now_ms: i64) -> io::Result<Active> {
        let (base, interval) = (self.log_end(), config.index_interval_bytes);
        let next = Active::create(&self.dir, base, config.index_bytes, interval, now_ms)?;
        self.write_snapshot(writer, base)?;
        self.folder_dirty.store(true, Ordering::Release);
        self.env.edges.reached(Edge::NextCreated)?;
        Ok(next)
    }

    /// Producer states before `offset`, beside the segment that begins there. One that is there
    /// tells of the same records, and may be durable: it is not overwritten.
    fn write_snapshot(&self, writer: &Writer, offset: Offset) -> io::Result<()> {
        let place = path(&self.dir, offset, FileKind::ProducerSnapshot);
        if place.exists() {
            return Ok(());
        }
        let bytes = producer_snapshot::encode(&writer.producers.snapshot());
        std::fs::write(&place, bytes).inspect_err(|_| drop(std::fs::remove_file(&place)))
    }

    /// Makes every record of now durable. Returns up to where. Blocking.
    ///
    /// # Errors
    /// When a file cannot be opened; the next sync may succeed. When the disk fails: then the log takes
    /// no appends until it is opened anew.
    pub fn sync(&self) -> Result<Offset, AppendError> {
        if let Some(failure) = self.failure() {
            return Err(AppendError::Failed(failure));
        }
        let end = self.log_end();
        if self.flushed() >= end {
            return Ok(self.flushed());
        }
        self.sync_data(self.flushed())?;
        self.flushed.fetch_max(end.get(), Ordering::AcqRel);
        Ok(end)
    }

    /// Syncs the log files of every segment that reaches `from`. One that ends there was synced before
    /// it was sealed, and is told here that it was.
    fn sync_data(&self, from: Offset) -> Result<(), AppendError> {
        let segments = self.segments.load_full();
        let first = segments.sealed.partition_point(|sealed| sealed.end() < from);
        let sealed = &segments.sealed[first..];
        // What cannot be opened has lost nothing: the next sync may succeed.
        let write = |error| AppendError::Write(Arc::new(error));
        let views: Vec<_> =
            sealed.iter().map(Sealed::view).collect::<io::Result<_>>().map_err(write)?;
        if self.folder_dirty.swap(false, Ordering::AcqRel) {
            let synced = File::open(&self.dir)
                .map_err(write)
                .and_then(|folder| folder.sync_all().map_err(|error| self.fail(error)));
            synced.inspect_err(|_| self.folder_dirty.store(true, Ordering::Release))?;
        }
        let mut logs = views.iter().chain([&segments.active]).map(|view| &view.log);
        logs.try_for_each(|log| log.sync_data()).map_err(|error| self.fail(error))?;
        sealed.iter().for_each(Sealed::synced);
        Ok(())
    }

    fn fail(&self, error: io::Error) -> AppendError {
        if !self.is_retired() {
            tracing::error!(log = %self.dir.display(), %error, "a sync failed: the log takes no more appends");
        }
        let error = Arc::new(error);
        *self.failed.lock() = Some(error.clone());
        AppendError::Failed(error)
    }

    /// Moves the recovery point to the end of now: syncs data, indexes and producer states below
    /// it. Returns the point for the checkpoint file. Blocking.
    ///
    /// # Errors
    /// What the disk says; the recovery point stays where it was.
    pub fn advance_recovery_point(&self) -> Result<Offset, AppendError> {
        let _one_at_a_time = self.advancing.lock();
        let before = self.recovery_point();
        if before >= self.log_end() || self.is_retired() {
            return Ok(before);
        }
        let write = |error| AppendError::Write(Arc::new(error));
        // The snapshot is taken with the writer's lock: it tells the producers of exactly the
        // records below `end`.
        let (end, snapshot) = {
            let writer = self.writer.lock();
            (self.log_end(), producer_snapshot::encode(&writer.producers.snapshot()))
        };
        self.sync()?;
        self.sync_indexes(before).map_err(write)?;
        let place = path(&self.dir, end, FileKind::ProducerSnapshot);
        replace(&place, &snapshot, &*self.env.edges).map_err(write)?;
        self.drop_stray_snapshots(end);
        self.recovery_point.fetch_max(end.get(), Ordering::AcqRel);
        Ok(end)
    }

    /// Syncs the indexes of what reaches `from`. A segment that was sealed right at a recovery point
    /// got its last time entry after it, so one that ends there is among them.
    fn sync_indexes(&self, from: Offset) -> io::Result<()> {
        let segments = self.segments.load_full();
        for sealed in segments.sealed.iter().filter(|sealed| sealed.end() >= from) {
            let view = sealed.view()?;
            view.offsets.sync()?;
            view.times.sync()?;
        }
        segments.active.offsets.sync()?;
        segments.active.times.sync()
    }

    /// Removes snapshots that neither a segment's base nor the recovery point needs.
    fn drop_stray_snapshots(&self, recovery_point: Offset) {
        let segments = self.segments.load();
        let needed = |base: Offset| {
            base >= recovery_point
                || base == segments.active.base()
                || segments.sealed.iter().any(|sealed| sealed.base() == base)
        };
        let strays = super::recovery::snapshots(&self.dir).unwrap_or_default();
        for base in strays.into_iter().filter(|base| !needed(*base)) {
            // A stray that stays is tried again at the next checkpoint.
            drop(std::fs::remove_file(path(&self.dir, base, FileKind::ProducerSnapshot)));
        }
    }

    /// Ends in order: everything is durable, so that the next start has nothing to recover.
    /// Blocking.
    ///
    /// # Errors
    /// What the disk says; the next start then recovers.
    pub fn close(&self) -> Result<(), AppendError> {
        let point = self.advance_recovery_point()?;
        // The next start trusts all of them, also one that was sealed after the point was reached.
        self.sync_indexes(point)
            .and_then(|()| self.epochs.lock().store(&*self.env.edges))
            .map_err(|error| AppendError::Write(Arc::new(error)))
    }
}

/// What decides whether a batch still fits.
struct NextBatch {
    bytes: u64,
    last: Offset,
    max_timestamp: i64,
}

/// Whether a batch needs a new segment when `waiting` bytes go before it.
fn roll_is_due(
    active: &Active,
    config: &LogConfig,
    waiting: u64,
    next: &NextBatch,
    now_ms: i64,
) -> bool {
    let empty = active.size() + waiting == 0;
    let too_large = active.size() + waiting + next.bytes > config.segment_bytes;
    let too_old = active.age_ms(next.max_timestamp, now_ms) > config.segment_ms;
    let too_far = next.last - active.base() > i64::from(i32::MAX);
    !empty && (too_large || too_old || too_far || active.index_is_full())
}

#[cfg(test)]
mod tests {
    use super::super::options::{LogEnv, OpenAt};
    use super::*;
    use crate::record::{BatchBuilder, Codec, NewRecord};

    fn open(dir: &std::path::Path) -> Log {
        let opened = Log::open(dir, LogConfig::default(), OpenAt::default(), LogEnv::real());
        opened.expect("open").0
    }

    fn append(log: &Log, value: &[u8]) {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(&NewRecord { value: Some(value), ..NewRecord::default() });
        let appended = log.append(&[builder.build().expect("a batch")], LeaderEpoch::ZERO, 1);
        appended[0].as_ref().expect("appended");
    }

    #[test]
    fn a_log_whose_folder_became_anothers_reads_none_of_its_files() {
        let dir = tempfile::tempdir().expect("dir");
        let (place, aside) = (dir.path().join("t-0"), dir.path().join("aside"));
        let old = open(&place);
        append(&old, b"old");
        old.force_roll().expect("rolled");
        drop(old.sealed()[0].close());
        old.retire();
        std::fs::rename(&place, &aside).expect("renamed");
        let new = open(&place);
        append(&new, b"new");
        let read = old.read(Offset::ZERO, 1000, old.log_end(), true);
        assert!(matches!(read, Err(crate::log::ReadError::Io(_))), "{read:?}");
        assert!(old.offset_for_timestamp(0).is_err(), "nor by time");
    }

    #[test]
    fn a_sync_that_could_open_nothing_has_lost_nothing_and_the_log_goes_on() {
        let dir = tempfile::tempdir().expect("dir");
        let (place, aside) = (dir.path().join("t-0"), dir.path().join("aside"));
        let log = open(&place);
        append(&log, b"before");
        std::fs::rename(&place, &aside).expect("renamed");
        assert!(matches!(log.sync(), Err(AppendError::Write(_))), "there is no folder to sync");
        assert_eq!(log.flushed(), Offset::ZERO);
        std::fs::rename(&aside, &place).expect("renamed");
        append(&log, b"after");
        assert_eq!(log.sync().expect("synced"), Offset::new(2));
    }

    #[test]
    fn two_who_move_the_recovery_point_at_once_do_not_get_in_each_others_way() {
        let dir = tempfile::tempdir().expect("dir");
        let log = open(dir.path());
        for _ in 1..200 {
            append(&log, b"x");
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| log.advance_recovery_point().expect("the point moves"));
                }
            });
            assert_eq!(log.recovery_point(), log.log_end());
        }
    }
}
