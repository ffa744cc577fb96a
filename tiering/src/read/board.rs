//! What is on its way, who waits for it, and what begins next.
//!
//! One look-up answers for all: a chunk is in the cache, on its way, or missing, and whoever finds it
//! missing puts it on its way in the same breath. Plain state without time or tasks of its own, so
//! that a test can play store and readers.
//!
//! Invariants: a chunk is on its way at most once; requests that somebody waits for begin before
//! those that are ahead of a reader, and some room is kept for them alone; at most `downloads_max`
//! are under way.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::link::Estimate;
use super::source::{Source, Wanted};
use super::stream::{Run, missing_runs};
use super::streams::Streams;
use super::window::RUN_BYTES_MIN;
use crate::cache::ChunkKey;

/// `W` is who waits for a chunk.
#[derive(Debug)]
pub(super) struct Board<W> {
    pub(super) streams: Streams,
    flights: HashMap<ChunkKey, Vec<W>>,
    /// Demanded, not begun.
    queue: VecDeque<Run>,
    running: usize,
    running_ahead: usize,
    downloads_max: usize,
}

/// A read that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    stream: u64,
    position: u64,
}

impl<W> Board<W> {
    pub(super) fn new(streams: Streams, downloads_max: usize) -> Self {
        Self {
            streams,
            flights: HashMap::new(),
            queue: VecDeque::new(),
            running: 0,
            running_ahead: 0,
            downloads_max,
        }
    }

    /// A read begins: what it cannot do without is demanded.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        source: &Arc<Source>,
        wanted: &Wanted,
        cached: impl FnMut(&ChunkKey) -> bool,
    ) -> Reading {
        let start = wanted.range.start;
        let (stream, position) = self.streams.enter(now, source, start);
        let jumps = self.streams.get_mut(stream).is_some_and(|stream| !stream.is_sequential());
        if let Some(stream) = self.streams.get_mut(stream).filter(|_| wanted.is_search) {
            stream.searched();
        }
        let from = if jumps { wanted.look_from.min(start) } else { start };
        let reach = wanted.range.end.min(from + RUN_BYTES_MIN);
        self.demand(now, source, stream, (from, wanted.enough, reach), cached);
        Reading { stream, position }
    }

    /// A chunk that was on its way did not come: it is demanded again.
    pub(super) fn demand_again(
        &mut self,
        now: Duration,
        source: &Arc<Source>,
        reading: Reading,
        bytes: &Range<u64>,
        cached: impl FnMut(&ChunkKey) -> bool,
    ) {
        self.demand(now, source, reading.stream, (bytes.start, bytes.end, bytes.end), cached);
    }

    fn demand(
        &mut self,
        now: Duration,
        source: &Arc<Source>,
        stream: u64,
        (from, enough, reach): (u64, u64, u64),
        mut cached: impl FnMut(&ChunkKey) -> bool,
    ) {
        let of = self.streams.get_mut(stream);
        let reach = of.map_or(reach, |stream| stream.reach(from, reach));
        let flights = &self.flights;
        let held = |key: &ChunkKey| flights.contains_key(key) || cached(key);
        for run in missing_runs(source, stream, (from, enough, reach), held) {
            if let Some(stream) = self.streams.get_mut(stream) {
                stream.demanded(now, &run);
            }
            self.enlist(&run);
            self.queue.push_back(run);
        }
    }

    /// The read was given `len` bytes, and waited for some of them or not.
    pub(super) fn end(
        &mut self,
        now: Duration,
        reading: Reading,
        len: u64,
        waited: bool,
        link: &Estimate,
    ) {
        let bound = self.streams.bound(now);
        if let Some(stream) = self.streams.get_mut(reading.stream) {
            stream.end(now, reading.position, len);
            let reached = stream.reached();
            stream.window().reached(now, reached, waited, link, bound);
        }
    }

    /// Waits for a chunk, if it is on its way; gives the waiter back if it is not.
    pub(super) fn wait_for(&mut self, key: &ChunkKey, waiter: W) -> Result<(), W> {
        match self.flights.get_mut(key) {
            Some(waiters) => {
                waiters.push(waiter);
                Ok(())
            }
            None => Err(waiter),
        }
    }

    /// The next request to begin, if there is room for one. It counts as under way from now on.
    pub(super) fn next(
        &mut self,
        now: Duration,
        mut cached: impl FnMut(&ChunkKey) -> bool,
    ) -> Option<Run> {
        if self.running >= self.downloads_max {
            return None;
        }
        let run = match self.queue.pop_front() {
            Some(demanded) => demanded,
            None if self.running_ahead >= self.ahead_max() => return None,
            None => {
                let flights = &self.flights;
                let held = |key: &ChunkKey| flights.contains_key(key) || cached(key);
                let ahead = self.streams.next_run(now, held)?;
                self.enlist(&ahead);
                self.running_ahead += 1;
                ahead
            }
        };
        self.running += 1;
        if let Some(stream) = self.streams.get_mut(run.stream) {
            stream.in_flight += 1;
        }
        Some(run)
    }

    /// Reads ahead leave a quarter of the room to those who wait.
    fn ahead_max(&self) -> usize {
        (self.downloads_max - self.downloads_max / 4).max(1)
    }

    fn enlist(&mut self, run: &Run) {
        for chunk in run.chunks.clone() {
            self.flights.entry(run.source.key(chunk)).or_default();
        }
    }

    /// A chunk is in the cache, or will not come: who waits for it.
    pub(super) fn landed(&mut self, key: &ChunkKey) -> Vec<W> {
        self.flights.remove(key).unwrap_or_default()
    }

    /// A request is over, with these of its chunks not landed: who waits for them is let go with no
    /// answer.
    pub(super) fn ended(&mut self, run: &Run, left: Range<u32>) {
        for chunk in left {
            self.flights.remove(&run.source.key(chunk));
        }
        self.running -= 1;
        self.running_ahead -= usize::from(!run.demanded);
        if let Some(stream) = self.streams.get_mut(run.stream) {
            stream.in_flight -= 1;
        }
    }
}
