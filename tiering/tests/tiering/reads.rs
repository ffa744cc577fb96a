//! Remote reads: bounded, shared, verified.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use icecore_tiering::{Offset, ReadError};

use crate::bad_store::{BadStore, Call, Fault};
use crate::fixture::{bytes_of, key, read_log};

/// What the cache keeps as one.
const CHUNK: u64 = 256 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_one_chunk_cost_one_request() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.read_ahead_bytes_max = 0;
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 700_000);
    let segment = made.upload(&tiering).await;
    tiering.index(&segment).await.unwrap();
    let gets = tiering.counters().gets;
    let readers: Vec<_> = (0..32)
        .map(|_| {
            let (tiering, segment) = (tiering.clone(), segment.clone());
            tokio::spawn(async move { tiering.read(&segment, 1000..200_000).await.unwrap() })
        })
        .collect();
    for reader in readers {
        assert_eq!(bytes_of(&reader.await.unwrap()), made.log[1000..200_000]);
    }
    assert_eq!(tiering.counters().gets - gets, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequential_replay_downloads_each_byte_once() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 3_000_000);
    let segment = made.upload(&tiering).await;
    tiering.index(&segment).await.unwrap();
    let before = tiering.counters();
    assert!(read_log(&tiering, &segment).await == made.log);
    let after = tiering.counters();
    assert_eq!(after.fetched_bytes - before.fetched_bytes, 3_000_000);
    assert!(after.gets - before.gets <= 5, "{} requests", after.gets - before.gets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_smaller_than_the_log_serves_all_of_it_and_stays_within_its_file() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.cache_bytes = 4 * CHUNK;
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 5_000_000);
    let segment = made.upload(&tiering).await;
    for _ in 0..2 {
        assert!(read_log(&tiering, &segment).await == made.log);
    }
    let slab = fixture.config.cache_dir.join("slab-0000");
    assert_eq!(std::fs::metadata(slab).unwrap().len(), fixture.config.cache_bytes);
    let cut = tiering.read(&segment, 0..segment.size).await.unwrap();
    let given: u64 = cut.iter().map(|slice| slice.len).sum();
    assert_eq!(given, 2 * CHUNK, "a read takes half of the slots at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_is_held_keeps_its_bytes_while_the_cache_turns_over() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.cache_bytes = 4 * CHUNK;
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 5_000_000);
    let segment = made.upload(&tiering).await;
    let held = tiering.read(&segment, 0..100_000).await.unwrap();
    assert!(read_log(&tiering, &segment).await == made.log);
    assert_eq!(bytes_of(&held), made.log[..100_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_gives_up_leaves_the_download_to_the_next_one() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.read_ahead_bytes_max = 0;
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 200_000);
    let segment = made.upload(&tiering).await;
    tiering.index(&segment).await.unwrap();
    let gets = tiering.counters().gets;
    // Polled once, which starts the download, and dropped.
    let mut abandoned = Box::pin(tiering.read(&segment, 0..10));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    assert_eq!(bytes_of(&tiering.read(&segment, 0..10).await.unwrap()), made.log[..10]);
    assert_eq!(tiering.counters().gets - gets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_meets_the_deadline_and_serves_again_when_it_is_back() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.read_timeout = Duration::from_secs(3);
    fixture.config.store.call_timeout = Duration::from_secs(5);
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 200_000);
    let segment = made.upload(&tiering).await;
    tiering.index(&segment).await.unwrap();
    store.order(Call::Get, ".log", Fault::Hang, 1);
    let began = tokio::time::Instant::now();
    let error = tiering.read(&segment, 0..10).await.unwrap_err();
    assert!(matches!(error, ReadError::TimedOut(_)), "{error}");
    assert_eq!(began.elapsed().as_secs(), 3);
    // The download still hangs; its own deadline ends it, and the next read starts another.
    let error = tiering.read(&segment, 0..10).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    assert_eq!(tiering.counters().timeouts, 1);
    // The cache's threads run in real time.
    tokio::time::resume();
    assert_eq!(bytes_of(&tiering.read(&segment, 0..10).await.unwrap()), made.log[..10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_a_restart_is_served_without_the_store() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let made = fixture.make(&key("t", 0), 0, 9, 3_000_000);
    let tiering = fixture.open().await;
    let segment = made.upload(&tiering).await;
    assert!(read_log(&tiering, &segment).await == made.log);
    assert_eq!(tiering.cache_held_bytes(), 3_000_000);
    drop(tiering);
    let tiering = fixture.open().await;
    assert_eq!(tiering.cache_held_bytes(), 3_000_000);
    tiering.index(&segment).await.unwrap();
    let gets = tiering.counters().gets;
    assert!(read_log(&tiering, &segment).await == made.log);
    let counted = tiering.counters();
    assert_eq!((counted.gets - gets, counted.wrong_chunks), (0, 0));
    assert_eq!(counted.chunk_misses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_was_damaged_between_two_runs_costs_a_download() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let made = fixture.make(&key("t", 0), 0, 9, 3_000_000);
    let tiering = fixture.open().await;
    let segment = made.upload(&tiering).await;
    assert!(read_log(&tiering, &segment).await == made.log);
    drop(tiering);
    let slab = fixture.config.cache_dir.join("slab-0000");
    let file = std::fs::File::options().write(true).open(slab).unwrap();
    file.write_all_at(&[0xff; 4096], 5 * CHUNK).unwrap();
    let tiering = fixture.open().await;
    assert!(read_log(&tiering, &segment).await == made.log);
    let counted = tiering.counters();
    assert_eq!((counted.wrong_chunks, counted.chunk_misses), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_after_a_change_never_gives_the_row_before_it() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let partition = key("t", 0);
    let segment = fixture.make(&partition, 0, 9, 1000).upload(&tiering).await;
    let _cached = tiering.find(&partition, Offset::new(3)).await.unwrap();
    tiering.local_gone(&segment).await.unwrap();
    let again = tiering.record_sealed(&segment).await;
    assert!(matches!(again, Err(icecore_tiering::ManifestError::GivenUp { .. })), "{again:?}");
    let found = tiering.find(&partition, Offset::new(3)).await.unwrap().unwrap();
    assert_eq!(found.local, icecore_tiering::LocalState::Gone);
    tiering.delete_partition(&partition).await.unwrap();
    assert_eq!(tiering.find(&partition, Offset::new(3)).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_has_no_room_in_memory_is_fetched_once_all_the_same() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.cache_bytes = 64 * CHUNK;
    fixture.config.index_cache_bytes = 1;
    let tiering = fixture.open().await;
    let mut segments = Vec::new();
    for partition in 0..4 {
        segments.push(fixture.make(&key("t", partition), 0, 9, 1000).upload(&tiering).await);
    }
    let gets = tiering.counters().gets;
    for _ in 0..3 {
        for segment in &segments {
            let index = tiering.index(segment).await.unwrap();
            assert_eq!(index.header.segment_id, segment.segment_id);
            // Time passes only when nothing is left to do, such as to write the cache.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(tiering.counters().gets - gets, 4);
}
