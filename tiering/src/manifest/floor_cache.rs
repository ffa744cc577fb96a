//! The last live rows that lookups found, so that a sequential reader asks SQLite once a segment.
//!
//! Invariant: a row in here is live. Every change of a partition forgets the partition's rows, and
//! a lookup that began before a change adds nothing (the generation moved on).

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::ids::{Offset, TopicId};
use crate::segment::Segment;

const PARTITIONS_MAX: usize = 1024;
const ROWS_MAX: usize = 4;

#[derive(Default)]
pub(super) struct FloorCache(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    generation: u64,
    partitions: HashMap<(TopicId, i32), VecDeque<Segment>>,
}

impl FloorCache {
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    pub(super) fn find(&self, id: (TopicId, i32), offset: Offset) -> Option<Segment> {
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

    pub(super) fn forget(&self, id: (TopicId, i32)) {
        let mut rows = self.0.lock();
        rows.generation += 1;
        rows.partitions.remove(&id);
    }
}
