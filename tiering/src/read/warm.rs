//! Fills the cache with segments before somebody reads them.
//!
//! It is a reader like others: what it asks for is fetched once for all, ahead of it and at the
//! pace that downloads keep to.

use std::time::Duration;

use tokio::time::Instant;

use super::{ReadError, Wanted};
use crate::segment::Segment;
use crate::tiering::Tiering;

/// Asked for at a time.
const STEP_BYTES: u64 = 4 << 20;

impl Tiering {
    /// Brings a live segment into the cache from `position` on, for about `time`; where it stopped,
    /// which is the segment's size when all of it is there. A folder store is read in place: there
    /// is nothing to bring.
    ///
    /// # Errors
    /// [`ReadError`]; what came before it stays in the cache.
    pub async fn warm(
        &self,
        segment: &Segment,
        position: u64,
        time: Duration,
    ) -> Result<u64, ReadError> {
        let (mut position, until) = (position, Instant::now() + time);
        if self.is_read_in_place() {
            return Ok(segment.size);
        }
        while position < segment.size && Instant::now() < until {
            let end = (position + STEP_BYTES).min(segment.size);
            // What is there is enough: who asked wants an answer in time also from a slow store.
            let wanted = Wanted {
                range: position..end,
                enough: position + 1,
                look_from: position,
                is_search: false,
            };
            let slices = self.read(segment, wanted).await?;
            position += slices.iter().map(|slice| slice.len).sum::<u64>();
        }
        Ok(position)
    }

    /// Whether reads go to the store's own files, without a cache.
    #[must_use]
    pub fn is_read_in_place(&self) -> bool {
        self.reader.engine.is_none()
    }

    /// What the cache can hold, in bytes; 0 without one.
    #[must_use]
    pub fn cache_room_bytes(&self) -> u64 {
        self.cache
            .as_ref()
            .map_or(0, |cache| u64::from(cache.room_slots()) * crate::cache::CHUNK_BYTES)
    }
}
