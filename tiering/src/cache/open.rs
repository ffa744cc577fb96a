//! Opening: the folder is claimed, room is taken, and what the index names is taken up, unread.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::claim::{Claim, claim};
use super::index_file::IndexFile;
use super::lanes::Lanes;
use super::pin::Held;
use super::shared::Shared;
use super::slabs::{SLOTS_PER_SLAB, Slabs};
use super::slots::Slots;
use super::{CHUNK_BYTES, Cache};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::steps::Steps;

/// A smaller cache is refused.
const SLOTS_MIN: u64 = 4;
/// A larger cache (512 TiB) is refused.
const SLOTS_MAX: u64 = 1 << 31;
/// Seconds after the first use of a chunk before another use counts as a second one.
const AGAIN_AFTER: u32 = 30;

/// What [`Cache::open`] needs.
#[derive(Clone)]
pub(crate) struct CacheSettings {
    /// The folder; made if missing.
    pub(crate) dir: PathBuf,
    /// The room of all chunks: at least four of them, rounded down to whole ones.
    pub(crate) bytes: u64,
    /// How long to wait for another cache that is letting go of the folder, or begins to share it.
    pub(crate) claim_wait: Duration,
    /// How long to wait for an answer of another process that shares the folder.
    pub(crate) patience: Duration,
    /// Whether the log tells of it.
    pub(crate) is_told: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) steps: Arc<dyn Steps>,
    pub(crate) counters: Arc<Counters>,
}

/// Why the read cache cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CacheOpenError {
    /// It is out of its bounds.
    #[error("cache.bytes is {0}: use 1 MiB to 512 TiB")]
    Size(u64),
    /// Another process has it.
    #[error(
        "the folder {} of the read cache is in use by another icecore that does not share it: \
         stop it, or give each its own cache.dir (one cache is shared by processes of one user on \
         one machine, and of one version of icecore)",
        .0.display()
    )]
    InUse(PathBuf),
    /// The disk is too small.
    #[error(
        "there is no room for a read cache of {bytes} bytes in {}: make room, lower cache.bytes, or \
         give another cache.dir: {source}",
        folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// The size.
        bytes: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The disk failed.
    #[error("cannot set up the read cache in {}: {source}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Cache {
    /// Opens a cache of its own in the folder of another one: nobody finds it, and it is gone with
    /// this process. Blocks.
    ///
    /// # Errors
    /// When the disk fails or has no room.
    pub(crate) fn open_spare(settings: CacheSettings, slots: u32) -> io::Result<Arc<Self>> {
        let slabs = Slabs::unnamed(&settings.dir, slots)?;
        let index = IndexFile::unnamed(&settings.dir, slots)?;
        start(settings, slabs, index, Slots::new(slots, AGAIN_AFTER), None)
    }

    /// Opens the cache of a folder with what an earlier process left in it. Blocks: it takes the
    /// room on the disk and reads the index, but none of the chunks.
    ///
    /// # Errors
    /// [`CacheOpenError`]. What lies in the files is never a reason.
    pub(crate) fn open(settings: CacheSettings) -> Result<Arc<Self>, CacheOpenError> {
        let slots = match settings.bytes / CHUNK_BYTES {
            slots @ SLOTS_MIN..=SLOTS_MAX => slots as u32,
            _ => return Err(CacheOpenError::Size(settings.bytes)),
        };
        let folder = settings.dir.clone();
        let fails = |source| CacheOpenError::Io { folder: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(fails)?;
        let claim = claim(&folder, settings.claim_wait).map_err(fails)?;
        let claim = claim.ok_or_else(|| CacheOpenError::InUse(folder.clone()))?;
        let opened = open(settings, slots, claim);
        opened.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let bytes = u64::from(slots) * CHUNK_BYTES;
                CacheOpenError::NoRoom { folder: folder.clone(), bytes, source }
            }
            _ => fails(source),
        })
    }
}

fn open(settings: CacheSettings, slots: u32, claim: Claim) -> io::Result<Arc<Cache>> {
    let began = Instant::now();
    let slabs = Slabs::open(&settings.dir, slots, SLOTS_PER_SLAB)?;
    let index = IndexFile::open(&settings.dir.join("index"), slots)?;
    let slots = take_up(&index, &slabs, slots)?;
    if settings.is_told {
        tracing::info!(
            folder = %settings.dir.display(),
            bytes = u64::from(slots.count()) * CHUNK_BYTES,
            held_bytes = slots.held_bytes(),
            took_ms = began.elapsed().as_millis(),
            "the read cache is open"
        );
    }
    start(settings, slabs, index, slots, Some(claim))
}

fn start(
    settings: CacheSettings,
    slabs: Slabs,
    index: IndexFile,
    mut slots: Slots,
    claim: Option<Claim>,
) -> io::Result<Arc<Cache>> {
    let mut left = slabs.locked_slots()?;
    left.retain(|slot| *slot < slots.count());
    left.sort_unstable();
    left.dedup();
    left.iter().for_each(|slot| slots.hold_left(*slot));
    let shared = Arc::new(Shared {
        slots: Mutex::new(slots),
        freed: Notify::new(),
        slabs,
        index,
        counters: settings.counters,
        steps: settings.steps,
        opened_ms: settings.clock.now_ms(),
        clock: settings.clock,
        claim,
    });
    let left: Vec<_> = left.into_iter().map(|slot| Held::left(&shared, slot)).collect();
    let lanes = Lanes::start(&shared)?;
    let left_count = AtomicU32::new(left.len() as u32);
    Ok(Arc::new(Cache { shared, lanes, left: Mutex::new(left), left_count }))
}

/// What the index names, each chunk to be checked before its first use.
fn take_up(index: &IndexFile, slabs: &Slabs, slots: u32) -> io::Result<Slots> {
    let mut taken = Slots::new(slots, AGAIN_AFTER);
    index.each(|slot, entry| {
        if slabs.was_there(slot) {
            taken.restore(slot, entry.key, entry.len, entry.standing);
        }
    })?;
    Ok(taken)
}
