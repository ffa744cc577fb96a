//! One download: chunks that lie side by side in a log object.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::ReadError;
use crate::cache::{CHUNK_BYTES, Cache, ChunkKey, Lookup, Pin, Slot};
use crate::ids::SegmentId;

/// The chunks of a piece in their order.
pub(super) type Pins = Arc<[Arc<Pin>]>;

/// A piece of an object: whole chunks, but for the last one of the object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub(super) segment: SegmentId,
    pub(super) bytes: Range<u64>,
}

/// What the cache has of a piece, and slots for what it lacks.
pub(super) struct Lacking {
    chunks: Vec<Result<Arc<Pin>, Slot>>,
    /// From the first byte that is lacking to the last.
    pub(super) bytes: Range<u64>,
}

impl Piece {
    fn keys(&self) -> impl Iterator<Item = ChunkKey> {
        let chunks = self.bytes.start / CHUNK_BYTES..self.bytes.end.div_ceil(CHUNK_BYTES);
        chunks.map(|chunk| ChunkKey { segment: self.segment, chunk: chunk as u32 })
    }

    /// The whole piece, if all of it can be served at once.
    pub(super) fn kept(&self, cache: &Arc<Cache>) -> Option<Pins> {
        let ready = |key| match cache.get(&key) {
            Lookup::Ready(pin) => Some(pin),
            Lookup::Unchecked(_) | Lookup::Missing => None,
        };
        self.keys().map(ready).collect()
    }

    /// The whole piece, or what is lacking of it.
    pub(super) async fn look(
        &self,
        cache: &Arc<Cache>,
    ) -> Result<Result<Pins, Lacking>, ReadError> {
        let mut chunks = Vec::new();
        let mut lacking: Option<Range<u64>> = None;
        for key in self.keys() {
            let found = match cache.get(&key) {
                Lookup::Ready(pin) => Some(pin),
                Lookup::Unchecked(unchecked) => unchecked.check().await,
                Lookup::Missing => None,
            };
            let Some(pin) = found else {
                let start = u64::from(key.chunk) * CHUNK_BYTES;
                let end = self.bytes.end.min(start + CHUNK_BYTES);
                lacking = Some(lacking.map_or(start, |lacking| lacking.start)..end);
                chunks.push(Err(cache.reserve().await.map_err(|_| ReadError::CacheFull)?));
                continue;
            };
            chunks.push(Ok(pin));
        }
        match lacking {
            Some(bytes) => Ok(Err(Lacking { chunks, bytes })),
            None => Ok(Ok(chunks.into_iter().filter_map(Result::ok).collect())),
        }
    }

    /// Keeps what was lacking.
    pub(super) async fn fill(&self, lacking: Lacking, bytes: Bytes) -> Result<Pins, ReadError> {
        let mut pins = Vec::new();
        for (key, chunk) in self.keys().zip(lacking.chunks) {
            let pin = match chunk {
                Ok(pin) => pin,
                Err(slot) => {
                    let start = u64::from(key.chunk) * CHUNK_BYTES - lacking.bytes.start;
                    let end = (start + CHUNK_BYTES).min(bytes.len() as u64);
                    let bytes = bytes.slice(start as usize..end as usize);
                    slot.fill(key, bytes).await.map_err(ReadError::disk)?
                }
            };
            pins.push(pin);
        }
        Ok(pins.into())
    }
}
