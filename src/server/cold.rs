//! Reads pages that are not in the page cache, on threads of its own, so that no network thread
//! ever waits for a disk.
//!
//! A connection sends one reply at a time and asks for one bounded step of it at a time, so the
//! queue is never longer than there are connections, and first come first served is also fair:
//! after each step the next connection has its turn. Threads start when there is work and end when
//! there was none for a while.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::fs::Advice;
use tokio::sync::oneshot;

use super::limits::Limits;
use crate::metrics::SocketMetrics;

/// What a thread reads at once to bring pages in.
const TOUCH_BYTES: usize = 256 * 1024;
/// The kernel cuts longer hints off, at 128 KiB on most disks.
const HINT_BYTES: usize = 128 * 1024;
const THREAD_IDLE: Duration = Duration::from_secs(10);

/// A pool of threads. Work that is queued when the last handle goes is still done.
#[derive(Clone, Debug)]
pub(super) struct ColdReader {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    work: Condvar,
    threads_max: usize,
    metrics: SocketMetrics,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

#[derive(Debug)]
struct Job {
    file: Arc<File>,
    position: u64,
    len: usize,
    /// How many bytes after the range will be asked for next; the kernel may begin with them.
    ahead: u64,
    kind: Kind,
    asked: Instant,
}

#[derive(Debug)]
enum Kind {
    Touch(oneshot::Sender<Result<(), ColdReadError>>),
    Copy(oneshot::Sender<Result<Vec<u8>, ColdReadError>>),
}

/// A range could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ColdReadError {
    /// The file ends before the range does.
    #[error("the file ends within the range of {len} bytes from {position} on")]
    Short {
        /// The range's begin.
        position: u64,
        /// The range's length.
        len: usize,
    },
    /// The disk, or the lack of a thread to read it with.
    #[error("cannot read {len} bytes from {position} on: {source}")]
    Io {
        /// The range's begin.
        position: u64,
        /// The range's length.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
}

impl ColdReader {
    pub(super) fn new(limits: &Limits, metrics: SocketMetrics) -> Self {
        let queue = Queue {
            state: Mutex::default(),
            work: Condvar::new(),
            threads_max: limits.cold_threads,
            metrics,
        };
        Self { queue: Arc::new(queue) }
    }

    /// Brings a range into the page cache, and lets the kernel begin with the `ahead` bytes after
    /// it.
    pub(super) async fn touch(
        &self,
        file: &Arc<File>,
        position: u64,
        len: usize,
        ahead: u64,
    ) -> Result<(), ColdReadError> {
        let (done, wait) = oneshot::channel();
        self.ask(file, position, len, ahead, Kind::Touch(done))?;
        wait.await.unwrap_or_else(|_| Err(lost(position, len)))
    }

    /// Reads a range into memory.
    pub(super) async fn copy(
        &self,
        file: &Arc<File>,
        position: u64,
        len: usize,
    ) -> Result<Vec<u8>, ColdReadError> {
        let (done, wait) = oneshot::channel();
        self.ask(file, position, len, 0, Kind::Copy(done))?;
        wait.await.unwrap_or_else(|_| Err(lost(position, len)))
    }

    fn ask(
        &self,
        file: &Arc<File>,
        position: u64,
        len: usize,
        ahead: u64,
        kind: Kind,
    ) -> Result<(), ColdReadError> {
        let file = Arc::clone(file);
        let job = Job { file, position, len, ahead, kind, asked: Instant::now() };
        self.queue.push(job).map_err(|source| ColdReadError::Io { position, len, source })
    }
}

/// The thread that had the job is gone: it panicked.
fn lost(position: u64, len: usize) -> ColdReadError {
    ColdReadError::Io { position, len, source: io::Error::other("the reading thread died") }
}

impl Queue {
    fn push(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.idle <= state.jobs.len() && state.threads < self.threads_max {
            let queue = Arc::clone(self);
            let thread = std::thread::Builder::new().name("icecore-cold".to_owned());
            match thread.spawn(move || queue.run()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(error) => tracing::warn!(%error, "cannot start another cold reader"),
            }
        }
        state.jobs.push_back(job);
        self.metrics.cold_reads_waiting.inc();
        self.work.notify_one();
        Ok(())
    }

    fn run(&self) {
        let _thread = CountedThread(self);
        let mut scratch = vec![0; TOUCH_BYTES];
        while let Some(job) = self.next() {
            job.run(&mut scratch, &self.metrics);
            self.metrics.cold_reads_waiting.dec();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, THREAD_IDLE).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                return None;
            }
        }
    }
}

/// Keeps the count of threads true even when one panics.
struct CountedThread<'a>(&'a Queue);

