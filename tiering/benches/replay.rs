//! How a cold history is read back from a store 50 ms away.
//!
//! The store is a folder behind a shape: 50 ms to the first byte, 80 MB/s a stream, 400 MB/s in all.
//! Time is real, bytes come from real files and go through the real cache file, and the readers read
//! every byte that they are given. What plain parallel requests to the same store bring, with no
//! engine between, is measured in the same run.
//!
//! `cargo bench -p icecore-tiering --bench replay` (or `--profile perf`, which builds faster).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use icecore_tiering::{
    LeaderEpoch, Offset, PartitionKey, Parts, Segment, Store, StoreSettings, SystemClock, Tiering,
    TieringConfig, TopicId, Verify, Wanted,
};
use object_store::ObjectStore as _;
use object_store::local::LocalFileSystem;

#[path = "../tests/tiering/shaped.rs"]
mod shaped;
use shaped::{Shape, ShapedStore};

const MIB: u64 = 1 << 20;
const GIB: f64 = 1_073_741_824.0;
const SEGMENTS: i64 = 40;
const SEGMENT_BYTES: u64 = 64 * MIB;
const FIRST_BYTE: Duration = Duration::from_millis(50);
const STREAM_RATE: f64 = 80e6;
const TOTAL_RATE: f64 = 400e6;
/// What a consumer asks for by default.
const READ_BYTES: u64 = MIB;
/// Each page of the history says where it belongs.
const STAMP_EVERY: usize = 4096;
/// Segments that all lie in the cache, and how often they are read from there.
const CACHED: i64 = 12;
const ROUNDS: usize = 5;
const RAMP: Duration = Duration::from_secs(2);

struct History {
    folder: tempfile::TempDir,
    store: ShapedStore,
    partition: PartitionKey,
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let history = History::make().await?;
        history.raw().await;
        history.one_reader().await;
        history.eight_readers().await;
        history.random_looks().await;
        history.hundred_readers().await;
        history.own_cache_and_another_ones().await
    })
}

impl History {
    async fn make() -> io::Result<Self> {
        let place = option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target");
        let folder = tempfile::tempdir_in(place)?;
        let objects = folder.path().join("store");
        std::fs::create_dir(&objects)?;
        let inner = LocalFileSystem::new_with_prefix(&objects).map_err(io::Error::other)?;
        let shape = Shape {
            first_byte: FIRST_BYTE,
            stream_bytes_per_second: STREAM_RATE,
            total_bytes_per_second: TOTAL_RATE,
        };
        let store = ShapedStore::over(Arc::new(inner), shape);
        let partition = PartitionKey::new("history", TopicId::from_bytes([7; 16]), 0);
        let history = Self { folder, store, partition };
        let tiering = history.open("upload", 1 << 30).await;
        for number in 0..SEGMENTS {
            history.upload(&tiering, number).await?;
        }
        tiering.close().await;
        println!("history: {SEGMENTS} segments of {} MiB", SEGMENT_BYTES / MIB);
        Ok(history)
    }

    /// The crate over the store, with an empty cache.
    async fn open(&self, cache: &str, cache_bytes: u64) -> Arc<Tiering> {
        self.open_with("manifest.db", cache, cache_bytes).await
    }

    async fn open_with(&self, manifest: &str, cache: &str, cache_bytes: u64) -> Arc<Tiering> {
        let mut settings = StoreSettings::new("memory://");
        settings.verify = Some(Verify::Size);
        let (manifest, cache) = (self.folder.path().join(manifest), self.folder.path().join(cache));
        let mut config = TieringConfig::new(settings.clone(), "bench", manifest, cache);
        config.cache_bytes = cache_bytes;
        config.part_bytes = 64 << 20;
        let store = Store::over(Arc::new(self.store.clone()), settings);
        let opened = Tiering::open_over(config, store, Arc::new(SystemClock)).await;
        let opened = opened.expect("the bench's own store opens");
        self.store.count_anew();
        opened
    }

