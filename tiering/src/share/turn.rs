//! Whose turn it is to bring a chunk: one answer, whichever process owns the cache.
//!
//! Invariant: what a [`Claim`] has not kept when it is dropped is given up, and whoever waits for it
//! anywhere on the machine looks again.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::flights::{Asked, Flight, Most};
use super::link::{Brought, Heard, Link};
use super::loan::Loan;
use super::{Guest, Owner, Role, SharedCache, State};
use crate::cache::{Cache, CacheClass, CacheFull, ChunkKey, Held, IsRight, Lookup, Pin, Unchecked};

/// Chunks that are taken up in one go.
const HERE_MAX: u32 = 32;

/// What is to be done for a chunk, and for those right behind it of which the same is true.
#[must_use]
pub(crate) enum Turn {
    /// Check and use them.
    Here(Vec<Found>),
    /// Download and keep them.
    Fetch(Claim),
}

/// A chunk that lies somewhere on the machine.
#[must_use]
pub(crate) enum Found {
    Ready(Arc<Pin>),
    Unchecked(Unchecked),
    Lent(Lent),
}

/// A chunk of another process.
pub(crate) struct Lent {
    state: Arc<State>,
    link: Arc<Link>,
    key: ChunkKey,
    loan: Loan,
}

/// The right, and for others the promise, to bring some chunks.
#[must_use]
pub(crate) struct Claim {
    state: Arc<State>,
    count: u32,
    class: CacheClass,
    by: By,
}

enum By {
    Owner(Vec<Flight>),
    Guest(Brought),
    /// Nobody counts on it.
    Nobody,
}

/// Why a chunk could not be kept anywhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Full(#[from] CacheFull),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl SharedCache {
    /// Finds out who brings `count` chunks from `first` on, of a topic of that class, and waits while
    /// another process, or another download of this one, brings the first of them.
    pub(crate) async fn turn(&self, first: ChunkKey, count: u32, class: CacheClass) -> Turn {
        let role = self.state.role.load_full();
        match &*role {
            Role::Owner(owner) => self.turn_of_owner(owner, first, (count, class)).await,
            Role::Guest(guest) => self.turn_of_guest(guest, first, (count, class)).await,
        }
    }

    /// The right to fetch chunks that others may be fetching too.
    pub(crate) fn alone(&self, count: u32, class: CacheClass) -> Claim {
        self.state.counters.guest_fallbacks.add(count.into());
        self.claim((count, class), By::Nobody)
    }

    /// A chunk is of no use as it is: it is fetched anew.
    pub(crate) fn forget(&self, key: &ChunkKey) {
        match &**self.state.role.load() {
            Role::Owner(owner) => owner.cache.forget(key),
            Role::Guest(guest) => {
                guest.lent.remove(key);
                guest.spare.forget(key);
                if let Some(link) = guest.link() {
                    link.wrong(*key);
                }
            }
        }
    }

    fn claim(&self, (count, class): (u32, CacheClass), by: By) -> Claim {
        Claim { state: Arc::clone(&self.state), count, class, by }
    }

    async fn turn_of_owner(
        &self,
        owner: &Owner,
        first: ChunkKey,
        (count, class): (u32, CacheClass),
    ) -> Turn {
        let most = Most { here: count.min(HERE_MAX), yours: count };
        let (mut waited, until) = (false, Instant::now() + self.state.patience.flights());
        loop {
            match owner.flights.ask(&owner.cache, first, class, most) {
                Asked::Here(held) => {
                    self.state.counters.shared_flights.add(waited.into());
                    return Turn::Here(found(owner, first, held));
                }
                Asked::Yours(flights) => {
                    let claimed = (flights.len() as u32, class);
                    return Turn::Fetch(self.claim(claimed, By::Owner(flights)));
                }
                Asked::Wait(landing) => {
                    waited = true;
                    let flight = self.state.patience.flight;
                    let wait = flight.min(until.saturating_duration_since(Instant::now()));
                    match timeout(wait, landing).await {
                        Ok(_) => {}
                        // Others took it up one after another, and it has not come.
                        Err(_) if wait < flight => return Turn::Fetch(self.alone(count, class)),
                        Err(_) => {
                            self.state.counters.guest_fallbacks.bump();
                            owner.flights.overdue(&first);
                        }
                    }
                }
            }
        }
    }

    async fn turn_of_guest(
        &self,
        guest: &Guest,
        first: ChunkKey,
        (count, class): (u32, CacheClass),
    ) -> Turn {
        if let Some(pin) = guest.get(&first, class) {
            self.state.counters.chunk_hits.bump();
            return Turn::Here(vec![Found::Ready(pin)]);
        }
        let Some(link) = guest.link() else { return Turn::Fetch(self.alone(count, class)) };
        make_room(guest, link);
        match link.ask(first, count, class).await {
            Heard::Here(loans, waited) => {
                if waited {
                    self.state.counters.shared_flights.bump();
                }
                let keys = (first.chunk..).map(|chunk| ChunkKey { chunk, ..first });
                let found = loans.into_iter().zip(keys).map(|(loan, key)| {
                    let (state, link) = (Arc::clone(&self.state), Arc::clone(link));
                    Found::Lent(Lent { state, link, key, loan })
                });
                Turn::Here(found.collect())
            }
            Heard::Yours(brought) => {
                let claimed = (brought.left().min(count), class);
                Turn::Fetch(self.claim(claimed, By::Guest(brought)))
            }
            Heard::Nothing => Turn::Fetch(self.alone(count, class)),
        }
    }
}

