//! One reader that goes through a partition: where it is, and what is asked for ahead of it.
//!
//! ```text
//!   segment A            segment B                segment C (its index is on its way)
//!   ------------------|------------------------|- - - - -
//!         last read ^      ahead ^      ^ last read + window
//! ```
//! A stream counts its own bytes on and on over the borders of segments. Everything between its
//! last read and `ahead` is in the cache, on its way, or was given up: who reaches it and does not
//! find it asks for it.
//!
//! Invariant: `ahead` never goes back, so that nothing is asked for twice, and it stands at the
//! border of a chunk or of a segment.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::link::whole;
use super::replays::ReplayStream;
use super::source::{Source, chunk_after, chunk_at, chunk_start};
use super::window::{RUN_BYTES_MAX, Window};
use crate::cache::{CHUNK_BYTES, ChunkKey};
use crate::ids::{Offset, SegmentId};

/// A reader that was silent so long has left: nothing is fetched ahead of it.
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// How long to wait before looking again for a segment that was not there.
const NEXT_RETRY: Duration = Duration::from_secs(1);
/// A request takes the rest of a segment along when it is at most a quarter more.
const REST_MAX: u64 = RUN_BYTES_MAX / 4;

/// Readers within so many bytes of a segment are close together.
const ZONE_BYTES: u64 = 256 << 20;

/// A part of a segment.
pub(super) type Zone = (Option<SegmentId>, u64);

/// Contiguous chunks of one object: what one request asks for.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) source: Arc<Source>,
    pub(super) chunks: Range<u32>,
    /// Whose reader it is for.
    pub(super) stream: u64,
    /// Whether somebody waits for it already.
    pub(super) demanded: bool,
    /// The trace of the one who waits.
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u64,
    lanes: VecDeque<Lane>,
    /// The last read, in the stream's own count.
    last: Range<u64>,
    ahead: u64,
    window: Window,
    /// Whether a read has gone on where one ended: before that it may be a single look.
    sequential: bool,
    /// Whether the last read looked for a place: the next one begins there.
    searched: bool,
    read_at: Duration,
    /// When a request was last made for it.
    asked_at: Option<Duration>,
    /// Requests ahead of it that are under way.
    pub(super) in_flight: usize,
    /// When it last had its turn, in the count of turns.
    pub(super) turn: u64,
    next: Next,
}

/// A segment on the stream's way.
#[derive(Debug)]
struct Lane {
    source: Arc<Source>,
    /// Where it begins in the stream's count.
    from: u64,
}

/// What is known of the segment after the last lane.
#[derive(Debug)]
enum Next {
    Unknown,
    Asked,
    NoneAt(Duration),
}

impl Lane {
    fn end(&self) -> u64 {
        self.from + self.source.size()
    }
}

impl Stream {
    pub(super) fn new(id: u64, now: Duration, source: Arc<Source>, start: u64) -> Self {
        Self {
            id,
            lanes: VecDeque::from([Lane { source, from: 0 }]),
            last: start..start,
            ahead: chunk_start(chunk_at(start)),
            window: Window::new(now, start),
            sequential: false,
            searched: false,
            read_at: now,
            asked_at: None,
            in_flight: 0,
            turn: 0,
            next: Next::Unknown,
        }
    }

    /// Where a position of a segment lies in the stream's count, if a read from there goes on in
    /// this stream: it begins within the last read or at its end, or at the next segment's start.
    pub(super) fn continues(&self, segment: SegmentId, start: u64) -> Option<u64> {
        let at = self.lanes.iter().position(|lane| lane.source.segment == segment)?;
        let position = self.lanes[at].from + start;
        let begins_next = start < CHUNK_BYTES
            && at.checked_sub(1).is_some_and(|before| self.lanes[before].end() > self.last.end)
            && self.lanes[at - 1].from <= self.last.end;
        let within = self.last.start <= position && position <= self.last.end;
        (within || begins_next).then_some(position)
    }

