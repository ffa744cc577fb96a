//! Index objects in the cache of chunks.
//!
//! An index of a large segment has some megabytes. Memory holds those that are in use; the others
//! wait on the disk, so that a hundred readers do not fetch theirs again and again.
//!
//! Invariants: nothing is believed of what lies there: an index is verified whole each time it is
//! read, and one that is not whole is fetched anew; its first chunk is written last, so that who
//! waits for that finds the others.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::cache::{CHUNK_BYTES, CacheClass, ChunkKey, Pin};
use crate::ids::SegmentId;
use crate::share::{Claim, Found, SharedCache, Turn};

/// Chunks of an index are numbered from here on: no log has so many.
const FIRST: u32 = 1 << 31;
/// A cache smaller than this is for logs alone, and one index takes no more than this part of it.
const SLOTS_MIN: u32 = 64;

/// The indexes of a cache.
#[derive(Clone)]
pub(super) struct Shelf(Arc<SharedCache>);

/// What the shelf has of an index object.
pub(super) enum Shelved {
    /// Its bytes, if it is right.
    Here(Bytes),
    /// Nothing that is of use. Where it is to be kept, when there is room for it and nobody else
    /// brings it.
    Missing(Option<Place>),
}

/// The place of an index that is to be fetched.
pub(super) struct Place {
    claim: Claim,
    segment: SegmentId,
    chunks_max: u32,
}

impl Shelf {
    pub(super) fn on(cache: Arc<SharedCache>) -> Self {
        Self(cache)
    }

    /// Whether this process has an index object, at least its start.
    pub(super) fn has(&self, segment: SegmentId) -> bool {
        self.0.has(&key(segment, 0))
    }

    /// What is there of an index object of a topic of that class. Waits while somebody else brings it.
    pub(super) async fn load(&self, segment: SegmentId, class: CacheClass) -> Shelved {
        let chunks_max = self.0.room_slots() / SLOTS_MIN;
        if chunks_max == 0 {
            return Shelved::Missing(None);
        }
        let mut pins = Vec::new();
        for n in 0..chunks_max {
            let found = match self.0.turn(key(segment, n), 1, class).await {
                Turn::Here(found) => found,
                Turn::Fetch(claim) if n == 0 => {
                    return Shelved::Missing(Some(Place { claim, segment, chunks_max }));
                }
                // It may be whole where nobody could look for the rest: it is left as it is.
                Turn::Fetch(claim) if claim.is_alone() => return Shelved::Missing(None),
                Turn::Fetch(_) => break,
            };
            let Some(pin) = first(found).await else { break };
            let is_last = pin.len() < CHUNK_BYTES;
            pins.push(pin);
            if is_last {
                break;
            }
        }
        if pins.is_empty() {
            return Shelved::Missing(None);
        }
        match tokio::task::spawn_blocking(move || read(&pins)).await {
            Ok(Ok(bytes)) => Shelved::Here(bytes),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the cache cannot be read");
                Shelved::Missing(None)
            }
            Err(_) => Shelved::Missing(None),
        }
    }

    /// What was there of an index, of so many bytes, is not right, or not all of it. Gives the place of
    /// the next one.
    pub(super) async fn clear(
        &self,
        segment: SegmentId,
        class: CacheClass,
        bytes: usize,
    ) -> Option<Place> {
        for n in 0..chunks(bytes) {
            self.0.forget(&key(segment, n));
        }
        match self.load(segment, class).await {
            Shelved::Missing(place) => place,
            Shelved::Here(_) => None,
        }
    }
}

impl Place {
    /// Keeps an index object, if there is room.
    pub(super) async fn keep(mut self, bytes: Bytes) {
        let count = chunks(bytes.len());
        if count > self.chunks_max {
            return;
        }
        for n in (0..count).rev() {
            let start = n as usize * CHUNK_BYTES as usize;
            let part = bytes.slice(start..bytes.len().min(start + CHUNK_BYTES as usize));
            if let Err(error) = self.claim.keep(key(self.segment, n), part).await {
                tracing::debug!(%error, "an index has no place in the cache");
                return;
            }
        }
    }
}

fn key(segment: SegmentId, n: u32) -> ChunkKey {
    ChunkKey { segment, chunk: FIRST + n }
}

fn chunks(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(CHUNK_BYTES as usize)).unwrap_or(u32::MAX)
}

async fn first(found: Vec<Found>) -> Option<Arc<Pin>> {
    found.into_iter().next()?.check(None).await
}

fn read(pins: &[Arc<Pin>]) -> io::Result<Bytes> {
    let mut bytes = BytesMut::new();
    for pin in pins {
        let start = bytes.len();
        let len = usize::try_from(pin.len()).map_err(io::Error::other)?;
        bytes.resize(start + len, 0);
        pin.file().read_exact_at(&mut bytes[start..], pin.position())?;
    }
    Ok(bytes.freeze())
}
