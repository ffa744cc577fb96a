//! The owner of a cache, as its guests meet it.
//!
//! It has a thread of its own, so that guests neither wait for this process's work nor hold it up.
//! What it does there is done in memory; the disk is left to the cache's threads.
//!
//! Invariants: guests, their holds, and their bytes in memory are bounded, each and all together; all
//! guests together never hold more than half of the slots; a guest is one of this user's processes; no
//! slot is let go of that a guest may still come to read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::flights::Flights;
use super::frame::{GuestSays, OwnerSays, Terms, VERSION, Wire, framed};
use super::link::{HELLO_MAX, Patience};
use super::session::{SessionEnd, serve};
use super::{State, socket};
use crate::cache::{CHUNK_BYTES, Cache, CacheClass, ChunkKey, Held};
use crate::counters::Counters;

/// Guests at a time. Each has at most a frame of a quarter of a MiB in memory.
const GUESTS_MAX: usize = 64;
/// Chunks of all guests that wait for the disk at a time, 32 MiB, and the part of the slots that they
/// may take.
const FILLS_MAX: u32 = 128;
const FILLS_PART: u32 = 4;
/// A guest holds at most this part of the slots, and a few in any case.
const HOLDS_PART: u32 = 8;
const HOLDS_MIN: u32 = 4;
/// How often it is looked whether what a lost guest read is still read.
const SWEEP: Duration = Duration::from_secs(1);
/// After an accept that failed: the process has no more files, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Host {
    pub(super) cache: Arc<Cache>,
    pub(super) flights: Arc<Flights>,
    pub(super) counters: Arc<Counters>,
    pub(super) patience: Patience,
    /// No guest is welcome any more.
    closing: Arc<AtomicBool>,
    guests: Arc<AtomicI64>,
    lent: Arc<AtomicI64>,
    fills: Arc<Semaphore>,
}

impl Host {
    pub(super) fn new(cache: Arc<Cache>, flights: Arc<Flights>, state: &State) -> Arc<Self> {
        let fills = (cache.slots() / FILLS_PART).clamp(1, FILLS_MAX);
        Arc::new(Self {
            cache,
            flights,
            counters: Arc::clone(&state.counters),
            patience: state.patience,
            closing: Arc::clone(&state.closing),
            guests: Arc::clone(&state.guests),
            lent: Arc::clone(&state.lent),
            fills: Arc::new(Semaphore::new(fills as usize)),
        })
    }

    /// Serves guests until `stop`.
    pub(super) async fn run(
        self: &Arc<Self>,
        folder: &Path,
        listener: Option<UnixListener>,
        stop: &CancellationToken,
    ) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.cache.sweep(),
                Some(_) = sessions.join_next() => {}
                guest = accept(listener.as_ref()), if sessions.len() < GUESTS_MAX => {
                    if let Some(stream) = guest {
                        sessions.spawn(Arc::clone(self).meet(stream));
                    }
                }
            }
        }
        if listener.is_some() {
            socket::remove(folder);
        }
        sessions.shutdown().await;
    }

    async fn meet(self: Arc<Self>, stream: UnixStream) {
        let present = Present::new(&self.guests);
        let ended = match socket::check_peer(&stream) {
            Ok(()) => self.serve(framed(stream)).await,
            Err(error) => Err(error.into()),
        };
        drop(present);
        match ended {
            Err(why) if why.is_offence() => {
                self.counters.guest_refusals.bump();
                tracing::warn!(%why, "a guest of the read cache is refused");
            }
            ended => tracing::debug!(?ended, "a guest of the read cache has left"),
        }
    }

    async fn serve(self: &Arc<Self>, mut wire: Wire) -> Result<(), SessionEnd> {
        let first = timeout(HELLO_MAX, wire.next()).await.map_err(|_| SessionEnd::NoHello)?;
        let Some(first) = first.transpose()? else { return Ok(()) };
        match GuestSays::decode(first.freeze())? {
            GuestSays::Hello { version: VERSION } => {}
            GuestSays::Hello { version } => return Err(SessionEnd::Version(version)),
            _ => return Err(SessionEnd::NoHello),
        }
        // An owner that is about to end is none to begin with.
        if self.is_closing() {
            return Ok(());
        }
        wire.send(OwnerSays::Welcome { version: VERSION, terms: self.terms() }.encode()).await?;
        serve(Arc::clone(self), wire).await
    }

    fn terms(&self) -> Terms {
        Terms {
            chunk_bytes: CHUNK_BYTES as u32,
            era: self.cache.era(),
            slots: self.cache.slots(),
            slots_per_slab: self.cache.slots_per_slab(),
            holds_max: self.holds_max(),
        }
    }

    /// How many chunks one guest may hold.
    pub(super) fn holds_max(&self) -> u32 {
        (self.cache.slots() / HOLDS_PART).max(HOLDS_MIN).min(self.all_holds_max())
    }

    fn all_holds_max(&self) -> u32 {
        self.cache.slots() / 2
    }

    /// How many more all guests together may hold.
    pub(super) fn holds_left(&self) -> u32 {
        let held = self.lent.load(Ordering::Relaxed) + i64::from(self.cache.left());
        self.all_holds_max().saturating_sub(u32::try_from(held).unwrap_or(0))
    }

    pub(super) fn holds_changed(&self, by: i64) {
        self.lent.fetch_add(by, Ordering::Relaxed);
    }

    /// Whether this owner is about to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Room for a chunk that waits for the disk. It does not wait.
    pub(super) fn room_for_a_fill(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.fills).try_acquire_owned().ok()
    }

    /// Writes a chunk that a guest brought. `None` when there is no slot for it, or the disk fails.
    pub(super) async fn take_in(
        &self,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
    ) -> Option<Held> {
        let slot = self.cache.reserve().await.ok()?;
        let filled = slot.fill_unchecked(key, class, bytes).await;
        // It is read over there, without another word.
        self.cache.used(&key, class);
        filled.inspect_err(|error| tracing::warn!(%error, "the cache cannot be written")).ok()
    }
}

/// Counts a guest for as long as it is there.
struct Present(Arc<AtomicI64>);

impl Present {
    fn new(guests: &Arc<AtomicI64>) -> Self {
        guests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(guests))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The next guest; never without a socket.
async fn accept(listener: Option<&UnixListener>) -> Option<UnixStream> {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "a guest of the read cache cannot be let in");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
