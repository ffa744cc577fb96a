//! Caches of one folder, each as a process of its own has it: claims, locks and sockets know no
//! difference. And a process that talks to an owner by hand.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};

use super::frame::{GuestSays, OwnerSays, Terms, VERSION, Wire, framed};
use super::{Claim, Role, SharedCache, Turn, socket};
use crate::cache::{CHUNK_BYTES, Cache, CacheClass, CacheSettings, ChunkKey, IsRight, Pin};
use crate::checksum::crc64;
use crate::clock::SystemClock;
use crate::counters::{CounterValues, Counters};
use crate::ids::SegmentId;
use crate::steps::RunThrough;

/// No test waits longer for what must happen.
pub(super) const SOON: Duration = Duration::from_secs(20);
pub(super) const NORMAL: CacheClass = CacheClass::Normal;

pub(super) fn key(chunk: u32) -> ChunkKey {
    ChunkKey { segment: SegmentId::from_bytes([0x5e; 16]), chunk }
}

/// What a chunk holds; all of it depends on its number.
pub(super) fn content(chunk: u32) -> Bytes {
    let len = match chunk % 3 {
        0 => CHUNK_BYTES as usize,
        _ => 1000 + chunk as usize,
    };
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).rotate_left(chunk) as u8).collect()
}

pub(super) fn is_right(chunk: u32) -> IsRight {
    Box::new(move |bytes| bytes == content(chunk))
}

pub(super) fn bytes_of(pin: &Pin) -> Bytes {
    let mut bytes = vec![0; pin.len() as usize];
    pin.file().read_exact_at(&mut bytes, pin.position()).unwrap();
    bytes.into()
}

/// One process's cache.
pub(super) struct Process {
    pub(super) cache: SharedCache,
    counters: Arc<Counters>,
}

impl Process {
    /// One that waits for others as long as it takes.
    pub(super) async fn new(folder: &Path, slots: u64) -> Self {
        Self::patient(folder, slots, SOON).await
    }

    pub(super) async fn patient(folder: &Path, slots: u64, patience: Duration) -> Self {
        let counters = Arc::<Counters>::default();
        let settings = CacheSettings {
            dir: folder.to_owned(),
            bytes: slots * CHUNK_BYTES,
            claim_wait: SOON,
            patience,
            is_told: true,
            clock: Arc::new(SystemClock),
            steps: Arc::new(RunThrough),
            counters: Arc::clone(&counters),
        };
        let open = tokio::task::spawn_blocking(|| SharedCache::open(settings));
        Self { cache: open.await.unwrap().unwrap(), counters }
    }

    pub(super) fn counted(&self) -> CounterValues {
        self.counters.values()
    }

    /// Reads a chunk as a download does; whether it had to be fetched. What it gives must be right.
    pub(super) async fn read(&self, chunk: u32) -> (Arc<Pin>, bool) {
        self.read_as(NORMAL, chunk).await
    }

    pub(super) async fn read_as(&self, class: CacheClass, chunk: u32) -> (Arc<Pin>, bool) {
        for _ in 0..3 {
            let found = match self.cache.turn(key(chunk), 1, class).await {
                Turn::Fetch(mut claim) => {
                    return (keep(&mut claim, chunk).await, true);
                }
                Turn::Here(found) => found,
            };
            let Some(found) = found.into_iter().next() else { continue };
            if let Some(pin) = found.check(Some(is_right(chunk))).await {
                assert!(bytes_of(&pin) == content(chunk), "wrong bytes of chunk {chunk}");
                return (pin, false);
            }
        }
        panic!("chunk {chunk} does not come");
    }

    pub(super) async fn fetched(&self, chunks: std::ops::Range<u32>) -> Vec<u32> {
        self.fetched_as(NORMAL, chunks).await
    }

    pub(super) async fn fetched_as(
        &self,
        class: CacheClass,
        chunks: std::ops::Range<u32>,
    ) -> Vec<u32> {
        let mut fetched = Vec::new();
        for chunk in chunks {
            if self.read_as(class, chunk).await.1 {
                fetched.push(chunk);
            }
        }
        fetched
    }

    /// How many processes and downloads wait for a chunk, as this owner knows.
    pub(super) fn waiters(&self, chunk: u32) -> usize {
        match &**self.cache.state.role.load() {
            Role::Owner(owner) => owner.flights.waiters(&key(chunk)),
            Role::Guest(_) => 0,
        }
    }

    /// The cache of this owner.
    pub(super) fn own(&self) -> Arc<Cache> {
        match &**self.cache.state.role.load() {
            Role::Owner(owner) => Arc::clone(&owner.cache),
            Role::Guest(_) => panic!("it owns no cache"),
        }
    }

    pub(super) async fn claim(&self, chunk: u32, count: u32) -> Claim {
        match self.cache.turn(key(chunk), count, NORMAL).await {
            Turn::Fetch(claim) => claim,
            Turn::Here(_) => panic!("chunk {chunk} is there"),
        }
    }
}

pub(super) async fn keep(claim: &mut Claim, chunk: u32) -> Arc<Pin> {
    let pin = claim.keep(key(chunk), content(chunk)).await.unwrap();
    assert!(bytes_of(&pin) == content(chunk), "wrong bytes of chunk {chunk}");
    pin
}

pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An owner, and a guest of it.
pub(super) async fn two(folder: &Path, slots: u64) -> (Process, Process) {
    let (owner, guest) = (Process::new(folder, slots).await, Process::new(folder, slots).await);
    assert!(!owner.cache.is_guest() && guest.cache.is_guest());
    (owner, guest)
}

/// A process that talks to an owner by hand.
pub(super) struct Stranger(pub(super) Wire);

impl Stranger {
    /// An owner may have come to its folder, and not to its socket yet.
    pub(super) async fn connected(folder: &Path) -> Self {
        let deadline = Instant::now() + SOON;
        loop {
            match socket::connect(folder).await {
                Ok(stream) => return Self(framed(stream)),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn welcomed(folder: &Path) -> (Self, Terms) {
        let mut stranger = Self::connected(folder).await;
        stranger.says(&GuestSays::Hello { version: VERSION }).await;
        let Some(OwnerSays::Welcome { terms, .. }) = stranger.hears().await else {
            panic!("no welcome")
        };
        (stranger, terms)
    }

    pub(super) async fn says(&mut self, says: &GuestSays) {
        self.0.send(says.encode()).await.unwrap();
    }

    /// `None` when the owner has hung up.
    pub(super) async fn hears(&mut self) -> Option<OwnerSays> {
        let frame = tokio::time::timeout(SOON, self.0.next()).await.expect("an answer in time");
        Some(OwnerSays::decode(frame?.ok()?.freeze()).unwrap())
    }

    pub(super) async fn sees_the_door(mut self) {
        while self.hears().await.is_some() {}
    }
}

pub(super) fn fill(ask: u32, chunk: u32, bytes: Bytes) -> GuestSays {
    GuestSays::Fill { ask, key: key(chunk), class: NORMAL, sum: crc64(&[&bytes]), bytes }
}

pub(super) fn ask(ask: u32, chunk: u32, count: u32) -> GuestSays {
    GuestSays::Ask { ask, key: key(chunk), count, class: NORMAL }
}