    /// The same for a segment that the stream does not know yet, when it stands at the end of what
    /// it knows and this is what comes next.
    pub(super) fn goes_over_to(&mut self, source: &Arc<Source>, start: u64) -> Option<u64> {
        let last = self.lanes.back()?;
        let follows = last.end() == self.last.end && last.source.after == source.base;
        if !follows || start >= CHUNK_BYTES {
            return None;
        }
        let from = last.end();
        self.lanes.push_back(Lane { source: Arc::clone(source), from });
        Some(from + start)
    }

    /// A read begins at `position`.
    pub(super) fn begin(&mut self, now: Duration, position: u64) {
        let after_search = std::mem::take(&mut self.searched);
        self.sequential |= position > self.last.start && !after_search;
        self.last.start = position;
        self.last.end = self.last.end.max(position);
        self.read_at = now;
        while self.lanes.get(1).is_some_and(|next| next.from <= position) {
            self.lanes.pop_front();
        }
        self.ahead = self.ahead.max(self.floor(position));
    }

    /// The read that has begun looks for a place.
    pub(super) fn searched(&mut self) {
        self.searched = true;
    }

    /// The read that began at `position` was given `len` bytes.
    pub(super) fn end(&mut self, now: Duration, position: u64, len: u64) {
        self.last.end = self.last.end.max(position + len);
        self.read_at = now;
    }

    pub(super) fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Where the last read ended.
    pub(super) fn reached(&self) -> u64 {
        self.last.end
    }

    pub(super) fn is_sequential(&self) -> bool {
        self.sequential
    }

    /// Whether its reader is still there.
    pub(super) fn is_read(&self, now: Duration) -> bool {
        now.saturating_sub(self.read_at) < IDLE
    }

    /// Whether requests are made for it: one that rides behind another needs no room of its own.
    pub(super) fn is_leading(&self, now: Duration) -> bool {
        self.asked_at.is_some_and(|asked| now.saturating_sub(asked) < IDLE)
    }

    /// Where its reader is, roughly.
    pub(super) fn zone(&self) -> Zone {
        let lane = self.lanes.iter().rev().find(|lane| lane.from <= self.last.end);
        let within = lane.map_or(0, |lane| (self.last.end - lane.from) / ZONE_BYTES);
        (lane.map(|lane| lane.source.segment), within)
    }

    /// How far it would read ahead, were there no bound.
    pub(super) fn wanted(&self) -> u64 {
        self.window.wanted()
    }

    pub(super) fn read_at(&self) -> Duration {
        self.read_at
    }

    /// The request to make ahead of the reader now, if there is one. `held` tells what is in the
    /// cache or on its way.
    pub(super) fn next_run(
        &mut self,
        now: Duration,
        mut held: impl FnMut(&ChunkKey) -> bool,
    ) -> Option<Run> {
        let end = self.last.end + self.window.bytes();
        while self.sequential && self.ahead < end {
            let lane = self.lanes.iter().find(|lane| self.ahead < lane.end())?;
            let (source, from, rest) =
                (Arc::clone(&lane.source), lane.from, lane.end() - self.ahead);
            let first = chunk_at(self.ahead - from);
            if held(&source.key(first)) {
                self.ahead = (from + chunk_start(first + 1)).min(from + source.size());
                continue;
            }
            let run = self.window.run();
            if end - self.ahead < run.min(rest) {
                return None;
            }
            let len = request_bytes(run, rest);
            let last = chunk_after(self.ahead - from + len).min(source.chunks());
            let chunks = first..first_held(&source, first..last, &mut held);
            self.ahead = from + source.bytes(&chunks).end;
            self.asked_at = Some(now);
            let (stream, span) = (self.id, Span::none());
            return Some(Run { source, chunks, stream, demanded: false, span });
        }
        None
    }

    /// How far a demanded request goes beyond what is needed from `from` on.
    pub(super) fn reach(&self, from: u64, reach: u64) -> u64 {
        if self.sequential { reach.max(from + self.window.run()) } else { reach }
    }

    /// A request was made for the reader; nothing before its end is to be asked for again.
    pub(super) fn demanded(&mut self, now: Duration, run: &Run) {
        self.asked_at = Some(now);
        let lane = self.lanes.iter().find(|lane| lane.source.segment == run.source.segment);
        if let Some(lane) = lane {
            self.ahead = self.ahead.max(lane.from + run.source.bytes(&run.chunks).end);
        }
    }

