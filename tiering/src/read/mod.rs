//! Remote read: ranges of live segments, as slices of local files ready for `sendfile`.
//!
//! ```text
//! read(segment, wanted) -> the segment's index bundle (cached, single flight, verified)
//!     file://  -> the object itself, its blocks checked once (`opened`)
//!     others   -> chunks of the cache, filled by streamed downloads (`engine`)
//! ```
//! The engine in parts, each knowing only those before it: `link` measures the store, `window`
//! decides how far ahead one reader is served, `stream` knows where a reader is, `streams` tells
//! readers apart and shares out turns and cache, `board` knows what is on its way, `download` brings
//! it. All but the last two are plain state that is told the time.
//!
//! Invariants: bytes leave this module only after their checksum was found right; wrong bytes are
//! fetched once more, counted, and then an error that names the object; every wait has a deadline;
//! a download goes on when its waiter leaves; downloads, chunks in memory, slots, open files and
//! index bytes are bounded; nothing here lists the store.

mod board;
mod classes;
mod download;
mod engine;
mod error;
mod flight;
mod forecast;
mod link;
mod opened;
mod plan;
mod replays;
mod shelf;
#[cfg(test)]
mod simulation_test;
mod source;
mod sources;
mod stream;
mod streams;
#[cfg(test)]
mod streams_test;
mod warm;
mod window;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use error::ReadError;
pub use plan::ReadPlan;
pub use replays::{ReplayStream, Replays};
pub use source::Wanted;

use crate::bundle::{BlockChecks, BundleHeader, IndexBundle};
use crate::cache::{CacheClass, Pin};
use crate::config::TieringConfig;
use crate::ids::{SegmentId, TopicId};
use crate::key::Layout;
use crate::manifest::Manifest;
use crate::recent::Recent;
use crate::segment::Segment;
use crate::share::SharedCache;
use crate::store::Store;
use crate::tiering::Tiering;
use classes::Classes;
use engine::Engine;
use opened::{OpenedError, OpenedObject};
use shelf::Shelf;
use source::Source;
use sources::Sources;

/// One read gives at most this much; the caller reads on from there.
const READ_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a segment, lying in a local file. They stay there as long as the slice lives.
#[derive(Clone)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<File>,
    /// Where the bytes start in it.
    pub position: u64,
    /// How many there are.
    pub len: u64,
    _pin: Option<Arc<Pin>>,
}

impl std::fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes at {}", self.len, self.position)
    }
}

/// Reads live segments.
pub(crate) struct Reader {
    store: Arc<Store>,
    sources: Arc<Sources>,
    /// None for a folder store.
    engine: Option<Arc<Engine>>,
    classes: Arc<Classes>,
    opened: Arc<Recent<SegmentId, Arc<OpenedObject>>>,
    timeout: Duration,
}

impl Reader {
    pub(crate) fn open(
        config: &TieringConfig,
        store: Arc<Store>,
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        cache: Option<Arc<SharedCache>>,
    ) -> Self {
        let shelf = cache.clone().map(Shelf::on);
        let (its_store, classes) = (Arc::clone(&store), Arc::<Classes>::default());
        let its_classes = Arc::clone(&classes);
        let sources = Sources::new(config, its_store, manifest, layout, shelf, its_classes);
        let sources = Arc::new(sources);
        let engine = cache.map(|cache| {
            let (store, sources) = (Arc::clone(&store), Arc::clone(&sources));
            Engine::new(config, store, cache, sources, Arc::clone(&classes))
        });
        let opened = Arc::new(Recent::new(config.open_files_max));
        Self { store, sources, engine, classes, opened, timeout: config.read_timeout }
    }

    /// Lets go of what is kept of a segment whose objects are deleted.
    pub(crate) fn forget(&self, segment: SegmentId) {
        self.sources.forget(segment);
        self.opened.remove(&segment);
        if let Some(engine) = &self.engine {
            engine.board().lock().streams.forget(segment);
        }
    }

    async fn read(&self, segment: &Segment, wanted: &Wanted) -> Result<Vec<FileSlice>, ReadError> {
        let (Range { start, end }, size) = (wanted.range.clone(), segment.size);
        if start >= end || end > size || wanted.enough > end {
            return Err(ReadError::Range { start, end, size });
        }
        // The index is let go before bytes are waited for: it may have megabytes.
        let source = self.sources.source(segment, &*self.sources.index(segment).await?);
        match &self.engine {
            Some(engine) => engine.read(&Arc::new(source), wanted).await,
            None => {
                let most = start.saturating_add(READ_BYTES_MAX).max(wanted.enough);
                self.read_opened(source, start..end.min(most)).await
            }
        }
    }