impl Drop for CountedThread<'_> {
    fn drop(&mut self) {
        self.0.state.lock().threads -= 1;
    }
}

impl Job {
    fn run(self, scratch: &mut [u8], metrics: &SocketMetrics) {
        let Self { file, position, len, ahead, kind, asked } = self;
        // Counted before it is told: who has the answer finds it in the counts.
        let count = || {
            metrics.cold_reads.inc();
            metrics.cold_read_bytes.inc_by(len as u64);
            metrics.cold_read_seconds.observe(asked.elapsed().as_secs_f64());
        };
        match kind {
            Kind::Touch(done) if !done.is_closed() => {
                let result = touch(&file, position, len, ahead, scratch);
                count();
                let _ = done.send(result);
            }
            Kind::Copy(done) if !done.is_closed() => {
                let result = copy(&file, position, len);
                count();
                let _ = done.send(result);
            }
            // An answer that nobody takes any more: its connection is gone.
            Kind::Touch(_) | Kind::Copy(_) => {}
        }
    }
}

fn touch(
    file: &File,
    position: u64,
    len: usize,
    ahead: u64,
    scratch: &mut [u8],
) -> Result<(), ColdReadError> {
    read_ahead(file, position, len as u64 + ahead);
    let mut done = 0;
    while done < len {
        let part = scratch.len().min(len - done);
        read(file, position, len, done, &mut scratch[..part])?;
        done += part;
    }
    Ok(())
}

/// Asks the kernel to begin with a range. Only hints: where one is refused, reading does the work.
///
/// The kernel's own read-ahead is turned off for this open file. It leaves a mark in the page cache
/// at which the next reader begins the next read, and that reader would be a network thread.
fn read_ahead(file: &File, position: u64, len: u64) {
    let mut refused = rustix::fs::fadvise(file, 0, None, Advice::Random).err();
    for at in (position..position + len).step_by(HINT_BYTES) {
        let part = NonZeroU64::new((position + len - at).min(HINT_BYTES as u64));
        refused = refused.or(rustix::fs::fadvise(file, at, part, Advice::WillNeed).err());
    }
    if let Some(error) = refused {
        tracing::debug!(%error, position, len, "read-ahead refused");
    }
}

fn copy(file: &File, position: u64, len: usize) -> Result<Vec<u8>, ColdReadError> {
    let mut bytes = vec![0; len];
    read(file, position, len, 0, &mut bytes)?;
    Ok(bytes)
}

/// Reads a part of a range.
fn read(
    file: &File,
    position: u64,
    len: usize,
    at: usize,
    part: &mut [u8],
) -> Result<(), ColdReadError> {
    file.read_exact_at(part, position + at as u64).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => ColdReadError::Short { position, len },
        _ => ColdReadError::Io { position, len, source },
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::server::residency::{Residency, evict};

    fn reader(cold_threads: usize) -> (ColdReader, SocketMetrics) {
        let metrics = SocketMetrics::unregistered();
        let limits = Limits { cold_threads, ..Limits::default() };
        (ColdReader::new(&limits, metrics.clone()), metrics)
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        evict(&file, bytes.len() as u64);
        Arc::new(file)
    }

    #[tokio::test]
    async fn touching_makes_a_range_resident_and_is_counted() {
        let (reader, metrics) = reader(2);
        let file = file(&vec![1; 3 << 20]);
        reader.touch(&file, 5000, 1 << 20, 0).await.unwrap();
        assert!(Residency::detect().is_resident(&file, 5000, 1 << 20));
        assert_eq!((metrics.cold_reads.get(), metrics.cold_read_bytes.get()), (1, 1 << 20));
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error_with_its_range() {
        let (reader, _) = reader(1);
        let file = file(b"short");
        for result in
            [reader.touch(&file, 2, 100, 0).await, reader.copy(&file, 2, 100).await.map(drop)]
        {
            assert!(matches!(result, Err(ColdReadError::Short { position: 2, len: 100 })));
        }
        assert_eq!(reader.copy(&file, 2, 3).await.unwrap(), b"ort");
    }

    #[tokio::test]
    async fn many_askers_share_few_threads_and_all_are_served() {
        let (reader, metrics) = reader(2);
        let file = file(&vec![3; 64 * 1024]);
        let asks = (0..200).map(|n| {
            let (reader, file) = (reader.clone(), Arc::clone(&file));
            tokio::spawn(async move { reader.copy(&file, n, 100).await })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await.unwrap().unwrap(), [3; 100]);
        }
        assert!(reader.queue.state.lock().threads <= 2);
        assert_eq!(metrics.cold_reads.get(), 200);
    }
}
