//! The engine's decisions against a played store and played readers, in steps of a millisecond.
//!
//! Everything but tasks and bytes is real: streams, windows, turns, and what is on its way.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;

use super::board::{Board, Reading};
use super::forecast::Forecast;
use super::link::{Link, to_f64, whole};
use super::source::{Source, Wanted, chunk_at, chunk_start};
use super::stream::Run;
use super::streams::Streams;
use crate::bundle::BlockChecks;
use crate::cache::{CHUNK_BYTES, ChunkKey};
use crate::ids::{Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;

const MIB: u64 = 1 << 20;
const STEP: Duration = Duration::from_millis(1);
/// The store of the goals: time to the first byte, bytes a second of a stream and of all.
const FIRST_BYTE: Duration = Duration::from_millis(50);
const STREAM_RATE: f64 = 80e6;
const TOTAL_RATE: f64 = 400e6;
/// What a reader asks for at once.
const READ_BYTES: u64 = MIB;

struct World {
    now: Duration,
    board: Board<()>,
    link: Link,
    cached: HashSet<ChunkKey>,
    downloads: Vec<Transfer>,
    searches: Vec<(Duration, u64, Arc<Source>)>,
    readers: Vec<Reader>,
    segment_bytes: u64,
    gets: u64,
    /// Of them, those for indexes.
    index_gets: u64,
    fetched: u64,
}

struct Transfer {
    run: Run,
    began: Duration,
    bytes: f64,
    left: Range<u32>,
}

struct Reader {
    partition: i32,
    segment: i64,
    position: u64,
    read: u64,
    /// Bytes a second that it can take, and from when on it can take the next.
    rate: f64,
    free_at: Duration,
    stops_at: Duration,
    reading: Option<(Reading, bool)>,
}

impl Reader {
    fn new(partition: i32, rate: f64) -> Self {
        Self {
            partition,
            segment: 0,
            position: 0,
            read: 0,
            rate,
            free_at: Duration::ZERO,
            stops_at: Duration::MAX,
            reading: None,
        }
    }
}

impl World {
    fn new(segment_bytes: u64, readers: Vec<Reader>) -> Self {
        let streams = Streams::new(512 * MIB, 256 * MIB);
        Self {
            now: Duration::ZERO,
            board: Board::new(streams, 32),
            link: Link::default(),
            cached: HashSet::new(),
            downloads: Vec::new(),
            searches: Vec::new(),
            readers,
            segment_bytes,
            gets: 0,
            index_gets: 0,
            fetched: 0,
        }
    }

    fn source(&self, partition: i32, number: i64) -> Arc<Source> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id[8..12].copy_from_slice(&partition.to_be_bytes());
        Arc::new(Source {
            partition: PartitionKey::new("t", TopicId::from_bytes([1; 16]), partition),
            base: Offset::new(number),
            after: Offset::new(number + 1),
            segment: SegmentId::from_bytes(id),
            name: Path::from("log"),
            checks: Arc::new(BlockChecks::new(self.segment_bytes, 65_536, &[])),
        })
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.read();
            self.begin_downloads();
            self.transfer();
            self.search();
            self.now += STEP;
        }
    }

    fn read(&mut self) {
        for at in 0..self.readers.len() {
            while self.read_once(at) {}
        }
    }

    /// Whether the reader got something and may go on at once.
    fn read_once(&mut self, at: usize) -> bool {
        let reader = &self.readers[at];
        if self.now < reader.free_at || self.now >= reader.stops_at {
            return false;
        }
        let source = self.source(reader.partition, reader.segment);
        let (start, size) = (reader.position, source.size());
        let end = size.min(start + READ_BYTES);
        let wanted =
            Wanted { range: start..end, enough: start + 1, look_from: start, is_search: false };
        let (reading, waited) = reader.reading.unwrap_or_else(|| {
            let cached = |key: &ChunkKey| self.cached.contains(key);
            (self.board.begin(self.now, &source, &wanted, cached), false)
        });
        let chunks = chunk_at(start)..chunk_at(end - 1) + 1;
        let ready = chunks.clone().find(|chunk| !self.cached.contains(&source.key(*chunk)));
        let given = chunk_start(ready.unwrap_or(chunks.end)).min(end).saturating_sub(start);
        if given == 0 {
            self.readers[at].reading = Some((reading, true));
            return false;
        }
        let link = self.link.estimate();
        self.board.end(self.now, reading, given, waited, &link);
        let reader = &mut self.readers[at];
        reader.reading = None;
        reader.read += given;
        reader.position += given;
        if reader.position == size {
            (reader.segment, reader.position) = (reader.segment + 1, 0);
        }
        let takes = Duration::from_secs_f64(to_f64(given) / reader.rate);
        reader.free_at = reader.free_at.max(self.now.saturating_sub(STEP)) + takes;
        true
    }

    fn begin_downloads(&mut self) {
        while let Some(run) = self.board.next(self.now, |key: &ChunkKey| self.cached.contains(key))
        {
            self.gets += 1;
            let left = run.chunks.clone();
            self.downloads.push(Transfer { run, began: self.now, bytes: 0.0, left });
        }
    }

    fn transfer(&mut self) {
        let now = self.now;
        let flows = |transfer: &Transfer| now >= transfer.began + FIRST_BYTE;
        let flowing = self.downloads.iter().filter(|transfer| flows(transfer)).count();
        let rate = STREAM_RATE.min(TOTAL_RATE / to_f64(flowing.max(1) as u64));
        let mut over = Vec::new();
        for (at, transfer) in self.downloads.iter_mut().enumerate().filter(|(_, t)| flows(t)) {
            transfer.bytes += rate * STEP.as_secs_f64();
            let source = &transfer.run.source;
            while !transfer.left.is_empty() {
                let upto = source.bytes(&(transfer.run.chunks.start..transfer.left.start + 1));
                if transfer.bytes < to_f64(upto.end - upto.start) {
                    break;
                }
                let len = source.bytes(&(transfer.left.start..transfer.left.start + 1));
                let key = source.key(transfer.left.start);
                assert!(self.cached.insert(key), "fetched twice");
                self.board.landed(&key);
                self.fetched += len.end - len.start;
                self.link.received(now, len.end - len.start);
                transfer.left.start += 1;
            }
            if transfer.left.is_empty() {
                over.push(at);
            }
        }
        for at in over.into_iter().rev() {
            let done = self.downloads.swap_remove(at);
            let bytes = done.run.source.bytes(&done.run.chunks);
            self.link.first_byte(now, FIRST_BYTE);
            let took = now - done.began - FIRST_BYTE;
            self.link.body(now, bytes.end - bytes.start, took);
            self.board.ended(&done.run, done.left);
        }
    }

    /// Finds the segments that come next; each index is a request.
    fn search(&mut self) {
        for (stream, last, _) in self.board.streams.want_next(self.now) {
            self.gets += 1;
            self.index_gets += 1;
            self.searches.push((self.now + FIRST_BYTE + STEP, stream, last));
        }
        for (_, stream, last) in
            self.searches.extract_if(.., |(at, ..)| *at <= self.now).collect::<Vec<_>>()
        {
            let next = self.source(last.partition.partition, last.base.get() + 1);
            if let Some(stream) = self.board.streams.get_mut(stream) {
                stream.found_next(self.now, last.base, vec![next]);
            }
        }
    }

    fn read_by(&self, at: usize) -> u64 {
        self.readers[at].read
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_reader_has_most_of_the_link_after_two_seconds_with_few_requests() {
    for segment in [64 * MIB, 63 * MIB + 12_345, 256 * MIB, 1024 * MIB] {
        let mut world = World::new(segment, vec![Reader::new(0, 1e10)]);
        world.run_for(seconds(2));
        let (ramp, begun) = (world.read_by(0), world.gets);
        world.run_for(seconds(10));
        let rate = to_f64(world.read_by(0) - ramp) / 10.0;
        assert!(rate >= 0.85 * TOTAL_RATE, "{segment}: {rate} bytes a second, {ramp} in the ramp");
        let gib = to_f64(world.read_by(0)) / to_f64(1024 * MIB);
        let per_gib = to_f64(world.gets) / gib;
        assert!(per_gib <= 64.0, "{segment}: {per_gib} requests a GiB, {begun} in the ramp");
    }
}

#[test]
fn eight_readers_of_one_history_fetch_each_byte_once_and_run_as_fast_as_one() {
    let readers =
        (0..8).map(|n| Reader { free_at: Duration::from_millis(n * 37), ..Reader::new(0, 1e10) });
    let mut world = World::new(64 * MIB, readers.collect());
    world.run_for(seconds(12));
    let slowest = (0..8).map(|at| world.read_by(at)).min().unwrap();
    let rate = to_f64(slowest) / 12.0;
    assert!(rate >= 0.75 * TOTAL_RATE, "{rate} bytes a second, the ramp included");
    let beyond = world.fetched - slowest;
    assert!(beyond <= 256 * MIB, "nothing but what is ahead: {beyond}");
}

#[test]
fn fifty_slow_readers_get_their_rate_beside_a_fast_one() {
    let slow = (1..=50).map(|partition| Reader::new(partition, 1e6));
    let readers = std::iter::once(Reader::new(0, 1e10)).chain(slow).collect();
    let mut world = World::new(64 * MIB, readers);
    world.run_for(seconds(5));
    let before: Vec<_> = (0..=50).map(|at| world.read_by(at)).collect();
    world.run_for(seconds(10));
    for (at, before) in before.iter().enumerate().skip(1) {
        let rate = to_f64(world.read_by(at) - before) / 10.0;
        assert!(rate >= 0.85e6, "reader {at}: {rate} bytes a second");
    }
    let fast = to_f64(world.read_by(0) - before[0]) / 10.0;
    assert!(fast >= 0.4 * TOTAL_RATE, "the fast one: {fast} bytes a second");
}

#[test]
fn a_hundred_readers_at_different_places_of_one_partition_are_told_apart() {
    let readers =
        (0..100).map(|n| Reader { segment: n * 5, ..Reader::new(0, 3e6) }).collect::<Vec<_>>();
    let mut world = World::new(64 * MIB, readers);
    world.run_for(seconds(5));
    let (before, gets): (Vec<_>, _) = ((0..100).map(|at| world.read_by(at)).collect(), world.gets);
    world.run_for(seconds(10));
    let read: Vec<_> = (0..100).map(|at| world.read_by(at) - before[at]).collect();
    let slowest = to_f64(*read.iter().min().unwrap()) / 10.0;
    assert!(slowest >= 0.85 * 3e6, "{slowest} bytes a second");
    let per_gib = to_f64(world.gets - gets) * to_f64(1024 * MIB) / to_f64(read.iter().sum());
    // One a second for each: 341 a GiB. Were each read a single look, it would be 1024.
    assert!(per_gib <= 500.0, "{per_gib} requests a GiB");
}

#[test]
fn a_slow_reader_is_read_ahead_of_by_seconds_and_not_by_the_whole_window() {
    let mut world = World::new(256 * MIB, vec![Reader::new(0, 8e6)]);
    world.run_for(seconds(30));
    let rate = to_f64(world.read_by(0)) / 30.0;
    assert!(rate >= 7.5e6, "{rate} bytes a second");
    let ahead = world.fetched - world.read_by(0);
    assert!(ahead <= 40 * MIB, "{ahead} bytes ahead");
    let per_gib = to_f64(world.gets) * to_f64(1024 * MIB) / to_f64(world.read_by(0));
    assert!(per_gib <= 200.0, "{per_gib} requests a GiB");
}

#[test]
fn nothing_is_asked_for_after_the_reader_has_left() {
    let gone = Reader { stops_at: seconds(4), ..Reader::new(0, 50e6) };
    let mut world = World::new(64 * MIB, vec![gone]);
    world.run_for(seconds(10));
    let (gets, fetched) = (world.gets, world.fetched);
    world.run_for(seconds(60));
    assert_eq!((world.gets, world.fetched), (gets, fetched));
    assert!(fetched <= 2 * world.read_by(0) + MIB, "at most as much again as it took");
}

#[test]
fn a_single_look_costs_one_small_request() {
    let mut world = World::new(64 * MIB, Vec::new());
    for partition in 0..100 {
        let source = world.source(partition, 0);
        let start = 17 * MIB + 5000;
        let wanted = Wanted {
            range: start..start + 2 * MIB,
            enough: start + 20_000,
            look_from: start - 4096,
            is_search: false,
        };
        let cached = |key: &ChunkKey| world.cached.contains(key);
        let reading = world.board.begin(world.now, &source, &wanted, cached);
        world.run_for(Duration::from_millis(200));
        let link = world.link.estimate();
        world.board.end(world.now, reading, 4 * CHUNK_BYTES, true, &link);
        world.run_for(Duration::from_millis(10));
    }
    assert_eq!(world.gets, 100);
    assert!(world.fetched <= 100 * (MIB + 2 * CHUNK_BYTES), "{}", world.fetched);
}

#[test]
fn who_searches_a_place_and_reads_on_from_it_costs_one_request() {
    let mut world = World::new(64 * MIB, Vec::new());
    let start = 17 * MIB;
    for (range, is_search) in [(start..start + MIB, true), (start + 5000..start + 60_000, false)] {
        let source = world.source(0, 0);
        let wanted = Wanted { enough: range.end, look_from: range.start, is_search, range };
        let cached = |key: &ChunkKey| world.cached.contains(key);
        let reading = world.board.begin(world.now, &source, &wanted, cached);
        world.run_for(Duration::from_millis(200));
        let link = world.link.estimate();
        world.board.end(world.now, reading, wanted.range.end - wanted.range.start, true, &link);
        world.run_for(Duration::from_millis(200));
    }
    assert_eq!(world.gets, 1);
}

#[test]
fn requests_are_forecast_within_a_twentieth() {
    let mut off = Vec::new();
    for segment in [1024 * 1024, 20 * MIB, 64 * MIB, 63 * MIB + 12_345, 256 * MIB, 1024 * MIB] {
        for rate in [4e6, 20e6, 50e6, 1e10] {
            let mut world = World::new(segment, vec![Reader::new(0, rate)]);
            world.run_for(seconds(40));
            let reached = to_f64(world.read_by(0)) / 40.0;
            let mut forecast = Forecast::new(world.link.estimate(), whole(reached), 256 * MIB);
            let mut left = world.fetched;
            while left > 0 {
                let here = left.min(segment);
                forecast.segment(segment, std::iter::once(0..here));
                left -= here;
            }
            let (made, told) = (world.gets - world.index_gets, forecast.requests());
            if 20 * made.abs_diff(told) > made {
                off.push(format!("{segment} at {rate}: {made} made, {told} told"));
            }
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}
