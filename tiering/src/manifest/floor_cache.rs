//! The last live rows that lookups found, so that a sequential reader asks SQLite once a segment; and the
//! [`Times`] of long partitions that jumps by time go to.
//!
//! Invariant: a row in here is live, and times are those of the live rows. A change carries a [`Forget`]
//! with it, which takes what is known of its partitions out when the change is made or given up, whether or
//! not its caller still waits; and a lookup that began before adds nothing (the generation moved on, the
//! ticket is gone).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::times::Times;
use crate::ids::{Offset, TopicId};
use crate::segment::Segment;

const PARTITIONS_MAX: usize = 1024;
const ROWS_MAX: usize = 4;
/// Blocks of all times together: 4 MiB, which is enough for eight million rows.
const BLOCKS_MAX: usize = 256 << 10;

type Id = (TopicId, i32);

#[derive(Default)]
pub(super) struct FloorCache(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    generation: u64,
    partitions: HashMap<Id, VecDeque<Segment>>,
    times: HashMap<Id, Known>,
    tickets: u64,
}

/// What is known of the times of a partition since its last change.
enum Known {
    /// Somebody asked for one.
    Asked,
    /// They are being looked up.
    ByTicket(u64),
    Times(Arc<Times>),
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

    /// The times of a partition.
    pub(super) fn times(&self, id: Id) -> Option<Arc<Times>> {
        match self.0.lock().times.get(&id) {
            Some(Known::Times(times)) => Some(Arc::clone(times)),
            Some(Known::Asked | Known::ByTicket(_)) | None => None,
        }
    }

    /// Notes that a time of a partition is asked for, whose times are not known. A ticket for who is to
    /// look all of them up: it is worth it when a second one is asked for before anything changes.
    pub(super) fn asked(&self, id: Id) -> Option<u64> {
        let mut rows = self.0.lock();
        if rows.times.len() >= PARTITIONS_MAX && !rows.times.contains_key(&id) {
            rows.times.clear();
        }
        rows.tickets += 1;
        let ticket = rows.tickets;
        match rows.times.get(&id) {
            None => {
                rows.times.insert(id, Known::Asked);
                None
            }
            Some(Known::Asked) => {
                rows.times.insert(id, Known::ByTicket(ticket));
                Some(ticket)
            }
            Some(Known::ByTicket(_) | Known::Times(_)) => None,
        }
    }

    /// What the holder of a ticket has found; `None` when it failed. It began after it had the ticket.
    pub(super) fn remember_times(&self, id: Id, ticket: u64, times: Option<Times>) {
        let mut rows = self.0.lock();
        if !matches!(rows.times.get(&id), Some(Known::ByTicket(held)) if *held == ticket) {
            return;
        }
        let Some(times) = times else {
            rows.times.remove(&id);
            return;
        };
        let blocks = |known: &Known| if let Known::Times(times) = known { times.len() } else { 0 };
        if rows.times.values().map(blocks).sum::<usize>() + times.len() > BLOCKS_MAX {
            rows.times.clear();
        }
        rows.times.insert(id, Known::Times(Arc::new(times)));
    }

    /// What a change of these partitions takes with it.
    pub(super) fn forget_after(self: &Arc<Self>, partitions: Vec<Id>) -> Forget {
        Forget { cache: Arc::clone(self), partitions }
    }
}

/// Forgets what is known of some partitions when it is dropped.
pub(super) struct Forget {
    cache: Arc<FloorCache>,
    partitions: Vec<Id>,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut rows = self.cache.0.lock();
        rows.generation += 1;
        for id in &self.partitions {
            rows.partitions.remove(id);
            rows.times.remove(id);
        }
    }
}