    async fn upload(&self, tiering: &Tiering, number: i64) -> io::Result<()> {
        let path = self.folder.path().join("segment.log");
        write_log(&path, number)?;
        let (base, end) = (Offset::new(number * 1000), Offset::new(number * 1000 + 999));
        let epoch = LeaderEpoch::new(1);
        let segment = Segment::sealed(
            self.partition.clone(),
            (base, end),
            (0, 0),
            SEGMENT_BYTES,
            epoch,
            vec![(epoch, base)],
            0,
        );
        // As large as the indexes of such a segment are: an entry for each 4 KiB.
        let entries = (SEGMENT_BYTES / 4096) as usize;
        let parts = Parts {
            log: path,
            offset_index: vec![0; entries * 8].into(),
            time_index: vec![0; entries * 12].into(),
            txn_index: Bytes::new(),
            producer_snapshot: Bytes::new(),
            leader_epochs: Bytes::new(),
        };
        tiering.record_sealed(&segment).await.map_err(io::Error::other)?;
        tiering.offload(&segment, parts).await.map_err(io::Error::other)?;
        tiering.local_gone(&segment).await.map_err(io::Error::other)
    }

    /// Plain requests of 32 MiB, eight at a time.
    async fn raw(&self) {
        let tiering = self.open("raw", 1 << 30).await;
        let mut ranges = Vec::new();
        for number in 0..SEGMENTS {
            let segment = find(&tiering, &self.partition, number * 1000).await;
            let name = tiering.object_name(&segment, icecore_tiering::ObjectPart::Log);
            for half in 0..2 {
                ranges.push((name.clone(), half * 32 * MIB..(half + 1) * 32 * MIB));
            }
        }
        let began = Instant::now();
        let requests = ranges.into_iter().map(|(name, range)| async move {
            let name = object_store::path::Path::from(name);
            let options = object_store::GetOptions::new().with_range(Some(range));
            let mut body = self.store.get_opts(&name, options).await.expect("there").into_stream();
            while let Some(piece) = body.next().await {
                drop(piece.expect("whole"));
            }
        });
        futures::stream::iter(requests).buffer_unordered(8).collect::<Vec<()>>().await;
        let rate = (SEGMENTS as u64 * SEGMENT_BYTES) as f64 / began.elapsed().as_secs_f64();
        println!("eight plain requests at a time: {:.0} MB/s", rate / 1e6);
        tiering.close().await;
    }

    async fn one_reader(&self) {
        let tiering = self.open("one", 1 << 30).await;
        let (began, cpu) = (Instant::now(), cpu_seconds());
        let mut ramp = 0;
        let total = read_all(&tiering, &self.partition, |total| {
            if began.elapsed() <= RAMP {
                ramp = total;
            }
        })
        .await;
        let took = began.elapsed();
        let steady = (total - ramp) as f64 / (took - RAMP).as_secs_f64();
        let gib = total as f64 / GIB;
        println!("one reader, {gib:.2} GiB:");
        println!("  first {} s: {:.0} MB/s", RAMP.as_secs(), ramp as f64 / 2e6);
        println!(
            "  after: {:.0} MB/s = {:.1} % of the store (goal: at least 85)",
            steady / 1e6,
            steady / TOTAL_RATE * 100.0
        );
        println!(
            "  requests: {:.1} a GiB (goal: at most 64), lists: {} (goal: 0)",
            self.store.gets() as f64 / gib,
            self.lists()
        );
        println!("  fetched / served: {:.4}", self.store.bytes() as f64 / total as f64);
        println!("  CPU of store, engine and reader: {:.2} s a GiB", (cpu_seconds() - cpu) / gib);
        tiering.close().await;
    }

