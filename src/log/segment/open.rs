//! How many sealed segments have their files open: in one process at most so many, whatever lies on
//! the disk. Who comes beyond that makes the one that was opened first close its files, unless it was
//! read since (second chance, as a page cache does it).
//!
//! Invariant: a segment comes in here when its bytes are synced, and not before: who reports that a
//! page could not be written is the file that was open when it was.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};

use super::sealed::Sealed;

/// Files of an open segment: the log and two indexes.
const FILES: u64 = 3;
/// The part of all files that a process may open which sealed segments may have: one of so many. The
/// rest is for segments that grow, connections and the store.
const PART: u64 = 2;

/// The sealed segments whose files are open, in the order in which they are asked to close them.
#[derive(Debug)]
pub struct OpenSegments {
    max: usize,
    queue: Mutex<VecDeque<Weak<Sealed>>>,
}

impl OpenSegments {
    /// At most `max` of them.
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self { max, queue: Mutex::default() }
    }

    /// As many as the files that this process may have open now allow.
    #[must_use]
    pub fn within_the_limit() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::at_most(usize::try_from(files / PART / FILES).unwrap_or(usize::MAX))
    }

    /// Takes a segment in whose files were opened.
    pub(super) fn opened(&self, segment: &Arc<Sealed>) {
        let mut closed = Vec::new();
        let mut queue = self.queue.lock();
        queue.push_back(Arc::downgrade(segment));
        // Whoever is read without a break gets its chance once.
        let mut chances = queue.len();
        while queue.len() > self.max {
            let Some(next) = queue.pop_front() else { break };
            let Some(segment) = next.upgrade() else { continue };
            if chances > 0 && segment.was_read() {
                chances -= 1;
                queue.push_back(next);
            } else {
                closed.push(segment.close());
            }
        }
        drop(queue);
        // The system may take its time to close them.
        drop(closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Log, LogConfig, LogEnv, OpenAt};
    use crate::model::{LeaderEpoch, Offset};
    use crate::record::{BatchBuilder, Codec, NewRecord};

    /// A log of `segments` sealed ones of a record each, of which `max` may be open.
    fn log(dir: &std::path::Path, segments: usize, max: usize) -> Log {
        let env = LogEnv { open: Arc::new(OpenSegments::at_most(max)), ..LogEnv::real() };
        let log = Log::open(dir, LogConfig::default(), OpenAt::default(), env).expect("open").0;
        for _ in 0..segments {
            let mut builder = BatchBuilder::new(Codec::None);
            builder.push(&NewRecord { value: Some(b"x"), ..NewRecord::default() });
            let batch = builder.build().expect("a batch");
            log.append(&[batch], LeaderEpoch::ZERO, 1)[0].as_ref().expect("appended");
            log.force_roll().expect("rolled");
        }
        log
    }

    fn open(log: &Log) -> Vec<usize> {
        let sealed = log.sealed();
        (0..sealed.len()).filter(|place| sealed[*place].is_open()).collect()
    }

    fn read(log: &Log, place: i64) {
        let read = log.read(Offset::new(place), 1000, log.log_end(), true);
        let read = read.expect("read").expect("a record");
        assert_eq!(read.slice.len, log.sealed()[0].size());
    }

    #[test]
    fn what_is_sealed_stays_open_until_it_was_synced() {
        let dir = tempfile::tempdir().expect("dir");
        let log = log(dir.path(), 5, 2);
        assert_eq!(open(&log), [0, 1, 2, 3, 4]);
        log.sync().expect("synced");
        assert_eq!(open(&log), [3, 4]);
    }

    #[test]
    fn whoever_reads_finds_all_segments_and_those_that_are_read_again_stay_open() {
        let dir = tempfile::tempdir().expect("dir");
        let log = log(dir.path(), 6, 3);
        log.sync().expect("synced");
        assert_eq!(open(&log), [3, 4, 5]);
        for place in [0, 1, 2] {
            read(&log, place);
        }
        assert_eq!(open(&log), [0, 1, 2]);
        for sealed in log.sealed() {
            sealed.was_read();
        }
        read(&log, 0);
        read(&log, 3);
        assert_eq!(open(&log), [0, 2, 3], "1 was opened later than 0, but not read again");
    }

    #[test]
    fn what_is_removed_makes_room() {
        let dir = tempfile::tempdir().expect("dir");
        let log = log(dir.path(), 6, 3);
        log.sync().expect("synced");
        log.remove_until(Offset::new(4)).expect("removed");
        read(&log, 4);
        read(&log, 5);
        assert_eq!(open(&log), [0, 1]);
    }
}
