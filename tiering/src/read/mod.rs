//! Remote read: ranges of live segments, as slices of local files ready for `sendfile`.
//!
//! ```text
//! read(segment, range) -> the segment's index bundle (cached, single flight, verified)
//!     file://  -> the object itself, its blocks checked once
//!     others   -> chunks: in the slab? else one ranged GET for all who want it, length and blocks
//!                 checked, written into a slot
//! ```
//! Invariants: bytes leave this module only after their checksum was found right; wrong bytes are
//! fetched once more, counted, and then an error that names the object; every wait has a deadline;
//! a download goes on when its waiter leaves; downloads, chunks in memory, slots, open files and
//! index bytes are bounded.

mod ahead;
mod error;
mod flight;
mod opened;
mod recent;
mod slab;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use error::ReadError;

use crate::bundle::{BundleHeader, IndexBundle};
use crate::config::TieringConfig;
use crate::ids::SegmentId;
use crate::key::ObjectPart;
use crate::segment::Segment;
use crate::store::{Store, StoreError, WrongBytes};
use crate::tiering::Tiering;
use ahead::ReadAhead;
use flight::{Flight, Flights};
use opened::{OpenedError, OpenedObject};
use recent::Recent;
use slab::{ChunkKey, Pin, Slab};

/// A larger `.index` object is refused: a segment's indexes have a bound of their own.
const INDEX_BYTES_MAX: u64 = 256 << 20;
/// One read gives at most this much; the caller reads on from there.
const READ_BYTES_MAX: u64 = 16 << 20;
/// Wrong bytes are fetched this often before they count as damage in the store.
const FETCHES_MAX: usize = 2;

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
    slab: Option<Arc<Slab>>,
    chunk_bytes: u64,
    read_bytes_max: u64,
    timeout: Duration,
    downloads: Arc<Semaphore>,
    indexes: Arc<Recent<SegmentId, Arc<IndexBundle>>>,
    opened: Arc<Recent<SegmentId, Arc<OpenedObject>>>,
    index_flights: Flights<SegmentId, Arc<IndexBundle>>,
    chunk_flights: Flights<ChunkKey, Arc<Pin>>,
    ahead: ReadAhead,
}

impl Reader {
    pub(crate) fn open(config: &TieringConfig, store: Arc<Store>) -> io::Result<Self> {
        let local = store.local_file(&Path::from("any")).is_some();
        let slab = match local {
            true => None,
            false => Some(Slab::open(&config.cache_dir, config.cache_bytes, config.chunk_bytes)?),
        };
        let half = slab.as_ref().map_or(u64::MAX, |slab| slab.slots() as u64 / 2);
        Ok(Self {
            store,
            slab,
            chunk_bytes: config.chunk_bytes,
            // No reader can hold so many slots that two of them wait for each other.
            read_bytes_max: READ_BYTES_MAX.min(half.saturating_mul(config.chunk_bytes)),
            timeout: config.read_timeout,
            downloads: Arc::new(Semaphore::new(config.downloads_max)),
            indexes: Arc::new(Recent::new(config.index_cache_bytes)),
            opened: Arc::new(Recent::new(config.open_files_max)),
            index_flights: Flights::new(),
            chunk_flights: Flights::new(),
            ahead: ReadAhead::new(config.read_ahead_chunks),
        })
    }

    /// Lets go of what is kept of a segment whose objects are deleted.
    pub(crate) fn forget(&self, segment: SegmentId) {
        self.indexes.remove(&segment);
        self.opened.remove(&segment);
    }

    async fn index(&self, name: Path, segment: &Segment) -> Result<Arc<IndexBundle>, ReadError> {
        let id = segment.segment_id;
        if let Some(kept) = self.indexes.get(&id) {
            self.store.counters().cache_hits.bump();
            return Ok(kept);
        }
        let fetch = || {
            self.store.counters().cache_misses.bump();
            let (store, indexes) = (Arc::clone(&self.store), Arc::clone(&self.indexes));
            let segment = segment.clone();
            async move {
                let bundle = Arc::new(fetch_index(&store, &name, &segment).await?);
                indexes.put(id, Arc::clone(&bundle), bundle.weight());
                Ok(bundle)
            }
        };
        self.index_flights.join(&id, || self.indexes.get(&id), fetch).land().await
    }

