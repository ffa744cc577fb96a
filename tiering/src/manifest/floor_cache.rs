//! The last live rows that lookups found, so that a sequential reader asks SQLite once a segment.
//!
//! Invariant: a row in here is live. A change carries a [`Forget`] with it, which takes the rows of its
//! partitions out when the change is made or given up, whether or not its caller still waits; and a lookup
//! that began before adds nothing (the generation moved on).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::{Offset, TopicId};
use crate::segment::Segment;

const PARTITIONS_MAX: usize = 1024;
const ROWS_MAX: usize = 4;

type Id = (TopicId, i32);

#[derive(Default)]
pub(super) struct FloorCache(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    generation: u64,
    partitions: HashMap<Id, VecDeque<Segment>>,
}

impl FloorCache {
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    pub(super) fn find(&self, id: Id, offset: Offset) -> Option<Segment> {
        let rows = self.0.lock();
        rows.partitions.get(&id)?.iter().find(|row| row.covers(offset)).cloned()
    }

    pub(super) fn remember(&self, generation: u64, row: &Segment) {
        let mut rows = self.0.lock();
        if rows.generation != generation {
            return;
        }
        let id = row.partition.id();
        if rows.partitions.len() >= PARTITIONS_MAX && !rows.partitions.contains_key(&id) {
            rows.partitions.clear();
        }
        let recent = rows.partitions.entry(id).or_default();
        recent.retain(|known| known.base != row.base);
        recent.truncate(ROWS_MAX - 1);
        recent.push_front(row.clone());
    }

    /// What a change of these partitions takes with it.
    pub(super) fn forget_after(self: &Arc<Self>, partitions: Vec<Id>) -> Forget {
        Forget { cache: Arc::clone(self), partitions }
    }
}

/// Forgets the rows of some partitions when it is dropped.
pub(super) struct Forget {
    cache: Arc<FloorCache>,
    partitions: Vec<Id>,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut rows = self.cache.0.lock();
        rows.generation += 1;
        self.partitions.iter().for_each(|id| drop(rows.partitions.remove(id)));
    }
}
