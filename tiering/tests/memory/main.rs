//! A hundred replays at once, in a process of its own whose memory is watched: it stays within what
//! the settings allow, however many readers there are.
//!
//! The store is a folder that answers as a distant store does, so that its objects are in the page
//! cache and not in the process. Each reader has a partition to itself, nothing is shared, and the
//! indexes together are far larger than the memory that they are given.

#[path = "../tiering/shaped.rs"]
#[cfg(test)]
mod shaped;

#[cfg(test)]
mod memory {
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use icecore_tiering::{
        LeaderEpoch, Offset, PartitionKey, Parts, Segment, Store, StoreSettings, SystemClock,
        Tiering, TieringConfig, TopicId, Verify, Wanted,
    };
    use object_store::local::LocalFileSystem;
    use tokio::time::Instant;

    use super::shaped::{Shape, ShapedStore};

    const MIB: u64 = 1 << 20;
    const READERS: i32 = 100;
    const SEGMENT_BYTES: u64 = 8 * MIB;
    /// Of a segment of 400 MiB with an entry for each 4 KiB: 20 bytes for each.
    const INDEX_BYTES: usize = 2 << 20;
    const INDEX_CACHE_BYTES: usize = 16 << 20;
    const DOWNLOADS_MAX: usize = 16;
    /// Index objects that are fetched at a time.
    const INDEX_ROOM_BYTES: u64 = 16 * MIB;
    /// Threads, their allocator's spare memory, SQLite, and this test itself.
    const REST_BYTES: u64 = 48 * MIB;

    /// Anonymous memory of the process: page cache does not count.
    fn resident_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
        let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number");
        kib * 1024
    }

    async fn open(folder: &Path, cache: &str, store: &ShapedStore) -> Arc<Tiering> {
        let mut settings = StoreSettings::new("memory://");
        settings.verify = Some(Verify::Size);
        let (manifest, cache) = (folder.join("manifest.db"), folder.join(cache));
        let mut config = TieringConfig::new(settings.clone(), "memory", manifest, cache);
        config.cache_bytes = 512 * MIB;
        config.index_cache_bytes = INDEX_CACHE_BYTES;
        config.downloads_max = DOWNLOADS_MAX;
        let store = Store::over(Arc::new(store.clone()), settings);
        Tiering::open_over(config, store, Arc::new(SystemClock)).await.expect("it opens")
    }

    fn partition(number: i32) -> PartitionKey {
        PartitionKey::new("t", TopicId::from_bytes([7; 16]), number)
    }

    async fn upload(tiering: &Tiering, log: &Path, number: i32) {
        let (base, end) = (Offset::new(0), Offset::new(999));
        let epoch = LeaderEpoch::new(1);
        let segment = Segment::sealed(
            partition(number),
            (base, end),
            (0, 0),
            SEGMENT_BYTES,
            epoch,
            vec![(epoch, base)],
            0,
        );
        let parts = Parts {
            log: log.to_owned(),
            offset_index: vec![0; INDEX_BYTES].into(),
            time_index: Default::default(),
            txn_index: Default::default(),
            producer_snapshot: Default::default(),
            leader_epochs: Default::default(),
        };
        tiering.record_sealed(&segment).await.expect("a row");
        tiering.offload(&segment, parts).await.expect("an upload");
        tiering.local_gone(&segment).await.expect("a row");
    }

    /// Reads a partition from its start for some time, and again from its start when it is through.
    async fn replay(tiering: Arc<Tiering>, number: i32, until: Instant) -> u64 {
        let found = tiering.find(&partition(number), Offset::new(0)).await.expect("the manifest");
        let segment = found.expect("the segment");
        let (mut at, mut total) = (0, 0);
        while Instant::now() < until {
            tiering.index(&segment).await.expect("an index");
            let range = at..segment.size.min(at + MIB);
            let wanted = Wanted { enough: at + 1, look_from: at, range, is_search: false };
            let slices = tiering.read(&segment, wanted).await.expect("a read");
            let read: u64 = slices.iter().map(|slice| slice.len).sum();
            total += read;
            at = (at + read) % segment.size;
        }
        total
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_replays_at_once_hold_no_more_memory_than_the_settings_allow() {
        let folder = tempfile::tempdir().expect("dir");
        let objects = folder.path().join("store");
        std::fs::create_dir(&objects).expect("dir");
        let inner = LocalFileSystem::new_with_prefix(&objects).expect("a folder");
        let shape = Shape {
            first_byte: Duration::from_millis(20),
            stream_bytes_per_second: 80e6,
            total_bytes_per_second: 400e6,
        };
        let store = ShapedStore::over(Arc::new(inner), shape);
        let log = folder.path().join("t.log");
        File::create(&log).expect("a file").set_len(SEGMENT_BYTES).expect("room");
        let tiering = open(folder.path(), "upload", &store).await;
        for number in 0..READERS {
            upload(&tiering, &log, number).await;
        }
        tiering.close().await;
        drop(tiering);

        let tiering = open(folder.path(), "cache", &store).await;
        store.count_anew();
        let (before, until) = (resident_bytes(), Instant::now() + Duration::from_secs(6));
        let readers =
            (0..READERS).map(|number| tokio::spawn(replay(tiering.clone(), number, until)));
        let readers: Vec<_> = readers.collect();
        let mut peak = 0;
        while Instant::now() < until {
            peak = peak.max(resident_bytes());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut read = Vec::new();
        for reader in readers {
            read.push(reader.await.expect("a reader ends"));
        }
        // An index is in memory twice while it is fetched: as it came, and on its way to the disk.
        let indexes = INDEX_CACHE_BYTES as u64 + 2 * INDEX_ROOM_BYTES;
        let chunks = 2 * DOWNLOADS_MAX as u64 * (256 << 10);
        let allowed = indexes + chunks + REST_BYTES;
        let grown = peak.saturating_sub(before);
        println!(
            "{READERS} replays at once: {} MiB more than before, {} MiB allowed; read {} MiB, fetched \
             {} MiB in {} requests",
            grown / MIB,
            allowed / MIB,
            read.iter().sum::<u64>() / MIB,
            store.bytes() / MIB,
            store.gets()
        );
        assert!(read.iter().all(|read| *read > 0), "each gets on: {read:?}");
        assert!(grown <= allowed, "{grown} bytes more than before, {allowed} allowed");
    }
}