    async fn eight_readers(&self) {
        let tiering = self.open("eight", 1 << 30).await;
        let began = Instant::now();
        let readers = (0..8).map(|number| {
            let (tiering, partition) = (tiering.clone(), self.partition.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(number * 37)).await;
                read_all(&tiering, &partition, |_| {}).await
            })
        });
        let read = join_all(readers).await;
        let slowest = read.into_iter().map(|read| read.expect("a reader ends")).min().unwrap_or(0);
        println!("eight readers of the same history at once:");
        println!(
            "  fetched / served to the slowest: {:.4} (goal: at most 1.05)",
            self.store.bytes() as f64 / slowest as f64
        );
        let rate = slowest as f64 / began.elapsed().as_secs_f64();
        println!("  the slowest: {:.0} MB/s with its ramp", rate / 1e6);
        tiering.close().await;
    }

    async fn random_looks(&self) {
        let tiering = self.open("random", 1 << 30).await;
        let mut times = Vec::new();
        let mut gets_max = 0;
        for look in 0..SEGMENTS {
            // Every segment once, in an order of its own; each index is cold.
            let number = look * 17 % SEGMENTS;
            let gets = self.store.gets();
            let began = Instant::now();
            let segment = find(&tiering, &self.partition, number * 1000 + 500).await;
            let index = tiering.index(&segment).await.expect("an index");
            drop(index);
            let start = (number as u64 * 1_234_567) % (SEGMENT_BYTES - 2 * MIB);
            let wanted = Wanted {
                range: start..start + MIB + (64 << 10),
                enough: start + (16 << 10),
                look_from: start.saturating_sub(8 << 10),
                is_search: false,
            };
            tiering.read(&segment, wanted).await.expect("a read");
            times.push(began.elapsed());
            gets_max = gets_max.max(self.store.gets() - gets);
        }
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64();
        let trips = |seconds: f64| seconds / FIRST_BYTE.as_secs_f64();
        println!(
            "{} first reads at cold random places (goal: at most 2.5 round trips):",
            times.len()
        );
        for share in [50, 90, 100] {
            println!("  p{share}: {:.1} ms = {:.2} round trips", at(share) * 1e3, trips(at(share)));
        }
        println!("  requests, at most: {gets_max}");
        println!(
            "  fetched a look: {:.0} KiB",
            self.store.bytes() as f64 / times.len() as f64 / 1024.0
        );
        tiering.close().await;
    }

    /// A hundred readers at different places of the history, for some seconds.
    async fn hundred_readers(&self) {
        let tiering = self.open("hundred", 1 << 30).await;
        let before = resident_bytes();
        let until = Instant::now() + Duration::from_secs(10);
        let peak = Arc::new(AtomicU64::new(0));
        let readers = (0..100).map(|number| {
            let (tiering, partition, peak) =
                (tiering.clone(), self.partition.clone(), peak.clone());
            tokio::spawn(async move {
                let segment = find(&tiering, &partition, number % SEGMENTS * 1000).await;
                let mut at = number as u64 * 600_000 % (SEGMENT_BYTES / 2);
                let began = at;
                while Instant::now() < until && at < segment.size {
                    at += read_once(&tiering, &segment, at).await;
                    peak.fetch_max(resident_bytes(), Ordering::Relaxed);
                }
                at - began
            })
        });
        let read: u64 =
            join_all(readers).await.into_iter().map(|r| r.expect("a reader ends")).sum();
        let grown = peak.load(Ordering::Relaxed).saturating_sub(before) as f64 / MIB as f64;
        println!("a hundred readers at different places:");
        println!("  memory: {grown:.0} MiB more than before, at most");
        println!(
            "  bodies open at a time, at most: {}",
            self.store.counts.open_max.load(Ordering::SeqCst)
        );
        println!(
            "  served: {:.2} GiB, fetched: {:.2} GiB",
            read as f64 / GIB,
            self.store.bytes() as f64 / GIB
        );
        tiering.close().await;
    }

    /// What lies in the cache, read by its owner and, in turns, by a guest of it.
    async fn own_cache_and_another_ones(&self) -> io::Result<()> {
        let manifest = self.folder.path().join("manifest.db");
        std::fs::copy(manifest, self.folder.path().join("guest.db"))?;
        let owner = self.open("shared", 1 << 30).await;
        let guest = self.open_with("guest.db", "shared", 1 << 30).await;
        assert!(!owner.is_cache_guest() && guest.is_cache_guest());
        read_some(&owner, &self.partition, CACHED, |_| {}).await;
        let gets = self.store.gets();
        let mut took = [(); 2].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            for (took, reader) in took.iter_mut().zip([&owner, &guest]) {
                let (began, cpu) = (Instant::now(), cpu_seconds());
                let read = read_some(reader, &self.partition, CACHED, |_| {}).await as f64;
                let rate = read / began.elapsed().as_secs_f64();
                took.push((rate / 1e6, (cpu_seconds() - cpu) / (read / GIB)));
            }
        }
        println!(
            "what lies in the cache, {} MiB, {ROUNDS} times:",
            CACHED as u64 * SEGMENT_BYTES / MIB
        );
        for (who, mut took) in ["its owner", "a guest"].into_iter().zip(took) {
            took.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (slowest, median, fastest) = (took[0].0, took[ROUNDS / 2], took[ROUNDS - 1].0);
            println!(
                "  {who}: {:.0} MB/s ({slowest:.0} to {fastest:.0}), CPU of all: {:.2} s a GiB",
                median.0, median.1
            );
        }
        let counted = guest.counters();
        println!("  requests to the store: {}", self.store.gets() - gets);
        println!("  lent: {}, fallbacks: {}", counted.shared_hits, counted.guest_fallbacks);
        guest.close().await;
        owner.close().await;
        Ok(())
    }

    fn lists(&self) -> u64 {
        self.store.counts.lists.load(Ordering::SeqCst)
    }
}

