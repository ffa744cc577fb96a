//! Sequential readers of a distant store: how far they are read ahead of, and what it costs.
//!
//! The clock is paused: seconds of the store take no time here, and figures are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use icecore_tiering::{Offset, Pace, PartitionKey, Segment, Tiering, Verify, Wanted};
use object_store::memory::InMemory;
use tokio::time::Instant;

use crate::fixture::{Fixture, bytes_of, key};
use crate::shaped::{Shape, ShapedStore};

const MIB: u64 = 1 << 20;
const CHUNK: u64 = 256 << 10;
const SEGMENTS: i64 = 6;
const SEGMENT_BYTES: u64 = 4 * MIB - 5000;
const ROUND_TRIP: Duration = Duration::from_millis(50);

struct Distant {
    store: ShapedStore,
    fixture: Fixture,
}

impl Distant {
    /// Rates are a tenth of a usual store's, as the segments are.
    fn new() -> Self {
        let shape = Shape {
            first_byte: ROUND_TRIP,
            stream_bytes_per_second: 8e6,
            total_bytes_per_second: 40e6,
        };
        let store = ShapedStore::over(Arc::new(InMemory::new()), shape);
        let mut fixture = Fixture::over(Arc::new(store.clone()));
        fixture.config.store.verify = Some(Verify::Size);
        fixture.config.cache_bytes = 64 * MIB;
        Self { store, fixture }
    }

    /// A partition whose segments are in the store alone, with its bytes.
    async fn history(&self, tiering: &Tiering, partition: &PartitionKey) -> Vec<u8> {
        let mut log = Vec::new();
        for number in 0..SEGMENTS {
            let (base, end) = (number * 10, number * 10 + 9);
            let made = self.fixture.make(partition, base, end, SEGMENT_BYTES as usize);
            let segment = made.upload(tiering).await;
            tiering.local_gone(&segment).await.unwrap();
            log.extend(made.log);
        }
        self.store.count_anew();
        log
    }
}

async fn segment_at(tiering: &Tiering, partition: &PartitionKey, offset: i64) -> Option<Segment> {
    tiering.find(partition, Offset::new(offset)).await.unwrap()
}

/// Reads on from a segment's start as a consumer does, giving each read to `each`, until that says
/// to stop or the history ends.
async fn read_from(
    tiering: &Tiering,
    partition: &PartitionKey,
    first: i64,
    mut each: impl FnMut(Vec<u8>) -> bool,
) {
    let mut offset = first;
    while let Some(segment) = segment_at(tiering, partition, offset).await {
        let mut at = 0;
        while at < segment.size {
            let range = at..segment.size.min(at + MIB);
            let wanted = Wanted { enough: at + 1, look_from: at, range, is_search: false };
            let bytes = bytes_of(&tiering.read(&segment, wanted).await.unwrap());
            at += bytes.len() as u64;
            if !each(bytes) {
                return;
            }
        }
        offset = segment.end.get() + 1;
    }
}

async fn read_all(tiering: &Tiering, partition: &PartitionKey) -> Vec<u8> {
    let mut log = Vec::new();
    read_from(tiering, partition, 0, |bytes| {
        log.extend(bytes);
        true
    })
    .await;
    log
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_over_segment_borders_without_a_stop_and_fetches_each_byte_once() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    let log = distant.history(&tiering, &partition).await;
    let began = Instant::now();
    assert!(read_all(&tiering, &partition).await == log);
    let took = began.elapsed();
    // At the full rate of the store it takes 0.63 s. The ramp comes on top: the smallest request, of
    // 1 MiB, takes 0.18 s by itself.
    assert!(took < Duration::from_millis(1450), "{took:?}");
    let indexes = distant.store.bytes() - log.len() as u64;
    assert!(indexes < SEGMENTS as u64 * 3000, "each byte once, and the indexes: {indexes}");
    assert_eq!(distant.store.counts.lists.load(Ordering::SeqCst), 0);
    let gets = distant.store.gets();
    assert!(gets <= 3 * SEGMENTS as u64 + 8, "{gets} requests");
}

#[tokio::test(start_paused = true)]
async fn a_second_replay_after_a_restart_asks_the_store_for_nothing() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    let log = distant.history(&tiering, &partition).await;
    assert!(read_all(&tiering, &partition).await == log);
    assert!(distant.store.gets() > 0);
    tiering.close().await;
    drop(tiering);

    let tiering = distant.fixture.open().await;
    distant.store.count_anew();
    assert!(read_all(&tiering, &partition).await == log);
    assert_eq!((distant.store.gets(), distant.store.bytes()), (0, 0));
    assert_eq!(tiering.counters().wrong_chunks, 0);
}

