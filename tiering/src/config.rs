//! What the crate is told when it is opened, checked in one place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use crate::bundle::CHECKSUM_BLOCK_BYTES;
use crate::steps::{RunThrough, Steps};
use crate::store::{StoreSettings, StoreWatch, Unwatched};

/// Asked before bytes go to the store or come from it, so that others have room.
#[async_trait]
pub trait Pace: Send + Sync + 'static {
    /// Returns when `bytes` more may be moved.
    async fn admit(&self, bytes: u64);
}

/// As fast as the store goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpaced;

#[async_trait]
impl Pace for Unpaced {
    async fn admit(&self, _bytes: u64) {}
}

/// Everything that [`crate::Tiering::open`] needs.
#[derive(Clone)]
pub struct TieringConfig {
    /// Where the objects lie.
    pub store: StoreSettings,
    /// The cluster's id: part of every object's name.
    pub cluster_id: String,
    /// A prefix under the store's URL, before the cluster's id. Default: none.
    pub prefix: String,
    /// The manifest's file. Its folder must exist and not be on a network file system.
    pub manifest_path: PathBuf,
    /// The folder of the read cache; made if missing. Its content may be lost at any time. Processes of
    /// one user on one machine that name the same folder share one cache.
    pub cache_dir: PathBuf,
    /// The size of the read cache on disk, taken at the start. Default 1 GiB, at least 1 MiB. Not
    /// used by `file://`.
    pub cache_bytes: u64,
    /// How long a process waits for an answer of the one that owns the cache folder, if that is
    /// another one; five times that for a write, and a hundred times for a chunk that another one
    /// fetches. Default 50 ms.
    pub cache_patience: Duration,
    /// Whether the log tells that the cache is open, and who owns it. Default: yes. Not of use where a
    /// process opens it for a job and then again.
    pub cache_is_told: bool,
    /// Memory for `.index` objects; what has no room in it waits in the cache. Default 128 MiB.
    pub index_cache_bytes: usize,
    /// Downloads at a time. Each holds one chunk of 256 KiB in memory. A quarter of them is kept for
    /// those that a reader waits for. Default 32.
    pub downloads_max: usize,
    /// Bytes fetched ahead of one sequential reader, at most; all readers together have half of the
    /// cache for it. Default 256 MiB; 0 turns it off.
    pub read_ahead_bytes_max: u64,
    /// The longest time that a read or an index waits for the store. Default 60 s.
    pub read_timeout: Duration,
    /// Objects kept open, for `file://`. Default 256.
    pub open_files_max: usize,
    /// Uploads at a time. Default 4.
    pub uploads_max: usize,
    /// Logs larger than this go up in parts of this size. Default 5 MiB, and S3 takes no less.
    pub part_bytes: u64,
    /// Parts of one upload on their way at a time. Default 2. Uploads hold at most
    /// `uploads_max * (parts_in_flight_max + 1) * part_bytes` in memory: 60 MiB by default.
    pub parts_in_flight_max: usize,
    /// Asked before bytes are uploaded.
    pub pace: Arc<dyn Pace>,
    /// Asked before bytes are downloaded for a reader.
    pub fetch_pace: Arc<dyn Pace>,
    /// Told of every call to the store.
    pub watch: Arc<dyn StoreWatch>,
    /// Told of every step.
    pub steps: Arc<dyn Steps>,
    /// Where downloads run, so that they need not share threads with those who wait for other
    /// things. Default: where they are asked for.
    pub downloads_on: Option<Handle>,
}

/// Four chunks: a read holds half of them at most.
const CACHE_BYTES_MIN: u64 = 1 << 20;

/// A setting that is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}: {bound}")]
pub struct SettingError {
    /// Which setting.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it should be.
    pub bound: &'static str,
}

impl TieringConfig {
    /// The defaults, for a store, a cluster, a manifest and a cache folder.
    #[must_use]
    pub fn new(
        store: StoreSettings,
        cluster_id: impl Into<String>,
        manifest_path: impl Into<PathBuf>,
        cache_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            store,
            cluster_id: cluster_id.into(),
            prefix: String::new(),
            manifest_path: manifest_path.into(),
            cache_dir: cache_dir.into(),
            cache_bytes: 1 << 30,
            cache_patience: Duration::from_millis(50),
            cache_is_told: true,
            index_cache_bytes: 128 << 20,
            downloads_max: 32,
            read_ahead_bytes_max: 256 << 20,
            read_timeout: Duration::from_secs(60),
            open_files_max: 256,
            uploads_max: 4,
            part_bytes: 5 << 20,
            parts_in_flight_max: 2,
            pace: Arc::new(Unpaced),
            fetch_pace: Arc::new(Unpaced),
            watch: Arc::new(Unwatched),
            steps: Arc::new(RunThrough),
            downloads_on: None,
        }
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), SettingError> {
        let block = u64::from(CHECKSUM_BLOCK_BYTES);
        let wrong = |name, value, bound| Err(SettingError { name, value, bound });
        let count = |name, value: usize| match value {
            1..=4096 => Ok(()),
            _ => wrong(name, value as u64, "use 1 to 4096"),
        };
        if self.cache_bytes < CACHE_BYTES_MIN {
            return wrong("cache_bytes", self.cache_bytes, "use at least 1 MiB");
        }
        if !(block..=1 << 30).contains(&self.part_bytes) {
            return wrong("part_bytes", self.part_bytes, "use 64 KiB to 1 GiB");
        }
        count("downloads_max", self.downloads_max)?;
        count("open_files_max", self.open_files_max)?;
        count("uploads_max", self.uploads_max)?;
        count("parts_in_flight_max", self.parts_in_flight_max)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_others_are_named() {
        let good = TieringConfig::new(StoreSettings::new("memory://"), "c", "m", "d");
        assert_eq!(good.check(), Ok(()));
        let small = TieringConfig { cache_bytes: 100_000, ..good.clone() };
        let told = small.check().unwrap_err().to_string();
        assert_eq!(told, "cache_bytes is 100000: use at least 1 MiB");
        assert!(TieringConfig { uploads_max: 0, ..good }.check().is_err());
    }
}
