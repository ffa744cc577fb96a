//! Who owns the folder, and who comes next.
//!
//! ```text
//! claim it ----- mine ----> owner, to the end
//!    ^   \------ taken ---> meet the owner -> guest until the connection ends
//!    |________________________________________|
//! ```
//! Invariants: an owner stays one; a guest always has files of its own, so that its readers go on
//! while it looks for an owner; nothing here is asked of a thread that serves clients.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::flights::Flights;
use super::host::Host;
use super::link::{Connected, Patience};
use super::{Guest, Owner, Role, SharedCache, State, socket};
use crate::cache::{CHUNK_BYTES, Cache, CacheOpenError, CacheSettings};

/// How long until the next look for an owner, at first and at last: the next owner is another guest
/// that is about to read the index, or a process that does not share.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// A connection that ended sooner than this was not wanted by the other side, which is given a rest.
const SHORT: Duration = Duration::from_millis(100);
/// The files of a guest: this part of `cache.bytes`, and no more than what all its downloads need
/// while there is no owner.
const SPARE_PART: u64 = 16;
const SPARE_BYTES_MAX: u64 = 64 << 20;
const SPARE_SLOTS_MIN: u64 = 4;

/// What the folder has for this process.
enum Met {
    Mine(Arc<Cache>),
    Owner(Connected),
}

impl SharedCache {
    /// Opens the cache of a folder, or the way to the process that has it. Blocks.
    ///
    /// # Errors
    /// [`CacheOpenError`]; [`CacheOpenError::InUse`] when another process has the folder and lets
    /// nobody in.
    pub(crate) fn open(settings: CacheSettings) -> Result<Self, CacheOpenError> {
        let fails = |source| CacheOpenError::Io { folder: settings.dir.clone(), source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(fails)?;
        let met = meet(&runtime, &settings)?;
        let state = State {
            role: ArcSwap::from_pointee(role(&met, &settings).map_err(fails)?),
            counters: Arc::clone(&settings.counters),
            patience: Patience::of(settings.patience),
            closing: Arc::new(AtomicBool::new(false)),
            guests: Arc::new(AtomicI64::new(0)),
            lent: Arc::new(AtomicI64::new(0)),
        };
        let (state, stop) = (Arc::new(state), CancellationToken::new());
        let life =
            Life { state: Arc::clone(&state), stop: stop.clone(), settings: settings.clone() };
        let thread = std::thread::Builder::new().name("cache-share".into());
        thread.spawn(move || runtime.block_on(life.run(met))).map_err(fails)?;
        Ok(Self { state, stop })
    }
}

/// Waits for the folder, or for its owner.
fn meet(runtime: &Runtime, settings: &CacheSettings) -> Result<Met, CacheOpenError> {
    let deadline = Instant::now() + settings.claim_wait;
    let patience = Patience::of(settings.patience);
    loop {
        let why = match open_own(settings) {
            Ok(cache) => return Ok(Met::Mine(cache)),
            Err(in_use @ CacheOpenError::InUse(_)) => in_use,
            Err(error) => return Err(error),
        };
        match runtime.block_on(Connected::to(&settings.dir, patience)) {
            Ok(connected) => return Ok(Met::Owner(connected)),
            Err(error) if Instant::now() >= deadline => {
                tracing::debug!(%error, "the owner of the read cache lets nobody in");
                return Err(why);
            }
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

fn open_own(settings: &CacheSettings) -> Result<Arc<Cache>, CacheOpenError> {
    Cache::open(CacheSettings { claim_wait: Duration::ZERO, ..settings.clone() })
}

fn role(met: &Met, settings: &CacheSettings) -> io::Result<Role> {
    Ok(match met {
        Met::Mine(cache) => own(cache),
        Met::Owner(connected) => {
            let slots = (settings.bytes / SPARE_PART).min(SPARE_BYTES_MAX) / CHUNK_BYTES;
            let slots = slots.max(SPARE_SLOTS_MIN) as u32;
            let spare = Cache::open_spare(settings.clone(), slots)?;
            Role::Guest(Guest::new(Some(Arc::clone(&connected.link)), spare))
        }
    })
}

fn own(cache: &Arc<Cache>) -> Role {
    Role::Owner(Owner { cache: Arc::clone(cache), flights: Arc::default() })
}

/// The thread of a shared cache.
struct Life {
    state: Arc<State>,
    stop: CancellationToken,
    settings: CacheSettings,
}

impl Life {
    async fn run(self, mut met: Met) {
        loop {
            match met {
                Met::Mine(cache) => return self.be_owner(cache).await,
                Met::Owner(connected) => {
                    let began = Instant::now();
                    self.be_guest(connected).await;
                    if began.elapsed() < SHORT {
                        self.pause(SHORT).await;
                    }
                }
            }
            let Some(next) = self.look().await else { return };
            self.take_up(&next);
            met = next;
        }
    }

    async fn be_owner(&self, cache: Arc<Cache>) {
        let Some(flights) = self.flights() else { return };
        let folder = &self.settings.dir;
        let listener = match socket::listen(folder) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(
                    folder = %folder.display(), %error,
                    "the read cache cannot be shared with other processes"
                );
                None
            }
        };
        if self.settings.is_told {
            tracing::info!(
                folder = %folder.display(), shared = listener.is_some(),
                "this process owns the read cache"
            );
        }
        let host = Host::new(cache, flights, &self.state);
        host.run(folder, listener, &self.stop).await;
    }

    fn flights(&self) -> Option<Arc<Flights>> {
        match &**self.state.role.load() {
            Role::Owner(owner) => Some(Arc::clone(&owner.flights)),
            Role::Guest(_) => None,
        }
    }

    async fn be_guest(&self, connected: Connected) {
        if self.settings.is_told {
            tracing::info!(
                folder = %self.settings.dir.display(),
                "this process is a guest of the read cache of another icecore"
            );
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = connected.run() => {}
        }
        self.be(|spare| Role::Guest(Guest::new(None, spare)));
    }

    /// Looks for the folder or its owner, until one of them is there; `None` when it is time to end.
    async fn look(&self) -> Option<Met> {
        let (mut pause, mut told) = (LOOK_AGAIN, false);
        while !self.stop.is_cancelled() {
            match open_own(&self.settings) {
                Ok(cache) => return Some(Met::Mine(cache)),
                Err(CacheOpenError::InUse(_)) => {}
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "the read cache has no owner");
                }
                Err(_) => {}
            }
            if let Ok(connected) = Connected::to(&self.settings.dir, self.state.patience).await {
                return Some(Met::Owner(connected));
            }
            self.pause(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN_MAX);
        }
        None
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn take_up(&self, met: &Met) {
        match met {
            Met::Mine(cache) => self.state.role.store(Arc::new(own(cache))),
            Met::Owner(connected) => {
                let link = Arc::clone(&connected.link);
                self.be(|spare| Role::Guest(Guest::new(Some(link), spare)));
            }
        }
    }

    /// Another role of a guest, with the same files of its own.
    fn be(&self, role: impl FnOnce(Arc<Cache>) -> Role) {
        let spare = match &**self.state.role.load() {
            Role::Guest(guest) => Arc::clone(&guest.spare),
            Role::Owner(_) => return,
        };
        self.state.role.store(Arc::new(role(spare)));
    }
}