#[tokio::test(start_paused = true)]
async fn eight_readers_of_one_history_fetch_each_byte_once() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    let log = Arc::new(distant.history(&tiering, &partition).await);
    let readers = (0..8).map(|number| {
        let (tiering, partition, log) = (tiering.clone(), partition.clone(), log.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 37)).await;
            assert!(read_all(&tiering, &partition).await == *log);
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    let beyond = distant.store.bytes() - log.len() as u64;
    assert!(beyond < SEGMENTS as u64 * 3000, "each byte once, and the indexes: {beyond}");
}

#[tokio::test(start_paused = true)]
async fn a_first_read_anywhere_takes_two_round_trips_and_two_requests() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    let log = distant.history(&tiering, &partition).await;
    for (reads, offset) in [31_i64, 5, 57].into_iter().enumerate() {
        let began = Instant::now();
        let segment = segment_at(&tiering, &partition, offset).await.unwrap();
        tiering.index(&segment).await.unwrap();
        let start = 700_000 + 1000 * reads as u64;
        let wanted = Wanted {
            range: start..start + MIB,
            enough: start + 20_000,
            look_from: start - 4000,
            is_search: false,
        };
        let bytes = bytes_of(&tiering.read(&segment, wanted.clone()).await.unwrap());
        assert!(
            began.elapsed() < ROUND_TRIP * 5 / 2 + Duration::from_millis(40),
            "{:?}",
            began.elapsed()
        );
        let from = (offset / 10) as usize * SEGMENT_BYTES as usize + start as usize;
        assert!(bytes.len() >= 20_000 && bytes == log[from..from + bytes.len()]);
        // A look back costs nothing further.
        let back = Wanted {
            range: start - 4000..start,
            enough: start,
            look_from: start - 4000,
            is_search: false,
        };
        tiering.read(&segment, back).await.unwrap();
        assert_eq!(distant.store.gets(), 2 * (reads as u64 + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_what_is_ready_and_does_not_wait_for_its_end() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    distant.history(&tiering, &partition).await;
    let segment = segment_at(&tiering, &partition, 0).await.unwrap();
    tiering.index(&segment).await.unwrap();
    let began = Instant::now();
    let wanted = Wanted { range: 0..MIB, enough: 1, look_from: 0, is_search: false };
    let given: u64 = tiering.read(&segment, wanted).await.unwrap().iter().map(|s| s.len).sum();
    assert_eq!(given, CHUNK, "the first chunk of four");
    assert!(began.elapsed() < ROUND_TRIP + Duration::from_millis(40), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_for_a_reader_that_has_left() {
    let distant = Distant::new();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    distant.history(&tiering, &partition).await;
    let mut read = 0;
    read_from(&tiering, &partition, 0, |bytes| {
        read += bytes.len() as u64;
        read < 3 * MIB
    })
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (gets, bytes) = (distant.store.gets(), distant.store.bytes());
    assert!(bytes <= 2 * read + MIB, "{bytes} fetched for {read} read");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((distant.store.gets(), distant.store.bytes()), (gets, bytes));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_readers_share_a_bounded_number_of_requests_and_all_get_through() {
    let mut distant = Distant::new();
    distant.fixture.config.downloads_max = 8;
    let tiering = distant.fixture.open().await;
    let mut segments = Vec::new();
    for partition in 0..100 {
        let made = distant.fixture.make(&key("t", partition), 0, 9, 600_000);
        segments.push((made.upload(&tiering).await, made.log));
    }
    distant.store.count_anew();
    let readers = segments.into_iter().map(|(segment, log)| {
        let tiering = tiering.clone();
        tokio::spawn(async move {
            assert!(bytes_of(&tiering.read(&segment, 0..segment.size).await.unwrap()) == log);
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    // The bodies of index objects are counted too, and those are read by their readers.
    let open = distant.store.counts.open_max.load(Ordering::SeqCst);
    assert!(open <= 100 + 8, "{open} bodies at a time");
    assert_eq!(distant.store.gets(), 200);
}

/// Counts what it admits.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

#[async_trait]
impl Pace for Tally {
    async fn admit(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn every_byte_for_a_reader_is_admitted_by_the_pace() {
    let mut distant = Distant::new();
    let tally = Arc::new(Tally::default());
    distant.fixture.config.fetch_pace = tally.clone();
    let (tiering, partition) = (distant.fixture.open().await, key("t", 0));
    let log = distant.history(&tiering, &partition).await;
    read_all(&tiering, &partition).await;
    let admitted = tally.0.load(Ordering::SeqCst);
    assert!(admitted >= log.len() as u64, "{admitted} of {}", log.len());
}
