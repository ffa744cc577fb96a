//! Which chunks are on their way, in any process of the machine, as the owner of the cache knows it.
//!
//! Invariants: a chunk is looked for in the cache and entered here under one lock, so that it is
//! brought once; a flight ends when its [`Flight`] is dropped, or when somebody waited too long for
//! it, and then whoever waits looks again: the chunk is there, or the first to look is to bring it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cache::{Cache, CacheClass, ChunkKey, Held};

/// Ends, with nothing to say, when there is a reason to look again.
pub(super) type Landing = oneshot::Receiver<Infallible>;

/// The flights of one cache.
#[derive(Debug, Default)]
pub(super) struct Flights {
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    under_way: HashMap<ChunkKey, UnderWay>,
    /// Tells what was given out at once from everything else.
    given: u64,
}

#[derive(Debug)]
struct UnderWay {
    given: u64,
    waiters: Vec<oneshot::Sender<Infallible>>,
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
    given: u64,
    pub(super) key: ChunkKey,
}

/// How many chunks an answer may give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) here: u32,
    pub(super) yours: u32,
}

impl Flights {
    /// Looks for `first` and those behind it, for a reader of a topic of that class. With `most` at 0
    /// nothing is given, and the answer is an empty list.
    pub(super) fn ask(
        self: &Arc<Self>,
        cache: &Cache,
        first: ChunkKey,
        class: CacheClass,
        most: Most,
    ) -> Asked {
        let mut board = self.board.lock();
        loop {
            if cache.has(&first) {
                let held: Vec<_> =
                    (0..most.here).map_while(|n| cache.hold(&behind(first, n), class)).collect();
                if most.here == 0 || !held.is_empty() {
                    return Asked::Here(held);
                }
            }
            if let Some(flight) = board.under_way.get_mut(&first) {
                return Asked::Wait(flight.wait());
            }
            let flights = board.give(self, cache, first, most.yours);
            // Chunks come and go beside this: one that has come in the meantime is not fetched.
            if most.yours == 0 || !flights.is_empty() {
                return Asked::Yours(flights);
            }
        }
    }

    /// Nobody waits any longer for a chunk and for those behind it that were given out with it: they
    /// are the next one's turn, whatever becomes of their flights.
    pub(super) fn overdue(&self, first: &ChunkKey) {
        let mut board = self.board.lock();
        let Some(given) = board.under_way.get(first).map(|flight| flight.given) else { return };
        let mut ended = Vec::new();
        for key in (0..).map(|n| behind(*first, n)) {
            if board.under_way.get(&key).is_none_or(|flight| flight.given != given) {
                break;
            }
            ended.extend(board.under_way.remove(&key));
        }
        drop(board);
        // Only now, so that nobody finds some of them still under way.
        drop(ended);
    }

    /// How many wait for a chunk.
    #[cfg(test)]
    pub(super) fn waiters(&self, key: &ChunkKey) -> usize {
        self.board.lock().under_way.get(key).map_or(0, |flight| flight.waiters.len())
    }
}

impl Board {
    /// Gives out `first` and those behind it that nobody has and nobody brings, `most` of them.
    fn give(
        &mut self,
        flights: &Arc<Flights>,
        cache: &Cache,
        first: ChunkKey,
        most: u32,
    ) -> Vec<Flight> {
        self.given += 1;
        let (given, mut out) = (self.given, Vec::new());
        for key in (0..most).map(|n| behind(first, n)) {
            if self.under_way.contains_key(&key) || cache.has(&key) {
                break;
            }
            self.under_way.insert(key, UnderWay { given, waiters: Vec::new() });
            out.push(Flight { flights: Arc::clone(flights), given, key });
        }
        // The first one ends last: who waits for it then finds the others free as well.
        out.reverse();
        out
    }
}

impl UnderWay {
    fn wait(&mut self) -> Landing {
        let (waiter, landing) = oneshot::channel();
        // Those who have left do not add up.
        self.waiters.retain(|waiter| !waiter.is_closed());
        self.waiters.push(waiter);
        landing
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut board = self.flights.board.lock();
        if board.under_way.get(&self.key).is_some_and(|flight| flight.given == self.given) {
            board.under_way.remove(&self.key);
        }
    }
}

fn behind(first: ChunkKey, n: u32) -> ChunkKey {
    ChunkKey { chunk: first.chunk.saturating_add(n), ..first }
}
