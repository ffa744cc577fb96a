//! Which chunks are on their way, in any process of the machine, as the owner of the cache knows it.
//!
//! Invariants: a chunk is looked for in the cache and entered here under one lock, so that it is
//! brought once; a flight ends when its [`Flight`] is dropped, and then whoever waits looks again:
//! the chunk is there, or the first to look is to bring it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cache::{Cache, ChunkKey, Held};

/// Ends, with nothing to say, when there is a reason to look again.
pub(super) type Landing = oneshot::Receiver<Infallible>;

/// The flights of one cache.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<ChunkKey, Vec<oneshot::Sender<Infallible>>>>,
}

/// What is known of a chunk, and of those right behind it of which the same is true.
pub(super) enum Asked {
    Here(Vec<Held>),
    Yours(Vec<Flight>),
    Wait(Landing),
}

/// A chunk that whoever has this brings.
pub(super) struct Flight {
    flights: Arc<Flights>,
    pub(super) key: ChunkKey,
}

/// How many chunks an answer may give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) here: u32,
    pub(super) yours: u32,
}

impl Flights {
    /// Looks for `first` and those behind it. With `most` at 0 nothing is given, and the answer is an
    /// empty list.
    pub(super) fn ask(self: &Arc<Self>, cache: &Cache, first: ChunkKey, most: Most) -> Asked {
        let behind = |n: u32| ChunkKey { chunk: first.chunk.saturating_add(n), ..first };
        let mut under_way = self.under_way.lock();
        let held: Vec<_> = (0..most.here).map_while(|n| cache.hold(&behind(n))).collect();
        if !held.is_empty() || cache.has(&first) {
            return Asked::Here(held);
        }
        if let Some(waiters) = under_way.get_mut(&first) {
            let (waiter, landing) = oneshot::channel();
            waiters.push(waiter);
            return Asked::Wait(landing);
        }
        let mut flights = Vec::new();
        for key in (0..most.yours).map(behind) {
            if under_way.contains_key(&key) || cache.has(&key) {
                break;
            }
            under_way.insert(key, Vec::new());
            flights.push(Flight { flights: Arc::clone(self), key });
        }
        // The first one ends last: who waits for it then finds the others free as well.
        flights.reverse();
        Asked::Yours(flights)
    }

    /// How many wait for a chunk.
    #[cfg(test)]
    pub(super) fn waiters(&self, key: &ChunkKey) -> usize {
        self.under_way.lock().get(key).map_or(0, Vec::len)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}