    /// The segment after which the next one should be known, so that the window can reach into it,
    /// and how many bytes the window may need there.
    pub(super) fn wants_next(&self, now: Duration) -> Option<(&Arc<Source>, u64)> {
        let last = self.lanes.back()?;
        let may_ask = match self.next {
            Next::Unknown => true,
            Next::Asked => false,
            Next::NoneAt(then) => now.saturating_sub(then) >= NEXT_RETRY,
        };
        let reaches = last.end().saturating_sub(self.ahead) <= self.window.bytes();
        let wants = self.sequential && may_ask && reaches && self.is_read(now);
        wants.then_some((&last.source, self.window.bytes()))
    }

    pub(super) fn asked_next(&mut self) {
        self.next = Next::Asked;
    }

    /// What was found after the segment at `base`, in order.
    pub(super) fn found_next(&mut self, now: Duration, base: Offset, found: Vec<Arc<Source>>) {
        let known = self.lanes.back().is_some_and(|last| last.source.base == base);
        self.next = if found.is_empty() { Next::NoneAt(now) } else { Next::Unknown };
        for source in found.into_iter().filter(|_| known) {
            let from = self.lanes.back().map_or(0, Lane::end);
            self.lanes.push_back(Lane { source, from });
        }
    }

    /// Whether anything is left of the stream when a segment is deleted.
    pub(super) fn survives(&mut self, segment: SegmentId) -> bool {
        if let Some(at) = self.lanes.iter().position(|lane| lane.source.segment == segment) {
            self.lanes.truncate(at);
        }
        !self.lanes.is_empty()
    }

    /// Where its reader is.
    pub(super) fn status(&self) -> Option<ReplayStream> {
        let at = self.last.end;
        let lane = self.lanes.iter().find(|lane| at < lane.end()).or(self.lanes.back())?;
        Some(ReplayStream {
            partition: lane.source.partition.clone(),
            segment_base: lane.source.base,
            position: at.saturating_sub(lane.from),
            bytes_per_second: whole(self.window.rate()),
            waits: self.window.waited(),
            window_bytes: self.window.bytes(),
            requests: self.in_flight,
        })
    }

    /// The border of a chunk at or before a position.
    fn floor(&self, position: u64) -> u64 {
        let lane = self.lanes.iter().rev().find(|lane| lane.from <= position);
        lane.map_or(position, |lane| lane.from + chunk_start(chunk_at(position - lane.from)))
    }
}

/// How much of a segment of which `rest` bytes are left one request of about `run` bytes takes.
pub(super) fn request_bytes(run: u64, rest: u64) -> u64 {
    if rest <= run + REST_MAX.min(run / 4) { rest } else { run }
}

/// The requests that a read needs: for what is missing between `from` and `enough`, and on to
/// `reach` for what is missing right behind it.
pub(super) fn missing_runs(
    source: &Arc<Source>,
    stream: u64,
    (from, enough, reach): (u64, u64, u64),
    mut held: impl FnMut(&ChunkKey) -> bool,
) -> Vec<Run> {
    let needed = chunk_after(enough);
    let last = chunk_after(reach.min(source.size())).max(needed);
    let (mut next, mut runs) = (chunk_at(from), Vec::new());
    while next < needed {
        if held(&source.key(next)) {
            next += 1;
            continue;
        }
        let chunks = next..first_held(source, next..last, &mut held);
        next = chunks.end;
        let (source, span) = (Arc::clone(source), Span::current());
        runs.push(Run { source, chunks, stream, demanded: true, span });
    }
    runs
}

/// The first of some chunks that is held, or their end. The very first is known not to be.
fn first_held(
    source: &Source,
    chunks: Range<u32>,
    held: &mut impl FnMut(&ChunkKey) -> bool,
) -> u32 {
    let end = chunks.end;
    chunks.skip(1).find(|chunk| held(&source.key(*chunk))).unwrap_or(end)
}