async fn find(tiering: &Tiering, partition: &PartitionKey, offset: i64) -> Segment {
    let found = tiering.find(partition, Offset::new(offset)).await.expect("the manifest");
    found.expect("the segment")
}

/// The whole history from its start, as fast as it comes; `each` is told how much was read.
async fn read_all(tiering: &Tiering, partition: &PartitionKey, each: impl FnMut(u64)) -> u64 {
    read_some(tiering, partition, SEGMENTS, each).await
}

/// The first segments of the history.
async fn read_some(
    tiering: &Tiering,
    partition: &PartitionKey,
    segments: i64,
    mut each: impl FnMut(u64),
) -> u64 {
    let mut total = 0;
    for number in 0..segments {
        let segment = find(tiering, partition, number * 1000).await;
        let mut at = 0;
        while at < segment.size {
            let read = read_once(tiering, &segment, at).await;
            at += read;
            total += read;
            each(total);
        }
    }
    total
}

/// One read as a fetch makes it, with its index look-up; reads the bytes and looks at the stamps.
async fn read_once(tiering: &Tiering, segment: &Segment, at: u64) -> u64 {
    tiering.index(segment).await.expect("an index");
    let range = at..segment.size.min(at + READ_BYTES);
    let wanted = Wanted { enough: at + 1, look_from: at, range, is_search: false };
    let slices = tiering.read(segment, wanted).await.expect("a read");
    let mut bytes = vec![0; READ_BYTES as usize];
    let mut position = at;
    for slice in slices {
        let bytes = &mut bytes[..slice.len as usize];
        slice.file.read_exact_at(bytes, slice.position).expect("a slice");
        let stamp = stamp(segment.base.get() / 1000, position);
        assert!(
            !position.is_multiple_of(STAMP_EVERY as u64) || bytes[..16] == stamp,
            "other bytes"
        );
        position += slice.len;
    }
    position - at
}

fn stamp(segment: i64, position: u64) -> [u8; 16] {
    let mut stamp = [0; 16];
    stamp[..8].copy_from_slice(&segment.to_be_bytes());
    stamp[8..].copy_from_slice(&position.to_be_bytes());
    stamp
}

fn write_log(path: &Path, segment: i64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut block = vec![0x5a; MIB as usize];
    for first in (0..SEGMENT_BYTES).step_by(MIB as usize) {
        for at in (0..block.len()).step_by(STAMP_EVERY) {
            block[at..at + 16].copy_from_slice(&stamp(segment, first + at as u64));
        }
        file.write_all(&block)?;
    }
    Ok(())
}

/// What the process holds in memory; page cache not counted.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor time of the process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses, the 12th and 13th fields, in ticks of 10 ms.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