/// What the owner has, for its own readers.
fn found(owner: &Owner, first: ChunkKey, held: Vec<Held>) -> Vec<Found> {
    let keys = (first.chunk..).map(|chunk| ChunkKey { chunk, ..first });
    let found = held.into_iter().zip(keys);
    let found = found.filter_map(|(held, key)| match held.into_found(&owner.cache, key) {
        Lookup::Ready(pin) => Some(Found::Ready(pin)),
        Lookup::Unchecked(unchecked) => Some(Found::Unchecked(unchecked)),
        Lookup::Missing => None,
    });
    found.collect()
}

/// Lets go of what was not used lately when little more may be held.
fn make_room(guest: &Guest, link: &Link) {
    let most = link.lender().terms().holds_max;
    if link.lender().loans() + most / 4 >= most {
        guest.lent.shrink_to((super::lent_max(link) * 2 / 3) as usize);
    }
}

impl Found {
    /// The chunk, when it is what its reader knows of it. A wrong one is not found again.
    pub(crate) async fn check(self, is_right: Option<IsRight>) -> Option<Arc<Pin>> {
        match self {
            Self::Ready(pin) => Some(pin),
            Self::Unchecked(unchecked) => unchecked.check(is_right).await,
            Self::Lent(lent) => lent.check(is_right).await,
        }
    }
}

impl Lent {
    async fn check(self, is_right: Option<IsRight>) -> Option<Arc<Pin>> {
        let Self { state, link, key, loan } = self;
        let checked = match is_right {
            Some(is_right) => {
                let (here, slot) = (state.here(), loan.slot());
                let check =
                    move |room: &mut [u8]| loan.read(room).is_ok_and(is_right).then_some(loan);
                here.in_room(slot, check).await.ok()?
            }
            // Who asked reads all of it before it believes any.
            None => Some(loan),
        };
        let Some(pin) = checked.and_then(Loan::into_pin) else {
            state.counters.wrong_chunks.bump();
            link.wrong(key);
            return None;
        };
        state.counters.shared_hits.bump();
        remember(&state, &link, key, &pin);
        Some(pin)
    }
}

/// Keeps a chunk of the owner at hand, if it is still the same one.
fn remember(state: &State, link: &Arc<Link>, key: ChunkKey, pin: &Arc<Pin>) {
    if let Role::Guest(guest) = &**state.role.load()
        && guest.link().is_some_and(|now| Arc::ptr_eq(now, link))
    {
        guest.lent.put(key, Arc::clone(pin), 1);
    }
}

impl Claim {
    /// How many chunks it is for.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether nobody could say what the machine has of them.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.by, By::Nobody)
    }

    /// Keeps a chunk whose bytes are right, where all processes of the machine find it if that is
    /// possible.
    ///
    /// # Errors
    /// When this process has no room for it, or its disk fails.
    pub(crate) async fn keep(
        &mut self,
        key: ChunkKey,
        bytes: Bytes,
    ) -> Result<Arc<Pin>, KeepError> {
        if let By::Guest(brought) = &mut self.by {
            brought.passes(&key);
            let link = Arc::clone(brought.link());
            if let Some(loan) = link.fill(key, self.class, bytes.clone()).await
                && loan.len() == bytes.len() as u64
                && let Some(pin) = loan.into_pin()
            {
                self.state.counters.chunk_misses.bump();
                remember(&self.state, &link, key, &pin);
                return Ok(pin);
            }
            self.state.counters.guest_fallbacks.bump();
        }
        let here = self.state.here();
        let pin = here.reserve().await?.fill(key, self.class, bytes).await?;
        if let By::Owner(flights) = &mut self.by {
            // Not before the chunk can be found.
            flights.retain(|flight| flight.key != key);
        }
        Ok(pin)
    }
}

impl State {
    /// The cache whose files this process may write.
    fn here(&self) -> Arc<Cache> {
        match &**self.role.load() {
            Role::Owner(owner) => Arc::clone(&owner.cache),
            Role::Guest(guest) => Arc::clone(&guest.spare),
        }
    }
}
