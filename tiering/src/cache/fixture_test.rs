//! Caches for the tests: a folder, chunks whose bytes depend on their key alone, and a comparison
//! that takes no wrong byte.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;

use super::{CHUNK_BYTES, Cache, CacheClass, CacheOpenError, CacheSettings, ChunkKey, Lookup, Pin};
use crate::clock::SystemClock;
use crate::counters::{CounterValues, Counters};
use crate::ids::SegmentId;
use crate::steps::{RunThrough, Steps};

pub(super) fn key(chunk: u32) -> ChunkKey {
    ChunkKey { segment: SegmentId::from_bytes([0x5e; 16]), chunk }
}

/// A generator whose whole state is a seed that a failing test can print.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.next_multiple_of(8)];
        bytes.as_chunks_mut().0.iter_mut().for_each(|word| *word = self.word().to_le_bytes());
        bytes.truncate(len);
        bytes
    }
}

/// The chunks that there are.
const CHUNKS: u32 = 64;

/// What chunk `key` holds: the whole of a chunk or, for most, the short end of an object.
pub(super) fn content(key: &ChunkKey) -> Bytes {
    static CONTENTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let len = |chunk: u32| match chunk % 4 {
            0 => CHUNK_BYTES as usize,
            _ => 1 + chunk as usize * 997,
        };
        let bytes = |chunk| Random::new(u64::from(chunk) + 1).bytes(len(chunk)).into();
        (0..CHUNKS).map(bytes).collect()
    });
    CONTENTS[key.chunk as usize].clone()
}

/// A cache with the counters of its own.
pub(super) struct Opened {
    pub(super) cache: Arc<Cache>,
    counters: Arc<Counters>,
}

pub(super) fn settings(folder: &Path, chunks: u64) -> CacheSettings {
    CacheSettings {
        dir: folder.to_owned(),
        bytes: chunks * CHUNK_BYTES,
        // The threads of the cache before may still be at their last job.
        claim_wait: Duration::from_secs(20),
        patience: Duration::from_secs(20),
        is_told: true,
        clock: Arc::new(SystemClock),
        steps: Arc::new(RunThrough),
        counters: Arc::default(),
    }
}

impl Opened {
    pub(super) fn new(folder: &Path, chunks: u64) -> Self {
        Self::with(settings(folder, chunks)).unwrap()
    }

    pub(super) fn dying(folder: &Path, chunks: u64, steps: Arc<dyn Steps>) -> Self {
        Self::with(CacheSettings { steps, ..settings(folder, chunks) }).unwrap()
    }

    pub(super) fn with(settings: CacheSettings) -> Result<Self, CacheOpenError> {
        let counters = Arc::clone(&settings.counters);
        Ok(Self { cache: Cache::open(settings)?, counters })
    }

    pub(super) fn counters(&self) -> CounterValues {
        self.counters.values()
    }

    pub(super) async fn fill(&self, chunk: u32) -> std::io::Result<Arc<Pin>> {
        self.fill_as(CacheClass::Normal, chunk).await
    }

    pub(super) async fn fill_as(&self, class: CacheClass, chunk: u32) -> std::io::Result<Arc<Pin>> {
        let slot = self.cache.reserve().await.unwrap();
        slot.fill(key(chunk), class, content(&key(chunk))).await
    }

    /// Whether the cache has the chunk. What it gives must be right.
    pub(super) async fn has(&self, chunk: u32) -> bool {
        self.has_as(CacheClass::Normal, chunk).await
    }

    pub(super) async fn has_as(&self, class: CacheClass, chunk: u32) -> bool {
        let pin = match self.cache.get(&key(chunk), class) {
            Lookup::Missing => return false,
            Lookup::Ready(pin) => pin,
            Lookup::Unchecked(unchecked) => match unchecked.check(None).await {
                Some(pin) => pin,
                None => return false,
            },
        };
        assert!(bytes_of(&pin) == content(&key(chunk)), "wrong bytes of chunk {chunk}");
        true
    }

    /// Which of the chunks the cache has.
    pub(super) async fn which(&self, chunks: std::ops::Range<u32>) -> Vec<u32> {
        let mut had = Vec::new();
        for chunk in chunks {
            if self.has(chunk).await {
                had.push(chunk);
            }
        }
        had
    }
}

/// The bytes as a sender reads them.
pub(super) fn bytes_of(pin: &Pin) -> Vec<u8> {
    let mut bytes = vec![0; pin.len() as usize];
    pin.file().read_exact_at(&mut bytes, pin.position()).unwrap();
    bytes
}