    async fn read(
        &self,
        name: Path,
        index: Arc<IndexBundle>,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        match &self.slab {
            Some(slab) => self.read_chunks(slab, name, index, range).await,
            None => self.read_opened(name, index, range).await,
        }
    }

    async fn read_opened(
        &self,
        name: Path,
        index: Arc<IndexBundle>,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        let path = self.store.local_file(&name);
        let path = path.ok_or_else(|| ReadError::disk(io::ErrorKind::InvalidFilename.into()))?;
        let (opened, id) = (Arc::clone(&self.opened), index.header.segment_id);
        let asked = range.clone();
        let check = move || {
            let object = match opened.get(&id) {
                Some(object) => object,
                None => Arc::new(OpenedObject::open(&path, &index)?),
            };
            object.verify(&index, &asked)?;
            opened.put(id, Arc::clone(&object), 1);
            Ok(object.file())
        };
        let checked = tokio::task::spawn_blocking(check).await.map_err(|_| ReadError::Stopped)?;
        let file = checked.map_err(|error| match error {
            OpenedError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                ReadError::Gone { object: name.to_string() }
            }
            OpenedError::Io(error) => ReadError::disk(error),
            OpenedError::Wrong(wrong) => {
                self.opened.remove(&id);
                self.store.counters().wrong_bytes.bump();
                ReadError::Damaged { object: name.to_string(), wrong }
            }
        })?;
        let len = range.end - range.start;
        Ok(vec![FileSlice { file, position: range.start, len, _pin: None }])
    }

    /// The chunks of `range` in order. After the first, one that cannot be had now ends the answer:
    /// the caller reads on from there.
    async fn read_chunks(
        &self,
        slab: &Arc<Slab>,
        name: Path,
        index: Arc<IndexBundle>,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        let (id, size) = (index.header.segment_id, index.header.size);
        let chunks = range.start / self.chunk_bytes..range.end.div_ceil(self.chunk_bytes);
        let flight = |chunk| self.chunk(slab, &name, &index, ChunkKey { segment: id, chunk });
        let flights: Vec<_> = chunks.clone().map(flight).collect();
        let total = size.div_ceil(self.chunk_bytes);
        // Nobody waits for these: they land in the slab.
        self.ahead.after(id, &chunks, total).for_each(|chunk| drop(flight(chunk)));

        let mut slices: Vec<FileSlice> = Vec::with_capacity(flights.len());
        for (chunk, flight) in chunks.zip(flights) {
            let pin = match flight.land().await {
                Ok(pin) => pin,
                Err(_) if !slices.is_empty() => break,
                Err(error) => return Err(error),
            };
            let starts = chunk * self.chunk_bytes;
            let from = range.start.max(starts) - starts;
            let to = range.end.min(starts + self.chunk_bytes) - starts;
            let (file, position) = (Arc::clone(pin.file()), pin.position() + from);
            slices.push(FileSlice { file, position, len: to - from, _pin: Some(pin) });
        }
        Ok(slices)
    }

    fn chunk(
        &self,
        slab: &Arc<Slab>,
        name: &Path,
        index: &Arc<IndexBundle>,
        key: ChunkKey,
    ) -> Flight<Arc<Pin>> {
        if let Some(pin) = slab.get(&key) {
            self.store.counters().cache_hits.bump();
            return Flight::Kept(pin);
        }
        let fetch = || {
            self.store.counters().cache_misses.bump();
            let (store, slab) = (Arc::clone(&self.store), Arc::clone(slab));
            let (downloads, index) = (Arc::clone(&self.downloads), Arc::clone(index));
            let (name, chunk_bytes) = (name.clone(), self.chunk_bytes);
            async move {
                // Released when the chunk is in the slab: it bounds the memory too.
                let _turn = downloads.acquire().await.map_err(|_| ReadError::Stopped)?;
                let slot = slab.reserve().await?;
                let bytes = fetch_chunk(&store, &name, &index, key.chunk, chunk_bytes).await?;
                let fill = tokio::task::spawn_blocking(move || slot.fill(key, &bytes));
                fill.await.map_err(|_| ReadError::Stopped)?.map_err(ReadError::disk)
            }
        };
        self.chunk_flights.join(&key, || slab.get(&key), fetch)
    }
}

