//! What a reader notices of the cache.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::fixture_test::{Opened, bytes_of, content, key, settings};
use super::{CHUNK_BYTES, CacheClass, CacheFull, CacheOpenError, CacheSettings, Lookup};
use crate::clock::Clock;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_chunk_stays_while_others_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 4);
    let held = opened.fill(1).await.unwrap();
    for chunk in 2..20 {
        assert!(bytes_of(&opened.fill(chunk).await.unwrap()) == content(&key(chunk)));
    }
    assert!(bytes_of(&held) == content(&key(1)));
    assert_eq!(opened.which(0..20).await, [1, 17, 18, 19]);
    let counted = opened.counters();
    assert_eq!((counted.chunk_fills, counted.chunk_misses), (19, 19));
    assert_eq!((counted.chunk_evictions, counted.chunk_hits), (15, 4));
    let held: usize = [1, 17, 18, 19].map(|chunk| content(&key(chunk)).len()).iter().sum();
    assert_eq!(opened.cache.held_bytes(), held as u64);
}

#[tokio::test]
async fn when_every_slot_is_held_a_download_waits_and_then_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 4);
    let mut pins = Vec::new();
    for chunk in 0..4 {
        pins.push(opened.fill(chunk).await.unwrap());
    }
    tokio::time::pause();
    assert_eq!(opened.cache.reserve().await.err(), Some(CacheFull));
    let waiting = tokio::spawn({
        let cache = Arc::clone(&opened.cache);
        async move { cache.reserve().await.is_ok() }
    });
    tokio::task::yield_now().await;
    pins.clear();
    assert!(waiting.await.unwrap());
    assert!(opened.cache.reserve().await.is_ok(), "a slot that is not filled is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_filled_is_there_after_a_restart_and_compared_once() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 8);
    for chunk in 0..8 {
        opened.fill(chunk).await.unwrap();
    }
    drop(opened);
    let opened = Opened::new(folder.path(), 8);
    assert!(matches!(opened.cache.get(&key(3), CacheClass::Normal), Lookup::Unchecked(_)));
    assert_eq!(opened.which(0..9).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(matches!(opened.cache.get(&key(3), CacheClass::Normal), Lookup::Ready(_)));
    let counted = opened.counters();
    assert_eq!((counted.wrong_chunks, counted.chunk_hits), (0, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_keeps_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 8);
    for chunk in 0..8 {
        opened.fill(chunk).await.unwrap();
    }
    drop(opened);
    let opened = Opened::new(folder.path(), 5);
    assert_eq!(opened.which(0..8).await, [0, 1, 2, 3, 4]);
    let sizes = ["slab-0000", "index"].map(|name| folder.path().join(name).metadata().unwrap());
    assert_eq!(sizes.map(|size| size.len()), [5 * CHUNK_BYTES, 4096 + 5 * 40]);
    drop(opened);
    let opened = Opened::new(folder.path(), 20);
    assert_eq!(opened.cache.slots(), 20);
    assert_eq!(opened.which(0..8).await, [0, 1, 2, 3, 4], "nothing of the room that was given up");
    for chunk in 10..25 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(opened.which(0..30).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_after_a_while_outlives_a_restart_and_a_scan() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(1_000_000)));
    let open = || {
        let clock = Arc::clone(&clock);
        Opened::with(CacheSettings { clock, ..settings(folder.path(), 8) }).unwrap()
    };
    let opened = open();
    for chunk in 0..8 {
        opened.fill(chunk).await.unwrap();
    }
    // Chunks 1 and 2 are used twice, chunk 2 within a moment; chunk 3 is used once.
    assert_eq!(opened.which(1..4).await, [1, 2, 3]);
    clock.0.fetch_add(29_000, Ordering::SeqCst);
    assert!(opened.has(2).await);
    clock.0.fetch_add(1_000, Ordering::SeqCst);
    assert!(opened.has(1).await);
    drop(opened);
    let opened = open();
    for chunk in 10..50 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(opened.which(0..10).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_cache_and_a_second_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 4);
    let pin = opened.fill(1).await.unwrap();
    let second = CacheSettings { claim_wait: Duration::ZERO, ..settings(folder.path(), 4) };
    let error = Opened::with(second).err().unwrap();
    assert!(matches!(error, CacheOpenError::InUse(_)));
    assert!(error.to_string().contains("in use by another icecore"), "{error}");
    drop(opened);
    let second = CacheSettings { claim_wait: Duration::ZERO, ..settings(folder.path(), 4) };
    assert!(Opened::with(second).is_err(), "a reader still reads from the files");
    drop(pin);
    assert_eq!(Opened::new(folder.path(), 4).which(0..4).await, [1]);
}

#[test]
fn a_size_out_of_bounds_and_a_disk_that_is_too_small_are_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let of = |chunks| Opened::with(settings(folder.path(), chunks)).err().unwrap().to_string();
    assert_eq!(of(3), "cache.bytes is 786432: use 1 MiB to 512 TiB");
    let told = of(1 << 28);
    assert!(
        told.starts_with("there is no room for a read cache of 70368744177664 bytes"),
        "{told}"
    );
    assert!(!folder.path().join("slab-0000").exists(), "nothing was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_no_length_or_too_much_is_refused_and_its_slot_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Opened::new(folder.path(), 4);
    for len in [0, CHUNK_BYTES as usize + 1] {
        let slot = opened.cache.reserve().await.unwrap();
        assert!(slot.fill(key(1), CacheClass::Normal, vec![0; len].into()).await.is_err());
    }
    for chunk in 0..4 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(opened.counters().chunk_evictions, 0);
}

/// What `sendfile` gave to a socket lies in the pages of the file until it is sent.
async fn sends_what_it_had(folder: &Path) {
    let opened = Opened::new(folder, 4);
    let pins = [0, 4, 8, 12].map(|chunk| opened.fill(chunk));
    let pins = futures::future::try_join_all(pins).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    server.set_nonblocking(true).unwrap();
    let mut at = pins[0].position();
    let sent = rustix::fs::sendfile(&server, pins[0].file(), Some(&mut at), 65536).unwrap();
    // Nobody holds the slot any more, and the client has read nothing yet.
    drop(pins);
    for chunk in [16, 20, 24, 28] {
        drop(opened.fill(chunk).await.unwrap());
    }
    assert!(!opened.has(0).await, "its slot is another chunk's");
    let mut bytes = vec![0; sent];
    client.read_exact(&mut bytes).unwrap();
    assert!(sent > 0 && bytes == content(&key(0))[..sent], "{}", folder.display());
}

#[tokio::test]
async fn what_is_on_its_way_to_a_client_does_not_change_when_its_slot_is_used_again() {
    let (disk, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm"));
    sends_what_it_had(disk.path()).await;
    sends_what_it_had(memory.unwrap_or(disk).path()).await;
}
