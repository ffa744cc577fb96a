//! A tiering over a store of the test's choice, with a clock of its own and made-up segments.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use icecore_tiering::{
    Clock, FileSlice, LeaderEpoch, Offset, OpenError, PartitionKey, Parts, Segment, Store,
    StoreSettings, SystemClock, Tiering, TieringConfig, TopicId,
};
use object_store::ObjectStore;
use object_store::path::Path;
use tempfile::TempDir;

/// The object that lies beside the clusters of a prefix.
pub(crate) const FIRST_CLUSTER: &str = "first-cluster.json";

/// A clock that starts at the machine's time and moves when told.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(SystemClock.now_ms())))
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

/// A folder for manifest, cache and log files, and the settings that go with it.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) config: TieringConfig,
    pub(crate) clock: Arc<TestClock>,
    /// A store that outlives each opening; else the one that the settings name.
    pub(crate) shared: Option<Arc<dyn ObjectStore>>,
}

/// A segment with the bytes of its log.
pub(crate) struct Made {
    pub(crate) segment: Segment,
    pub(crate) parts: Parts,
    pub(crate) log: Vec<u8>,
}

pub(crate) fn key(topic: &str, partition: i32) -> PartitionKey {
    let mut id = [7; 16];
    id[..topic.len().min(16)].copy_from_slice(&topic.as_bytes()[..topic.len().min(16)]);
    PartitionKey::new(topic, TopicId::from_bytes(id), partition)
}

impl Fixture {
    pub(crate) fn with_store(folder: TempDir, store: StoreSettings) -> Self {
        let manifest = folder.path().join("manifest.db");
        let cache = folder.path().join("cache");
        let mut config = TieringConfig::new(store, "cluster-1", manifest, cache);
        config.prefix = "a/prefix".into();
        config.cache_bytes = 4 << 20;
        config.part_bytes = 5 << 20;
        Self { folder, config, clock: TestClock::new(), shared: None }
    }

    pub(crate) async fn open(&self) -> Arc<Tiering> {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<Tiering>, OpenError> {
        let (config, clock) = (self.config.clone(), self.clock.clone());
        match &self.shared {
            None => Tiering::open(config, clock).await,
            Some(_) => Tiering::open_over(config, self.store().await, clock).await,
        }
    }

    /// The store alone.
    pub(crate) async fn store(&self) -> Store {
        let settings = self.config.store.clone();
        match &self.shared {
            None => Store::open(settings).await.unwrap(),
            Some(store) => Store::over(Arc::clone(store), settings),
        }
    }

    /// The names of all objects of this fixture's cluster, without what they all begin with.
    pub(crate) async fn names(&self) -> Vec<String> {
        let store = self.store().await;
        let above = [store.url_prefix(), &self.config.prefix].join("/");
        let above = above.trim_start_matches('/');
        let (folder, mut names) = (Path::parse(above).unwrap(), Vec::new());
        let list = store.list(&folder, |object| {
            let name = object.location.as_ref().strip_prefix(above).unwrap();
            names.push(name.trim_start_matches('/').to_owned());
        });
        list.await.unwrap();
        names.retain(|name| name != FIRST_CLUSTER);
        names.sort();
        names
    }

    /// A segment of `size` bytes whose content depends on its name alone.
    pub(crate) fn make(&self, partition: &PartitionKey, base: i64, end: i64, size: usize) -> Made {
        self.make_of_epoch(partition, base, end, size, 3)
    }

    pub(crate) fn make_of_epoch(
        &self,
        partition: &PartitionKey,
        base: i64,
        end: i64,
        size: usize,
        epoch: i32,
    ) -> Made {
        let seed = (base + 1) as u64 * 1_000_003 + u64::from(partition.partition.unsigned_abs());
        let log = noise(seed, size);
        let path = self.folder.path().join(format!("{partition}-{base:020}-{end}.log"));
        std::fs::File::create(&path).unwrap().write_all(&log).unwrap();
        let epochs = vec![(LeaderEpoch::new(epoch), Offset::new(base))];
        let segment = Segment::sealed(
            partition.clone(),
            (Offset::new(base), Offset::new(end)),
            (base * 1000, end * 1000),
            size as u64,
            LeaderEpoch::new(epoch),
            epochs,
            self.clock.now_ms(),
        );
        let parts = Parts {
            log: path,
            offset_index: format!("offsets of {base}").into(),
            time_index: format!("times of {base}").into(),
            txn_index: Bytes::new(),
            producer_snapshot: format!("producers of {base}").into(),
            leader_epochs: format!("epochs of {base}").into(),
        };
        Made { segment, parts, log }
    }
}

impl Made {
    /// Sealed, recorded and uploaded.
    pub(crate) async fn upload(&self, tiering: &Tiering) -> Segment {
        tiering.record_sealed(&self.segment).await.unwrap();
        tiering.offload(&self.segment, self.parts.clone()).await.unwrap();
        tiering.find(&self.segment.partition, self.segment.base).await.unwrap().unwrap()
    }
}

/// Bytes that look random and are the same for the same seed.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| word().to_le_bytes()).collect();
    bytes.truncate(size);
    bytes
}

/// The bytes of slices, as a sender would read them.
pub(crate) fn bytes_of(slices: &[FileSlice]) -> Vec<u8> {
    let mut all = Vec::new();
    for slice in slices {
        let mut bytes = vec![0; slice.len as usize];
        slice.file.read_exact_at(&mut bytes, slice.position).unwrap();
        all.extend(bytes);
    }
    all
}

/// Reads a whole log the way a consumer does: from where the last read ended.
pub(crate) async fn read_log(tiering: &Tiering, segment: &Segment) -> Vec<u8> {
    let mut log = Vec::new();
    while (log.len() as u64) < segment.size {
        let at = log.len() as u64;
        let end = segment.size.min(at + (1 << 20));
        log.extend(bytes_of(&tiering.read(segment, at..end).await.unwrap()));
    }
    log
}

/// All files under a folder, by their path below it.
pub(crate) fn files_under(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    files.sort();
    files
}