/// One ranged GET, checked; once more when the bytes are wrong.
async fn fetch_chunk(
    store: &Store,
    name: &Path,
    index: &IndexBundle,
    chunk: u64,
    chunk_bytes: u64,
) -> Result<Bytes, ReadError> {
    let size = index.header.size;
    let range = chunk * chunk_bytes..size.min((chunk + 1) * chunk_bytes);
    twice(name, || async {
        let bytes = store.get_range(name, size, range.clone()).await?;
        match first_wrong_block(index, range.start, &bytes) {
            None => Ok(bytes),
            Some(position) => {
                store.counters().wrong_bytes.bump();
                Err(StoreError::wrong_bytes(name, WrongBytes::Checksum { position }))
            }
        }
    })
    .await
}

/// Chunks start at block borders, since a chunk is a multiple of a block.
fn first_wrong_block(index: &IndexBundle, start: u64, bytes: &Bytes) -> Option<u64> {
    let block_bytes = index.checksum_block();
    let first = start / block_bytes;
    let blocks = bytes.chunks(usize::try_from(block_bytes).unwrap_or(usize::MAX));
    let mut numbered = (first..).zip(blocks);
    let wrong = numbered.find(|(block, bytes)| !index.block_is_right(*block, bytes));
    wrong.map(|(block, _)| block * block_bytes)
}

async fn fetch_index(
    store: &Store,
    name: &Path,
    segment: &Segment,
) -> Result<IndexBundle, ReadError> {
    twice(name, || async {
        let bytes = store.get_whole(name, INDEX_BYTES_MAX).await?;
        let wrong = match IndexBundle::decode(bytes) {
            Ok(bundle) if describes(&bundle.header, segment) => return Ok(bundle),
            Ok(_) => WrongBytes::OtherSegment,
            Err(error) => WrongBytes::Bundle(error),
        };
        store.counters().wrong_bytes.bump();
        Err(StoreError::wrong_bytes(name, wrong))
    })
    .await
}

/// Whether a header is that of this segment's objects.
pub(crate) fn describes(header: &BundleHeader, segment: &Segment) -> bool {
    header.segment_id == segment.segment_id
        && (header.topic_id, header.partition) == segment.partition.id()
        && (header.base, header.end) == (segment.object.base, segment.object.end)
        && header.size == segment.size
}

async fn twice<T, F>(name: &Path, fetch: impl Fn() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut fetches = 1;
    loop {
        match fetch().await {
            Err(error @ StoreError::WrongBytes { .. }) if fetches < FETCHES_MAX => {
                fetches += 1;
                tracing::warn!(object = %name, %error, "fetching again");
            }
            fetched => return fetched.map_err(ReadError::from_store),
        }
    }
}

impl Tiering {
    /// The indexes, producer snapshot and epochs of a live segment, verified. From memory when they
    /// were used lately.
    ///
    /// # Errors
    /// [`ReadError`]; a damaged or missing object is named.
    pub async fn index(&self, segment: &Segment) -> Result<Arc<IndexBundle>, ReadError> {
        let index = self.within_timeout(self.fetch_index(segment)).await;
        self.count_error(index)
    }

    /// Bytes `range` of a live segment's log, or the first part of them: at least one byte, and as
    /// much as one read gives (16 MiB, less with a small cache). The slices follow on each other.
    /// What is handed out was verified, and stays valid while the slices live.
    ///
    /// # Errors
    /// [`ReadError`]; after [`ReadError::TimedOut`] the download goes on.
    pub async fn read(
        &self,
        segment: &Segment,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        self.tally().reads.bump();
        let read = async {
            let (Range { start, end }, size) = (range, segment.size);
            if start >= end || end > size {
                return Err(ReadError::Range { start, end, size });
            }
            let index = self.fetch_index(segment).await?;
            let end = end.min(start.saturating_add(self.reader.read_bytes_max));
            let name = self.object(segment, ObjectPart::Log);
            self.reader.read(name, index, start..end).await
        };
        let slices = self.within_timeout(read).await;
        let slices = self.count_error(slices)?;
        self.tally().read_bytes.add(slices.iter().map(|slice| slice.len).sum());
        Ok(slices)
    }

    async fn fetch_index(&self, segment: &Segment) -> Result<Arc<IndexBundle>, ReadError> {
        if !segment.is_live() {
            let (partition, base) = (segment.partition.to_string(), segment.base.get());
            return Err(ReadError::NotLive { partition, base });
        }
        self.reader.index(self.object(segment, ObjectPart::Index), segment).await
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
