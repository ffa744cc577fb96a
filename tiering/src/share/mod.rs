//! One cache of chunks for all processes of a machine that name the same folder.
//!
//! ```text
//!   owner   has the folder's claim: it alone writes the files and decides what gives way (`cache`)
//!   guest   asks the owner over a socket (`frame`), reads the owner's files, gives it what it fetched
//!
//!   turn(chunks) -> Here       compare them with what the reader knows, and serve them
//!                -> Fetch      nobody has them and nobody brings them: download, then keep()
//!                (waits while the owner or any guest is bringing them)
//! ```
//! The parts: `flights` (what is on its way, machine-wide), `host` and `session` (guests, as the owner
//! serves them, on a thread of its own), `link`, `asks` and `loan` (the owner, as a guest has it),
//! `turn` (one answer for both roles), `life` (who is owner, and who comes next), `socket`.
//!
//! Invariants:
//! - Whoever serves a chunk has compared it, in this process, with the checksums of its object, but
//!   for what it downloaded itself.
//! - A guest that has nothing of the owner goes to the store, and keeps what it brings in files of its
//!   own: no reader gets an error because another process is slow, wrong or gone.
//! - A slot is written over only when no process reads from it (`loan`).
//! - Nobody waits for another process without a bound.

mod asks;
#[cfg(test)]
mod attacks_test;
#[cfg(test)]
mod fixture_test;
mod flights;
mod frame;
mod host;
mod life;
mod link;
mod loan;
mod session;
#[cfg(test)]
mod share_test;
mod socket;
mod turn;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

pub(crate) use turn::{Claim, Found, KeepError, Turn};

use crate::cache::{Cache, CacheClass, ChunkKey, Lookup, Pin};
use crate::counters::Counters;
use crate::ids::SegmentId;
use crate::recent::Recent;
use flights::Flights;
use link::{Link, Patience};

/// The cache of this machine, as one process has it. Its thread ends when this is dropped.
pub(crate) struct SharedCache {
    state: Arc<State>,
    stop: CancellationToken,
}

/// What the cache and its thread have in common.
struct State {
    role: ArcSwap<Role>,
    counters: Arc<Counters>,
    patience: Patience,
    closing: Arc<AtomicBool>,
    /// Of this owner.
    guests: Arc<AtomicI64>,
    /// Chunks that they hold.
    lent: Arc<AtomicI64>,
}

/// What this process is to the cache's folder.
enum Role {
    Owner(Owner),
    Guest(Guest),
}

struct Owner {
    cache: Arc<Cache>,
    flights: Arc<Flights>,
}

/// A guest, of an owner or between two of them.
struct Guest {
    link: Option<Arc<Link>>,
    /// What the owner lent, so that it need not be asked for again. It is dropped with the link.
    lent: Recent<ChunkKey, Arc<Pin>>,
    /// What the owner did not take, or could not be asked about.
    spare: Arc<Cache>,
}

impl Guest {
    fn new(link: Option<Arc<Link>>, spare: Arc<Cache>) -> Self {
        let lent = Recent::new(link.as_ref().map_or(1, |link| lent_max(link)) as usize);
        Self { link, lent, spare }
    }

    fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref().filter(|link| !link.is_closed())
    }

    fn get(&self, key: &ChunkKey, class: CacheClass) -> Option<Arc<Pin>> {
        let spare = || match self.spare.get(key, class) {
            Lookup::Ready(pin) => Some(pin),
            Lookup::Unchecked(_) | Lookup::Missing => None,
        };
        self.lent.get(key).or_else(spare)
    }
}

/// How many chunks are kept that nobody reads at the moment. The rest of what a guest may hold is for
/// what is on its way to its readers, or is being sent.
fn lent_max(link: &Link) -> u32 {
    let most = link.lender().terms().holds_max;
    (most - most / 4).max(1)
}

impl SharedCache {
    /// Looks a chunk up that this process has, and holds it. It counts as a use by a reader of a topic
    /// of that class. Memory only.
    pub(crate) fn get(&self, key: &ChunkKey, class: CacheClass) -> Lookup {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.get(key, class),
            Role::Guest(guest) => match guest.get(key, class) {
                Some(pin) => {
                    self.state.counters.chunk_hits.bump();
                    Lookup::Ready(pin)
                }
                None => Lookup::Missing,
            },
        }
    }

    /// A chunk was given to a reader by who brought it. See [`Cache::used`].
    pub(crate) fn used(&self, key: &ChunkKey, class: CacheClass) {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.used(key, class),
            // The owner was told with the ask, or with the chunk.
            Role::Guest(guest) => guest.spare.used(key, class),
        }
    }

    /// Whether this process has a chunk. It counts as no use. Memory only: a guest does not know what
    /// the owner has.
    pub(crate) fn has(&self, key: &ChunkKey) -> bool {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.has(key),
            Role::Guest(guest) => guest.lent.has(key) || guest.spare.has(key),
        }
    }

    /// How many chunks this process can have at a time: those that guests hold are not among them.
    pub(crate) fn slots(&self) -> u32 {
        match &**self.state.role.load() {
            Role::Owner(owner) => {
                let lent = self.state.lent.load(Ordering::Relaxed).max(0);
                let lent = lent + i64::from(owner.cache.left());
                owner.cache.slots().saturating_sub(u32::try_from(lent).unwrap_or(u32::MAX))
            }
            Role::Guest(guest) => {
                guest.link().map_or_else(|| guest.spare.slots(), |link| lent_max(link))
            }
        }
    }

    /// How many of them have room that are new, or that nobody came back for.
    pub(crate) fn fresh_slots(&self) -> u32 {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.fresh_slots(),
            Role::Guest(_) => self.slots(),
        }
    }

    /// How many chunks the files of this process have room for.
    pub(crate) fn own_slots(&self) -> u32 {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.slots(),
            Role::Guest(guest) => guest.spare.slots(),
        }
    }

    /// How many chunks the machine's cache has room for.
    pub(crate) fn room_slots(&self) -> u32 {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.slots(),
            Role::Guest(guest) => {
                let terms = guest.link().map(|link| *link.lender().terms());
                terms.map_or_else(|| guest.spare.slots(), |terms| terms.slots)
            }
        }
    }

    /// The segments of which this process has a chunk. See [`Cache::segments`].
    pub(crate) fn segments(&self) -> HashSet<SegmentId> {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.segments(),
            Role::Guest(guest) => guest.spare.segments(),
        }
    }

    /// How many chunks of a class lie in the files of this process.
    pub(crate) fn chunks_of(&self, class: CacheClass) -> u32 {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.chunks_of(class),
            Role::Guest(guest) => guest.spare.chunks_of(class),
        }
    }

    /// The bytes that lie in the files of this process.
    pub(crate) fn held_bytes(&self) -> u64 {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.held_bytes(),
            Role::Guest(guest) => guest.spare.held_bytes(),
        }
    }

    /// How many processes are guests of this one.
    pub(crate) fn guests(&self) -> i64 {
        self.state.guests.load(Ordering::Relaxed)
    }

    /// Whether another process owns the folder.
    pub(crate) fn is_guest(&self) -> bool {
        matches!(&**self.state.role.load(), Role::Guest(_))
    }
}

impl Drop for SharedCache {
    fn drop(&mut self) {
        // Who opens the folder from here on is no guest of what is about to end.
        self.state.closing.store(true, Ordering::Release);
        self.stop.cancel();
    }
}
