//! The streams of all partitions: whose read goes on where another ended, whose turn it is, and how
//! much of the cache each may fill ahead.
//!
//! Several readers of one partition are several streams, unless they are at the same place. Those
//! that ride behind another find everything in the cache, and are given no share of it.
//!
//! Invariants: there are at most [`STREAMS_MAX`] streams, [`PARTITION_MAX`] for one partition; all
//! windows of leading streams together fit into their part of the cache, but for one chunk each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::source::Source;
use super::stream::{Run, Stream, Zone};
use crate::cache::{CHUNK_BYTES, ChunkKey};
use crate::ids::{SegmentId, TopicId};

/// The one that was silent longest gives way to another.
const STREAMS_MAX: usize = 1024;
/// The same within one partition. Each read looks through them: some microseconds.
const PARTITION_MAX: usize = 128;

type Id = (TopicId, i32);

#[derive(Debug)]
pub(super) struct Streams {
    by_id: HashMap<u64, Stream>,
    by_partition: HashMap<Id, Vec<u64>>,
    ids: u64,
    turns: u64,
    /// What all windows together may hold of the cache.
    budget: u64,
    /// What one window may hold; 0 turns reading ahead off.
    window_max: u64,
}

impl Streams {
    pub(super) fn new(budget: u64, window_max: u64) -> Self {
        let (by_id, by_partition) = (HashMap::new(), HashMap::new());
        Self { by_id, by_partition, ids: 0, turns: 0, budget, window_max }
    }

    /// What all windows together may hold of the cache from now on.
    pub(super) fn set_budget(&mut self, budget: u64) {
        self.budget = budget;
    }

    /// The stream that a read at `start` of a segment belongs to, an old one or a new one, and the
    /// place of the read in its count.
    pub(super) fn enter(&mut self, now: Duration, source: &Arc<Source>, start: u64) -> (u64, u64) {
        let (id, position) = self
            .of_read(source, start)
            .or_else(|| self.at_end_before(source, start))
            .unwrap_or_else(|| (self.add(now, source, start), start));
        if let Some(stream) = self.by_id.get_mut(&id) {
            stream.begin(now, position);
        }
        (id, position)
    }

    /// The stream that the read goes on in; of several, the one that is least far ahead of it.
    fn of_read(&self, source: &Source, start: u64) -> Option<(u64, u64)> {
        let here = self.by_partition.get(&source.partition.id())?;
        let found = here.iter().filter_map(|id| {
            let stream = self.by_id.get(id)?;
            Some((stream.continues(source.segment, start)?, stream))
        });
        let nearest = found.min_by_key(|(at, stream)| stream.reached().saturating_sub(*at));
        nearest.map(|(position, stream)| (stream.id, position))
    }

    /// A stream that stands at the end of the segments it knows.
    fn at_end_before(&mut self, source: &Arc<Source>, start: u64) -> Option<(u64, u64)> {
        let here = self.by_partition.get(&source.partition.id())?;
        here.iter().find_map(|id| {
            let position = self.by_id.get_mut(id)?.goes_over_to(source, start)?;
            Some((*id, position))
        })
    }

    fn add(&mut self, now: Duration, source: &Arc<Source>, start: u64) -> u64 {
        let partition = source.partition.id();
        let here = self.by_partition.get(&partition).map_or(0, Vec::len);
        if here >= PARTITION_MAX {
            self.drop_oldest(Some(partition));
        } else if self.by_id.len() >= STREAMS_MAX {
            self.drop_oldest(None);
        }
        self.ids += 1;
        self.by_id.insert(self.ids, Stream::new(self.ids, now, Arc::clone(source), start));
        self.by_partition.entry(partition).or_default().push(self.ids);
        self.ids
    }

    /// Looks that were never gone on with give way first.
    fn drop_oldest(&mut self, partition: Option<Id>) {
        let among = self.by_partition.iter().filter(|(id, _)| partition.is_none_or(|p| p == **id));
        let streams = among.flat_map(|(_, ids)| ids).filter_map(|id| self.by_id.get(id));
        let oldest = streams.min_by_key(|stream| (stream.is_sequential(), stream.read_at()));
        if let Some(id) = oldest.map(|stream| stream.id) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        self.by_id.remove(&id);
        self.by_partition.retain(|_, ids| {
            ids.retain(|known| *known != id);
            !ids.is_empty()
        });
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Stream> {
        self.by_id.get_mut(&id)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The sequential readers that are still there.
    pub(super) fn read_now(&self, now: Duration) -> impl Iterator<Item = &Stream> {
        self.by_id.values().filter(move |stream| stream.is_sequential() && stream.is_read(now))
    }

    /// How far a stream may read ahead now. Those that want less than an equal share leave the rest
    /// to those that want more, and streams that are close together want the same bytes.
    pub(super) fn bound(&self, now: Duration) -> u64 {
        let mut zones: HashMap<Zone, u64> = HashMap::new();
        for stream in self.by_id.values().filter(|stream| stream.is_leading(now)) {
            let wanted = zones.entry(stream.zone()).or_default();
            *wanted = stream.wanted().max(*wanted);
        }
        let mut wanted: Vec<_> = zones.into_values().collect();
        wanted.sort_unstable();
        let (mut left, mut sharers, mut share) = (self.budget, wanted.len() as u64, self.budget);
        for wanted in wanted {
            share = left / sharers;
            if wanted > share {
                break;
            }
            (left, sharers) = (left - wanted, sharers - 1);
        }
        share.min(self.window_max).max(CHUNK_BYTES)
    }

    /// The next request ahead of a reader. Who has the fewest under way has the next turn, and of
    /// those who had none for longest, so that many slow readers get theirs beside a fast one.
    pub(super) fn next_run(
        &mut self,
        now: Duration,
        mut held: impl FnMut(&ChunkKey) -> bool,
    ) -> Option<Run> {
        if self.window_max == 0 {
            return None;
        }
        let place = |stream: &Stream| (stream.in_flight, stream.turn, stream.id);
        let mut order: Vec<_> = self.read_now(now).map(place).collect();
        order.sort_unstable();
        self.turns += 1;
        order.into_iter().find_map(|(_, _, id)| {
            let stream = self.by_id.get_mut(&id)?;
            let run = stream.next_run(now, &mut held)?;
            stream.turn = self.turns;
            Some(run)
        })
    }

    /// Streams that need to know which segment comes next, after which one, and how much of it.
    pub(super) fn want_next(&mut self, now: Duration) -> Vec<(u64, Arc<Source>, u64)> {
        if self.window_max == 0 {
            return Vec::new();
        }
        let mut wanting = Vec::new();
        for stream in self.by_id.values_mut() {
            if let Some((last, bytes)) = stream.wants_next(now) {
                wanting.push((stream.id, Arc::clone(last), bytes));
                stream.asked_next();
            }
        }
        wanting
    }

    /// Forgets a segment that is deleted.
    pub(super) fn forget(&mut self, segment: SegmentId) {
        let gone = self
            .by_id
            .values_mut()
            .filter_map(|stream| if stream.survives(segment) { None } else { Some(stream.id) });
        for id in gone.collect::<Vec<_>>() {
            self.remove(id);
        }
    }
}
