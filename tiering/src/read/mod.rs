//! Remote read: ranges of live segments, as slices of local files ready for `sendfile`.
//!
//! ```text
//! read(segment, range) -> the segment's index bundle (cached, single flight, verified)
//!     file://  -> the object itself, its blocks checked once
//!     others   -> pieces of several chunks: all in the cache? else one ranged GET for all who want
//!                 it, length and blocks checked, its chunks written into slots
//! ```
//! Invariants: bytes leave this module only after their checksum was found right; wrong bytes are
//! fetched once more, counted, and then an error that names the object; every wait has a deadline;
//! a download goes on when its waiter leaves; downloads, pieces in memory, slots, open files and
//! index bytes are bounded.

mod ahead;
mod error;
mod flight;
mod opened;
mod piece;
mod recent;

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
use crate::cache::{CHUNK_BYTES, Cache, Pin};
use crate::config::TieringConfig;
use crate::ids::SegmentId;
use crate::key::ObjectPart;
use crate::segment::Segment;
use crate::store::{Store, StoreError, WrongBytes};
use crate::tiering::Tiering;
use ahead::ReadAhead;
use flight::{Flight, Flights};
use opened::{OpenedError, OpenedObject};
use piece::{Piece, Pins};
use recent::Recent;

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
    /// None for a store that is read in place.
    cache: Option<Arc<Cache>>,
    chunk_bytes: u64,
    read_bytes_max: u64,
    timeout: Duration,
    downloads: Arc<Semaphore>,
    indexes: Arc<Recent<SegmentId, Arc<IndexBundle>>>,
    opened: Arc<Recent<SegmentId, Arc<OpenedObject>>>,
    index_flights: Flights<SegmentId, Arc<IndexBundle>>,
    piece_flights: Flights<Piece, Pins>,
    ahead: ReadAhead,
}

impl Reader {
    pub(crate) fn open(
        config: &TieringConfig,
        store: Arc<Store>,
        cache: Option<Arc<Cache>>,
    ) -> Self {
        let bytes = |cache: &Arc<Cache>| u64::from(cache.slots()) * CHUNK_BYTES;
        let pieces = cache.as_ref().map_or(u64::MAX, bytes) / config.chunk_bytes;
        // Neither readers nor downloads hold so many slots that two of them wait for each other.
        let half = pieces / 2;
        let downloads = config.downloads_max.min(usize::try_from(half).unwrap_or(usize::MAX));
        Self {
            store,
            cache,
            chunk_bytes: config.chunk_bytes,
            read_bytes_max: READ_BYTES_MAX.min(half.saturating_mul(config.chunk_bytes)),
            timeout: config.read_timeout,
            downloads: Arc::new(Semaphore::new(downloads)),
            indexes: Arc::new(Recent::new(config.index_cache_bytes)),
            opened: Arc::new(Recent::new(config.open_files_max)),
            index_flights: Flights::new(),
            piece_flights: Flights::new(),
            ahead: ReadAhead::new(config.read_ahead_chunks),
        }
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
        match &self.cache {
            Some(cache) => self.read_pieces(cache, name, index, range).await,
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

    /// The pieces of `range` in order. After the first, one that cannot be had now ends the answer:
    /// the caller reads on from there.
    async fn read_pieces(
        &self,
        cache: &Arc<Cache>,
        name: Path,
        index: Arc<IndexBundle>,
        range: Range<u64>,
    ) -> Result<Vec<FileSlice>, ReadError> {
        let (id, size) = (index.header.segment_id, index.header.size);
        let pieces = range.start / self.chunk_bytes..range.end.div_ceil(self.chunk_bytes);
        let flight = |piece| {
            let start = piece * self.chunk_bytes;
            let bytes = start..size.min(start + self.chunk_bytes);
            self.piece(cache, &name, &index, Piece { segment: id, bytes })
        };
        let flights: Vec<_> = pieces.clone().map(flight).collect();
        let total = size.div_ceil(self.chunk_bytes);
        // Nobody waits for these: they land in the cache.
        self.ahead.after(id, &pieces, total).for_each(|piece| drop(flight(piece)));

        let mut slices: Vec<FileSlice> = Vec::with_capacity(flights.len());
        for (piece, flight) in pieces.zip(flights) {
            let pins = match flight.land().await {
                Ok(pins) => pins,
                Err(_) if !slices.is_empty() => break,
                Err(error) => return Err(error),
            };
            let starts = (piece * self.chunk_bytes..).step_by(CHUNK_BYTES as usize);
            slices.extend(starts.zip(&*pins).filter_map(|(start, pin)| slice(pin, start, &range)));
        }
        Ok(slices)
    }

    fn piece(
        &self,
        cache: &Arc<Cache>,
        name: &Path,
        index: &Arc<IndexBundle>,
        piece: Piece,
    ) -> Flight<Pins> {
        if let Some(pins) = piece.kept(cache) {
            return Flight::Kept(pins);
        }
        let fetch = || {
            let (store, cache, piece) = (Arc::clone(&self.store), Arc::clone(cache), piece.clone());
            let (downloads, index) = (Arc::clone(&self.downloads), Arc::clone(index));
            let name = name.clone();
            async move {
                // Released when the piece is in the cache: it bounds the memory too.
                let _turn = downloads.acquire().await.map_err(|_| ReadError::Stopped)?;
                match piece.look(&cache).await? {
                    Ok(pins) => Ok(pins),
                    Err(lacking) => {
                        let wanted = lacking.bytes.clone();
                        let bytes = fetch_range(&store, &name, &index, wanted).await?;
                        piece.fill(lacking, bytes).await
                    }
                }
            }
        };
        self.piece_flights.join(&piece, || piece.kept(cache), fetch)
    }
}

/// What of a chunk that starts at `start` lies in `range`.
fn slice(pin: &Arc<Pin>, start: u64, range: &Range<u64>) -> Option<FileSlice> {
    let from = range.start.max(start) - start;
    let to = range.end.min(start + pin.len()).checked_sub(start)?;
    let len = to.checked_sub(from).filter(|len| *len > 0)?;
    let (file, position) = (Arc::clone(pin.file()), pin.position() + from);
    Some(FileSlice { file, position, len, _pin: Some(Arc::clone(pin)) })
}

/// One ranged GET, checked; once more when the bytes are wrong.
async fn fetch_range(
    store: &Store,
    name: &Path,
    index: &IndexBundle,
    range: Range<u64>,
) -> Result<Bytes, ReadError> {
    let size = index.header.size;
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

/// Ranges start at block borders, since a chunk is a multiple of a block.
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
