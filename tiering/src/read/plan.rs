//! What a replay will cost, told from the manifest: no request is made, no segment is opened.
//!
//! Invariant: a segment that is read whole counts with exactly its bytes. Of one that is read in
//! part the manifest does not know where an offset lies: its share of the offsets is counted, and
//! the plan says that it is no longer exact.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::Reader;
use super::forecast::Forecast;
use super::link::{Link, whole};
use super::source::{chunk_after, chunk_at, chunk_start};
use crate::cache::ChunkKey;
use crate::ids::{Offset, SegmentId};
use crate::manifest::{ManifestError, RowRange};
use crate::partition::PartitionKey;
use crate::segment::{RemoteState, Segment};
use crate::tiering::Tiering;

/// Segments that are looked at in one go.
const PAGE_ROWS: usize = 1000;
/// Bytes a second of a reader of whom nothing else is known: as fast as requests can be large.
const FAST: u64 = 400_000_000;

/// What one reader will cause that goes through a range of offsets in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Segments that it reads from.
    pub segments: u64,
    /// Bytes of records that it reads.
    pub bytes: u64,
    /// Of them, bytes that the cache holds.
    pub cached_bytes: u64,
    /// Bytes that have to be fetched first: whole chunks, so it may be more than what is left.
    pub fetched_bytes: u64,
    /// GET requests for ranges of log objects.
    pub log_gets: u64,
    /// GET requests for index objects.
    pub index_gets: u64,
    /// Whether a segment is read in part, so that bytes are an estimate.
    pub is_estimate: bool,
}

/// One segment of the plan.
struct Part {
    segment: Segment,
    /// Which of its bytes are read.
    bytes: Range<u64>,
}

/// A plan in the making.
struct Planning {
    plan: ReadPlan,
    /// The segments of which the cache has something: of most of a long history it has nothing, and
    /// its chunks need not be looked for.
    cached: HashSet<SegmentId>,
    forecast: Forecast,
}

impl Tiering {
    /// What one sequential reader of the live segments of `offsets` would cause now, if it takes so
    /// many bytes a second; without a rate, as fast as the store was lately. The store is not
    /// asked.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn plan_read(
        &self,
        partition: &PartitionKey,
        offsets: Range<Offset>,
        bytes_per_second: Option<u64>,
    ) -> Result<ReadPlan, ManifestError> {
        let reader = Arc::clone(&self.reader);
        let begin = {
            let reader = Arc::clone(&reader);
            move || reader.begin_plan(bytes_per_second)
        };
        let mut planning = off_thread(begin).await;
        let mut from = self.first_base(partition, offsets.start).await?;
        while from < offsets.end {
            let (to, remote, limit) = (offsets.end, Some(RemoteState::Live), PAGE_ROWS);
            let rows = self.manifest.rows(partition, RowRange { from, to, remote, limit }).await?;
            let Some(last) = rows.last() else { break };
            from = last.base.next();
            let (reader, offsets) = (Arc::clone(&reader), offsets.clone());
            let add = move || {
                reader.add_page(&mut planning, rows, &offsets);
                planning
            };
            planning = off_thread(add).await;
        }
        Ok(ReadPlan { log_gets: planning.forecast.requests(), ..planning.plan })
    }

    /// Where the segment begins that holds an offset; the offset itself when none does.
    async fn first_base(
        &self,
        partition: &PartitionKey,
        offset: Offset,
    ) -> Result<Offset, ManifestError> {
        let found = self.manifest.find(partition, offset).await?;
        Ok(found.map_or(offset, |segment| segment.base))
    }
}

