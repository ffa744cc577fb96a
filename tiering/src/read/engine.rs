//! The read-ahead engine: reads of remote objects through the cache, and the downloads that fill it.
//!
//! ```text
//! read -> board: in the cache | on its way, wait | missing, demand
//!      -> pump: demanded downloads, then those ahead of a reader, as far as there is room
//! download -> a chunk is in the cache -> board: wake who waits -> ... -> pump
//! ```
//! Invariants: bytes enter the cache only after their checksum was found right; a download is a task
//! of its own and goes on when its waiters leave; the board is never locked across a wait.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::board::{Board, Reading};
use super::classes::Classes;
use super::download;
use super::link::{Estimate, Link};
use super::replays::Replays;
use super::source::{Source, Wanted, chunk_after, chunk_at, chunk_start};
use super::sources::Sources;
use super::streams::Streams;
use super::{FileSlice, READ_BYTES_MAX, ReadError};
use crate::cache::{CHUNK_BYTES, CacheClass, ChunkKey, Lookup, Pin, Unchecked};
use crate::config::{Pace, TieringConfig};
use crate::share::SharedCache;
use crate::store::Store;

/// How often a read looks for a chunk. Each look after the first means that what brought the chunk
/// ended before it came.
const LOOKS_MAX: usize = 8;

pub(super) type Landed = Result<Arc<Pin>, ReadError>;

pub(super) struct Engine {
    pub(super) store: Arc<Store>,
    pub(super) cache: Arc<SharedCache>,
    pub(super) pace: Arc<dyn Pace>,
    sources: Arc<Sources>,
    classes: Arc<Classes>,
    board: Mutex<Board<oneshot::Sender<Landed>>>,
    link: Mutex<Link>,
    /// Where downloads run; where they are asked for if nowhere else.
    runtime: Option<Handle>,
    started: Instant,
}

/// What a look for a chunk gave.
enum Look {
    Ready(Arc<Pin>),
    Unchecked(Unchecked),
    Waiting(oneshot::Receiver<Landed>),
    Missing,
}

impl Engine {
    pub(super) fn new(
        config: &TieringConfig,
        store: Arc<Store>,
        cache: Arc<SharedCache>,
        sources: Arc<Sources>,
        classes: Arc<Classes>,
    ) -> Arc<Self> {
        let streams = Streams::new(hold_bytes_max(&cache), config.read_ahead_bytes_max);
        Arc::new(Self {
            store,
            cache,
            pace: Arc::clone(&config.fetch_pace),
            sources,
            classes,
            board: Mutex::new(Board::new(streams, config.downloads_max)),
            link: Mutex::default(),
            runtime: config.downloads_on.clone(),
            started: Instant::now(),
        })
    }

    /// Reads what is wanted of an object: waits until there is enough, and gives what is there.
    pub(super) async fn read(
        self: &Arc<Self>,
        source: &Arc<Source>,
        wanted: &Wanted,
    ) -> Result<Vec<FileSlice>, ReadError> {
        let start = wanted.range.start;
        let hold_max = hold_bytes_max(&self.cache);
        let hold = start.saturating_add(hold_max);
        let enough = wanted.enough.min(hold);
        let most = wanted.range.end.min(start.saturating_add(READ_BYTES_MAX)).max(enough).min(hold);
        let wanted = Wanted { enough, ..wanted.clone() };
        let reading = self.board.lock().begin(self.now(), source, &wanted, |key| self.has(key));
        let (mut slices, mut waited) = (Vec::new(), false);
        for chunk in chunk_at(start)..chunk_after(most) {
            let pin = if chunk_start(chunk) < enough {
                Some(self.obtain(source, chunk, reading, &mut waited).await?)
            } else {
                self.ready(source, chunk)
            };
            let Some(pin) = pin else { break };
            slices.push(slice(pin, chunk_start(chunk), &(start..most)));
        }
        let len = slices.iter().map(|slice| slice.len).sum();
        let link = self.link.lock().estimate();
        let fresh = u64::from(self.cache.fresh_slots()) * CHUNK_BYTES;
        let mut board = self.board.lock();
        // What is fetched beyond this would push out what was fetched before it and not read yet.
        board.streams.set_budget(fresh.min(hold_max));
        board.end(self.now(), reading, len, waited, &link);
        drop(board);
        self.pump();
        Ok(slices)
    }

