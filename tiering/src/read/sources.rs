//! Indexes of live segments, and which segment comes after which.
//!
//! An index object is fetched whole, once for all who want it, and verified. It is kept in memory as
//! long as there is room there, and then on the disk.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use object_store::path::Path;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::classes::Classes;
use super::download::FETCHES_MAX;
use super::flight::Flights;
use super::shelf::{Place, Shelf, Shelved};
use super::source::Source;
use super::{ReadError, describes};
use crate::bundle::IndexBundle;
use crate::cache::CacheClass;
use crate::config::{Pace, TieringConfig};
use crate::ids::SegmentId;
use crate::key::{Layout, ObjectPart};
use crate::manifest::Manifest;
use crate::recent::Recent;
use crate::segment::{LocalState, Segment};
use crate::store::{Store, StoreError, WrongBytes};

/// A larger `.index` object is refused: a segment's indexes have a bound of their own.
const INDEX_BYTES_MAX: u64 = 256 << 20;
/// Index objects that are asked for at a time.
const REQUESTS_MAX: usize = 64;
/// Memory of the index objects that are fetched, or on their way to the disk: each is held whole.
const ROOM_KIB: u32 = 16 << 10;
/// So many segments are looked up at a time.
const NEXT_MAX: usize = 8;

/// Where sources come from.
pub(super) struct Sources {
    store: Arc<Store>,
    manifest: Arc<Manifest>,
    layout: Arc<Layout>,
    pace: Arc<dyn Pace>,
    indexes: Arc<Recent<SegmentId, Arc<IndexBundle>>>,
    shelf: Option<Shelf>,
    classes: Arc<Classes>,
    flights: Flights<SegmentId, Arc<IndexBundle>>,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

impl Sources {
    pub(super) fn new(
        config: &TieringConfig,
        store: Arc<Store>,
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        shelf: Option<Shelf>,
        classes: Arc<Classes>,
    ) -> Self {
        Self {
            store,
            manifest,
            layout,
            pace: Arc::clone(&config.fetch_pace),
            indexes: Arc::new(Recent::new(config.index_cache_bytes)),
            shelf,
            classes,
            flights: Flights::new(config.downloads_on.clone()),
            turns: Arc::new(Semaphore::new(REQUESTS_MAX)),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        }
    }

    /// The indexes of a live segment.
    pub(super) async fn index(&self, segment: &Segment) -> Result<Arc<IndexBundle>, ReadError> {
        if !segment.is_live() {
            let (partition, base) = (segment.partition.to_string(), segment.base.get());
            return Err(ReadError::NotLive { partition, base });
        }
        let id = segment.segment_id;
        if let Some(kept) = self.indexes.get(&id) {
            self.store.counters().cache_hits.bump();
            return Ok(kept);
        }
        let fetch = || {
            let fetch = Fetch {
                store: Arc::clone(&self.store),
                shelf: self.shelf.clone(),
                class: self.classes.of(segment.partition.topic_id),
                pace: Arc::clone(&self.pace),
                turns: Arc::clone(&self.turns),
                room: Arc::clone(&self.room),
                name: self.layout.object(segment, ObjectPart::Index),
                segment: segment.clone(),
            };
            let indexes = Arc::clone(&self.indexes);
            async move {
                let bundle = Arc::new(fetch.run().await?);
                indexes.put(id, Arc::clone(&bundle), bundle.weight());
                Ok(bundle)
            }
        };
        self.flights.join(&id, || self.indexes.get(&id), fetch).land().await
    }

    /// Whether the index of a segment is here: in memory, or, where the disk may have it, there. It
    /// counts as no use.
    pub(super) fn has_index(&self, segment: SegmentId, disk_may: bool) -> bool {
        let on_disk = || self.shelf.as_ref().is_some_and(|shelf| shelf.has(segment));
        self.indexes.has(&segment) || (disk_may && on_disk())
    }

    /// The log object of a live segment.
    pub(super) fn source(&self, segment: &Segment, index: &IndexBundle) -> Source {
        Source::new(segment, self.layout.object(segment, ObjectPart::Log), index)
    }