/// Work that is too long for a network thread.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // It never ran, since the runtime ends: so does whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Reader {
    fn begin_plan(&self, bytes_per_second: Option<u64>) -> Planning {
        let cached = self.engine.as_ref().map(|engine| engine.cache.segments());
        Planning {
            plan: ReadPlan::default(),
            cached: cached.unwrap_or_default(),
            forecast: self.forecast(bytes_per_second),
        }
    }

    fn forecast(&self, bytes_per_second: Option<u64>) -> Forecast {
        let (link, bound) = match &self.engine {
            Some(engine) => engine.prospect(),
            None => (Link::default().estimate(), 0),
        };
        let measured = Some(whole(link.total_rate)).filter(|rate| *rate > 0);
        Forecast::new(link, bytes_per_second.or(measured).unwrap_or(FAST), bound)
    }

    /// Adds segments that follow on each other. Many look-ups: not for a network thread.
    fn add_page(&self, planning: &mut Planning, rows: Vec<Segment>, offsets: &Range<Offset>) {
        for segment in rows {
            let (bytes, is_estimate) = wanted_bytes(&segment, offsets);
            planning.plan.is_estimate |= is_estimate;
            if !bytes.is_empty() {
                self.add(planning, &Part { segment, bytes });
            }
        }
    }

    fn add(&self, planning: &mut Planning, part: &Part) {
        let Planning { plan, cached, forecast } = planning;
        let id = part.segment.segment_id;
        let is_cached = cached.contains(&id);
        plan.segments += 1;
        plan.bytes += part.bytes.end - part.bytes.start;
        plan.index_gets += u64::from(!self.sources.has_index(id, is_cached));
        // A folder store is read in place.
        let Some(engine) = &self.engine else { return };
        let missing = part.missing(|key| is_cached && engine.cache.has(key));
        let (mut fetched, mut wanted) = (0, 0);
        for Range { start, end } in &missing {
            fetched += end - start;
            wanted += end.min(&part.bytes.end) - start.max(&part.bytes.start);
        }
        plan.fetched_bytes += fetched;
        plan.cached_bytes += part.bytes.end - part.bytes.start - wanted;
        forecast.segment(part.segment.size, missing);
    }
}

impl Part {
    /// The bytes that are to be fetched, in whole chunks, in order.
    fn missing(&self, has: impl Fn(&ChunkKey) -> bool) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        let segment = self.segment.segment_id;
        for chunk in chunk_at(self.bytes.start)..chunk_after(self.bytes.end) {
            if has(&ChunkKey { segment, chunk }) {
                continue;
            }
            let (start, end) = (chunk_start(chunk), chunk_start(chunk + 1).min(self.segment.size));
            match missing.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => missing.push(start..end),
            }
        }
        missing
    }
}

/// Which bytes of a segment a reader of some offsets reads, and whether that is an estimate: bytes
/// are shared out among offsets as if all records were of one size.
fn wanted_bytes(segment: &Segment, offsets: &Range<Offset>) -> (Range<u64>, bool) {
    let first = segment.base.max(offsets.start).get();
    let after = segment.end.next().min(offsets.end).get();
    let (base, end) = (segment.object.base.get(), segment.object.end.next().get());
    let position = |offset: i64| {
        let (done, all) = (i128::from(offset - base), i128::from(end - base));
        u64::try_from(i128::from(segment.size) * done / all.max(1)).unwrap_or(segment.size)
    };
    let whole = first == base && after == end;
    let bytes = if after > first { position(first)..position(after) } else { 0..0 };
    (bytes, !whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, TopicId};

    fn segment(size: u64) -> Segment {
        let partition = PartitionKey::new("t", TopicId::from_bytes([1; 16]), 0);
        let (offsets, times) = ((Offset::new(100), Offset::new(199)), (-1, -1));
        Segment::sealed(partition, offsets, times, size, LeaderEpoch::new(0), Vec::new(), 0)
    }

    fn wanted(from: i64, to: i64) -> (Range<u64>, bool) {
        wanted_bytes(&segment(1000), &(Offset::new(from)..Offset::new(to)))
    }

    #[test]
    fn whole_segments_are_exact_and_parts_count_by_their_share_of_the_offsets() {
        assert_eq!(wanted(0, 500), (0..1000, false));
        assert_eq!(wanted(100, 200), (0..1000, false));
        assert_eq!(wanted(150, 500), (500..1000, true));
        assert_eq!(wanted(0, 125), (0..250, true));
        assert!(wanted(200, 300).0.is_empty());
    }

    #[test]
    fn what_is_cached_is_left_out_in_whole_chunks() {
        let size = 4 * chunk_start(1) + 7;
        let part = Part { segment: segment(size), bytes: 10..size };
        let missing = part.missing(|key| key.chunk == 1);
        assert_eq!(missing, [0..chunk_start(1), chunk_start(2)..size]);
        assert!(part.missing(|_| true).is_empty());
    }
}