    async fn read_opened(
        &self,
        source: Source,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        let path = self.store.local_file(&source.name);
        let path = path.ok_or_else(|| ReadError::disk(io::ErrorKind::InvalidFilename.into()))?;
        let (opened, id) = (Arc::clone(&self.opened), source.segment);
        let (asked, checks) = (range.clone(), Arc::clone(&source.checks));
        let check = move || check_opened(&opened, id, &path, &checks, &asked);
        let checked = tokio::task::spawn_blocking(check).await.map_err(|_| ReadError::Stopped)?;
        let file = checked.map_err(|error| match error {
            OpenedError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                ReadError::Gone { object: source.name.to_string() }
            }
            OpenedError::Io(error) => ReadError::disk(error),
            OpenedError::Wrong(wrong) => {
                self.opened.remove(&id);
                self.store.counters().wrong_bytes.bump();
                ReadError::Damaged { object: source.name.to_string(), wrong }
            }
        })?;
        let len = range.end - range.start;
        Ok(vec![FileSlice { file, position: range.start, len, _pin: None }])
    }
}

/// The file of an object, with the blocks of a range checked. Blocks.
fn check_opened(
    opened: &Recent<SegmentId, Arc<OpenedObject>>,
    id: SegmentId,
    path: &std::path::Path,
    checks: &BlockChecks,
    range: &Range<u64>,
) -> Result<Arc<File>, OpenedError> {
    let object = match opened.get(&id) {
        Some(object) => object,
        None => Arc::new(OpenedObject::open(path, checks)?),
    };
    object.verify(checks, range)?;
    opened.put(id, Arc::clone(&object), 1);
    Ok(object.file())
}

/// Whether a header is that of this segment's objects.
pub(crate) fn describes(header: &BundleHeader, segment: &Segment) -> bool {
    header.segment_id == segment.segment_id
        && (header.topic_id, header.partition) == segment.partition.id()
        && (header.base, header.end) == (segment.object.base, segment.object.end)
        && header.size == segment.size
}

impl Tiering {
    /// Tells what the read cache is to do for a topic. It counts from the next use of a chunk on;
    /// until it is told, and after each start, a topic has the default. A store that is read in
    /// place has no cache.
    pub fn set_cache_class(&self, topic: TopicId, class: CacheClass) {
        self.reader.classes.set(topic, class);
    }

    /// The indexes, producer snapshot and epochs of a live segment, verified. From memory when they
    /// were used lately.
    ///
    /// # Errors
    /// [`ReadError`]; a damaged or missing object is named.
    pub async fn index(&self, segment: &Segment) -> Result<Arc<IndexBundle>, ReadError> {
        let index = self.within_timeout(self.reader.sources.index(segment)).await;
        self.count_error(index)
    }

    /// Bytes of a live segment's log: waits until there are enough, and gives those that are there,
    /// as slices that follow on each other. Beyond what is enough they are at most 16 MiB, less
    /// with a small cache. What is handed out was verified, and stays valid while the slices live.
    ///
    /// A read that goes on where another of the partition ended makes the store be read ahead of
    /// it, into the next segments too.
    ///
    /// # Errors
    /// [`ReadError`]; after [`ReadError::TimedOut`] the download goes on.
    pub async fn read(
        &self,
        segment: &Segment,
        wanted: impl Into<Wanted>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        self.tally().reads.bump();
        let wanted = wanted.into();
        let slices = self.within_timeout(self.reader.read(segment, &wanted)).await;
        let slices = self.count_error(slices)?;
        self.tally().read_bytes.add(slices.iter().map(|slice| slice.len).sum());
        Ok(slices)
    }

    /// Who reads the store in sequence, and where. A folder store is read in place: nobody is told.
    #[must_use]
    pub fn replays(&self) -> Replays {
        self.reader.engine.as_ref().map_or_else(Replays::default, |engine| engine.replays())
    }

    async fn within_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let deadline = Instant::now() + self.reader.timeout;
        let done = tokio::time::timeout_at(deadline, work).await;
        done.map_err(|_| ReadError::TimedOut(self.reader.timeout))?
    }

    fn count_error<T>(&self, done: Result<T, ReadError>) -> Result<T, ReadError> {
        done.inspect_err(|_| self.tally().read_errors.bump())
    }
}