    /// A chunk that the read cannot do without.
    async fn obtain(
        self: &Arc<Self>,
        source: &Arc<Source>,
        chunk: u32,
        reading: Reading,
        waited: &mut bool,
    ) -> Landed {
        let (key, class) = (source.key(chunk), self.class(source));
        for _ in 0..LOOKS_MAX {
            match self.look(&key, class) {
                Look::Ready(pin) => {
                    self.store.counters().cache_hits.add(u64::from(!*waited));
                    return Ok(pin);
                }
                Look::Unchecked(unchecked) => {
                    if let Some(pin) = unchecked.check(Some(source.is_right(chunk))).await {
                        self.store.counters().cache_hits.bump();
                        return Ok(pin);
                    }
                }
                Look::Waiting(landing) => {
                    *waited = true;
                    // Not before: a download that fails at once would find nobody to tell.
                    self.pump();
                    // No answer: the download ended before it came to this chunk.
                    if let Ok(landed) = landing.await {
                        self.cache.used(&key, class);
                        return landed;
                    }
                }
                Look::Missing => {
                    let bytes = source.bytes(&(chunk..chunk + 1));
                    let cached = |key: &ChunkKey| self.has(key);
                    self.board.lock().demand_again(self.now(), source, reading, &bytes, cached);
                }
            }
        }
        Err(ReadError::Stopped)
    }

    fn look(&self, key: &ChunkKey, class: CacheClass) -> Look {
        let mut board = self.board.lock();
        match self.cache.get(key, class) {
            Lookup::Ready(pin) => Look::Ready(pin),
            Lookup::Unchecked(unchecked) => Look::Unchecked(unchecked),
            Lookup::Missing => {
                let (landing, landed) = oneshot::channel();
                match board.wait_for(key, landing) {
                    Ok(()) => Look::Waiting(landed),
                    Err(_) => Look::Missing,
                }
            }
        }
    }

    fn ready(&self, source: &Source, chunk: u32) -> Option<Arc<Pin>> {
        match self.cache.get(&source.key(chunk), self.class(source)) {
            Lookup::Ready(pin) => {
                self.store.counters().cache_hits.bump();
                Some(pin)
            }
            Lookup::Unchecked(_) | Lookup::Missing => None,
        }
    }

    fn has(&self, key: &ChunkKey) -> bool {
        self.cache.has(key)
    }

    /// The class of an object's topic, as it is now.
    pub(super) fn class(&self, source: &Source) -> CacheClass {
        self.classes.of(source.partition.topic_id)
    }

    /// Begins downloads while there is room, and looks for the segments that come next.
    pub(super) fn pump(self: &Arc<Self>) {
        // A download that is dropped as the process ends begins nothing more.
        let Ok(here) = Handle::try_current() else { return };
        let runtime = self.runtime.as_ref().unwrap_or(&here);
        loop {
            let next = self.board.lock().next(self.now(), |key| self.has(key));
            let Some(run) = next else { break };
            let span = run.span.clone();
            runtime.spawn(download::run(Arc::clone(self), run).instrument(span));
        }
        let wanting = self.board.lock().streams.want_next(self.now());
        for (stream, last, bytes) in wanting {
            runtime.spawn(Arc::clone(self).find_next(stream, last, bytes));
        }
    }

    async fn find_next(self: Arc<Self>, stream: u64, last: Arc<Source>, bytes: u64) {
        let found = self.sources.after(&last, bytes).await;
        if let Some(stream) = self.board.lock().streams.get_mut(stream) {
            stream.found_next(self.now(), last.base, found);
        }
        self.pump();
    }

    /// A chunk has come, or will not.
    pub(super) fn land(&self, key: &ChunkKey, landed: &Landed) {
        let waiters = self.board.lock().landed(key);
        for waiter in waiters {
            // Who has left gets it from the cache next time.
            let _ = waiter.send(landed.clone());
        }
    }

    /// Who reads where.
    pub(super) fn replays(&self) -> Replays {
        let link = self.link.lock().estimate();
        Replays::of(&link, self.board.lock().streams.read_now(self.now()))
    }

    /// What is known of the way to the store, and how large the window of one reader may be.
    pub(super) fn prospect(&self) -> (Estimate, u64) {
        (self.link.lock().estimate(), self.board.lock().streams.bound(self.now()))
    }

    pub(super) fn board(&self) -> &Mutex<Board<oneshot::Sender<Landed>>> {
        &self.board
    }

    pub(super) fn link(&self) -> &Mutex<Link> {
        &self.link
    }

    /// Since the engine was made.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// No read holds more than this, and no more is fetched ahead: half of the slots, so that two readers
/// never wait for slots that the other one holds. The other half is for what was read lately, and for
/// what is being sent.
fn hold_bytes_max(cache: &SharedCache) -> u64 {
    u64::from((cache.slots() / 2).max(1)) * CHUNK_BYTES
}

/// What a read wants of a chunk that begins at `start`.
fn slice(pin: Arc<Pin>, start: u64, wanted: &Range<u64>) -> FileSlice {
    let from = wanted.start.max(start) - start;
    let to = (wanted.end.min(start + pin.len()) - start).max(from);
    let (file, position) = (Arc::clone(pin.file()), pin.position() + from);
    FileSlice { file, position, len: to - from, _pin: Some(pin) }
}