    /// What a reader who comes to the end of `last` reads next, in order, up to about `bytes`.
    /// Nothing is an answer as well: then the reader asks when it gets there.
    pub(super) async fn after(&self, last: &Source, bytes: u64) -> Vec<Arc<Source>> {
        let (mut segments, mut base, mut sum) = (Vec::new(), last.base, 0);
        while segments.len() < NEXT_MAX && sum <= bytes {
            match self.manifest.next_after(&last.partition, base).await {
                Ok(Some(next)) if is_read_here(&next) => {
                    (base, sum) = (next.base, sum + next.size);
                    segments.push(next);
                }
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(partition = %last.partition, %error, "no look ahead");
                    break;
                }
            }
        }
        let indexes = join_all(segments.iter().map(|segment| self.index(segment))).await;
        let known = segments.iter().zip(indexes).map_while(|(segment, index)| match index {
            Ok(index) => Some(Arc::new(self.source(segment, &index))),
            Err(error) => {
                tracing::debug!(partition = %segment.partition, %error, "no look ahead");
                None
            }
        });
        known.collect()
    }

    /// Lets go of what is kept of a segment whose objects are deleted.
    pub(super) fn forget(&self, segment: SegmentId) {
        self.indexes.remove(&segment);
    }
}

/// Whether a reader who comes from the segment before reads this one from its first byte, in the
/// store: what is on this disk as well is read there, and of a segment that another leader's
/// overlaps some bytes are skipped.
fn is_read_here(segment: &Segment) -> bool {
    segment.local == LocalState::Gone && segment.object.base == segment.base
}

/// One index that is not in memory.
struct Fetch {
    store: Arc<Store>,
    shelf: Option<Shelf>,
    class: CacheClass,
    pace: Arc<dyn Pace>,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
    name: Path,
    segment: Segment,
}

impl Fetch {
    async fn run(self) -> Result<IndexBundle, ReadError> {
        let place = match self.on_shelf().await {
            Ok(found) => {
                self.store.counters().cache_hits.bump();
                return Ok(found);
            }
            Err(place) => place,
        };
        self.store.counters().cache_misses.bump();
        let mut fetches = 0;
        loop {
            fetches += 1;
            match self.download().await {
                Err(error @ StoreError::WrongBytes { .. }) if fetches < FETCHES_MAX => {
                    tracing::warn!(object = %self.name, %error, "fetching again");
                }
                Err(error) => return Err(ReadError::from_store(error)),
                Ok((bundle, fetched)) => {
                    if let Some(place) = place {
                        tokio::spawn(async move {
                            place.keep(fetched.bytes).await;
                            drop(fetched.room);
                        });
                    }
                    return Ok(bundle);
                }
            }
        }
    }

    /// The index, or where it is to be kept once it is fetched.
    async fn on_shelf(&self) -> Result<IndexBundle, Option<Place>> {
        let Some(shelf) = &self.shelf else { return Err(None) };
        let segment = self.segment.segment_id;
        let bytes = match shelf.load(segment, self.class).await {
            Shelved::Here(bytes) => bytes,
            Shelved::Missing(place) => return Err(place),
        };
        let len = bytes.len();
        match IndexBundle::decode(bytes) {
            Ok(bundle) if describes(&bundle.header, &self.segment) => Ok(bundle),
            _ => Err(shelf.clear(segment, self.class, len).await),
        }
    }

    /// An index, decoded and as it came.
    async fn download(&self) -> Result<(IndexBundle, Fetched), StoreError> {
        let _turn = self.turns.acquire().await;
        self.store.counters().index_gets.bump();
        let make_room = |len| self.make_room(len);
        let fetched = self.store.get_whole_into(&self.name, INDEX_BYTES_MAX, make_room).await;
        let (bytes, room) = fetched?;
        self.store.counters().replay_bytes.add(bytes.len() as u64);
        let wrong = match IndexBundle::decode(bytes.clone()) {
            Ok(bundle) if describes(&bundle.header, &self.segment) => {
                return Ok((bundle, Fetched { bytes, room }));
            }
            Ok(_) => WrongBytes::OtherSegment,
            Err(error) => WrongBytes::Bundle(error),
        };
        self.store.counters().wrong_bytes.bump();
        Err(StoreError::wrong_bytes(&self.name, wrong))
    }

    /// Waits until an object of so many bytes may come. None would be no more than a bound less:
    /// nobody closes the semaphore.
    async fn make_room(&self, len: u64) -> Option<OwnedSemaphorePermit> {
        self.pace.admit(len).await;
        let kib = u32::try_from(len / 1024 + 1).unwrap_or(u32::MAX).min(ROOM_KIB);
        Arc::clone(&self.room).acquire_many_owned(kib).await.ok()
    }
}

/// An index as it came, and its place in memory.
struct Fetched {
    bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}
