//! A log that another broker writes: its records are in the remote tier, and this disk has none.
//!
//! Invariant: the log has no record and one segment, which is empty and begins where the log ends. So
//! whatever lies below is read from the remote tier, and what follows there is readable as soon as the
//! log has moved to its end.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file_names::{FileKind, path};
use super::partition_log::{Log, Segments, Writer, deleted};
use super::segment::Active;
use crate::model::{LeaderEpoch, Offset};

impl Log {
    /// Moves the log to `end`, never back, and takes over the epochs of what lies below. Blocking.
    ///
    /// # Errors
    /// What the disk says: the log is where it was, and may be moved again.
    pub fn follow(&self, end: Offset, epochs: Vec<(LeaderEpoch, Offset)>) -> io::Result<()> {
        let (_advancing, mut writer) = (self.advancing.lock(), self.writer.lock());
        if self.is_retired() {
            return Err(deleted());
        }
        let empty = writer.active.size() == 0 && self.segments.load().sealed.is_empty();
        assert!(empty, "{}: a log with records of its own follows nobody", self.dir.display());
        self.epochs.lock().take_over(epochs, self.log_start());
        if end > self.log_end() {
            self.begin_anew(&mut writer, end)?;
        }
        // There is nothing that could be synced, or recovered.
        let end = self.log_end().get();
        self.flushed.fetch_max(end, Ordering::AcqRel);
        self.recovery_point.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Puts an empty segment at `end` in the place of the one that is there.
    fn begin_anew(&self, writer: &mut Writer, end: Offset) -> io::Result<()> {
        // The old files first: two empty segments would read as a hole at a start.
        let (config, base) = (self.config.load(), writer.active.base());
        FileKind::ALL.into_iter().try_for_each(|kind| remove(&path(&self.dir, base, kind)))?;
        let (index_bytes, interval) = (config.index_bytes, config.index_interval_bytes);
        let now_ms = self.env.clock.now_ms();
        let next = Active::create(&self.dir, end, index_bytes, interval, now_ms)?;
        let active = next.view().clone();
        self.segments.store(Arc::new(Segments { sealed: Vec::new(), active }));
        writer.active = next;
        // After the segments: whoever sees the new end finds nothing below it on this disk.
        self.log_end.store(end.get(), Ordering::Release);
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::log::{Log, LogConfig, LogEnv, OpenAt, ReadError};
    use crate::model::{LeaderEpoch, Offset};

    fn open(dir: &Path, at: OpenAt) -> Log {
        Log::open(dir, LogConfig::default(), at, LogEnv::real()).expect("open").0
    }

    fn epochs(of: &[(i32, i64)]) -> Vec<(LeaderEpoch, Offset)> {
        of.iter().map(|(epoch, start)| (LeaderEpoch::new(*epoch), Offset::new(*start))).collect()
    }

    #[test]
    fn a_log_that_follows_is_empty_at_its_end_and_sends_readers_below_it_elsewhere() {
        let dir = tempfile::tempdir().expect("dir");
        let log = open(dir.path(), OpenAt::default());
        for (end, known) in [(100, &[(1, 0)][..]), (250, &[(1, 0), (4, 120)]), (250, &[(1, 0)])] {
            let end = Offset::new(end);
            log.follow(end, epochs(known)).expect("follow");
            assert_eq!((log.log_end(), log.local_log_start(), log.size_bytes()), (end, end, 0));
            assert!(log.read(end, 1000, end, true).expect("the end").is_none());
            let below = log.read(end.prev(), 1000, end, true);
            assert!(matches!(below, Err(ReadError::BelowLocal { .. })), "{below:?}");
            assert_eq!(
                log.epoch_end(LeaderEpoch::new(known[known.len() - 1].0)).expect("known").1,
                end
            );
        }
        log.follow(Offset::new(7), epochs(&[(1, 0)])).expect("follow");
        assert_eq!(log.log_end().get(), 250, "never back");
        log.move_log_start(Offset::new(200)).expect("move");
        log.follow(Offset::new(300), epochs(&[(1, 0), (4, 120)])).expect("follow");
        assert_eq!(log.epoch_at(Offset::new(200)), Some(LeaderEpoch::new(4)));
        assert_eq!(log.epoch_at(Offset::new(199)), None, "what is deleted has no epoch");
        log.close().expect("close");
        drop(log);
        let at = OpenAt { recovery_point: Offset::new(300), clean: true, ..OpenAt::default() };
        assert_eq!(open(dir.path(), at).log_end().get(), 300, "one segment is there");
    }
}
