//! Index objects in the cache of chunks.
//!
//! An index of a large segment has some megabytes. Memory holds those that are in use; the others
//! wait on the disk, so that a hundred readers do not fetch theirs again and again.
//!
//! Invariant: nothing is believed of what lies there. An index is verified whole each time it is
//! read, and one that is not whole is fetched anew.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::cache::{CHUNK_BYTES, Cache, ChunkKey, Lookup, Pin};
use crate::ids::SegmentId;

/// Chunks of an index are numbered from here on: no log has so many.
const FIRST: u32 = 1 << 31;
/// A cache smaller than this is for logs alone, and one index takes no more than this part of it.
const SLOTS_MIN: u32 = 64;

/// The indexes of a cache.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Cache>);

impl Shelf {
    /// On a cache that is large enough.
    pub(super) fn on(cache: &Arc<Cache>) -> Option<Self> {
        (cache.slots() >= SLOTS_MIN).then(|| Self(Arc::clone(cache)))
    }

    /// Whether an index object is there, at least its start.
    pub(super) fn has(&self, segment: SegmentId) -> bool {
        self.0.has(&ChunkKey { segment, chunk: FIRST })
    }

    /// What is there of an index object; nothing when not even its start is.
    pub(super) async fn load(&self, segment: SegmentId) -> Option<Bytes> {
        let mut pins = Vec::new();
        for chunk in FIRST..FIRST + self.chunks_max() {
            let pin = match self.0.get(&ChunkKey { segment, chunk }) {
                Lookup::Ready(pin) => Some(pin),
                Lookup::Unchecked(unchecked) => unchecked.check().await,
                Lookup::Missing => None,
            };
            let Some(pin) = pin else { break };
            let is_last = pin.len() < CHUNK_BYTES;
            pins.push(pin);
            if is_last {
                break;
            }
        }
        if pins.is_empty() {
            return None;
        }
        let read = tokio::task::spawn_blocking(move || read(&pins)).await;
        read.ok()?.inspect_err(|error| tracing::warn!(%error, "the cache cannot be read")).ok()
    }

    /// Keeps an index object, if there is room.
    pub(super) async fn keep(self, segment: SegmentId, bytes: Bytes) {
        let chunks = bytes.len().div_ceil(CHUNK_BYTES as usize);
        if chunks > self.chunks_max() as usize {
            return;
        }
        let mut rest = bytes;
        for chunk in FIRST.. {
            if rest.is_empty() {
                return;
            }
            let part = rest.split_to(rest.len().min(CHUNK_BYTES as usize));
            let Ok(slot) = self.0.reserve().await else { return };
            if let Err(error) = slot.fill(ChunkKey { segment, chunk }, part).await {
                tracing::warn!(%error, "the cache cannot be written");
                return;
            }
        }
    }

    fn chunks_max(&self) -> u32 {
        self.0.slots() / SLOTS_MIN
    }
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
