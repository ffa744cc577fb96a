//! A read cache that cannot be had: the start is refused, with words.

use std::path::Path;

use crate::broker::{Running, bound};
use crate::log_lines::line_with;

/// A broker whose store is not on this disk, so that it needs a cache.
async fn cached(data_dir: &Path, cache_dir: &Path, cache_bytes: &str) -> Running {
    let cache_dir = cache_dir.to_str().expect("text");
    let settings = [("cache.dir", cache_dir), ("cache.bytes", cache_bytes)];
    bound(data_dir, Some("memory://"), &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_folder_of_another_broker_is_shared_with_it() {
    let dir = tempfile::tempdir().expect("dir");
    let cache_dir = dir.path().join("cache");
    let first = cached(&dir.path().join("first"), &cache_dir, "16777216").await;
    first.ready().await;
    let (code, page) = first.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(page.contains("icecore_cache_wrong_chunks_total 0"), "{page}");
    let second = cached(&dir.path().join("second"), &cache_dir, "16777216").await;
    second.ready().await;
    let folder = cache_dir.to_str().expect("text");
    line_with(&[folder, "this process is a guest of the read cache"]).await;
    let shows = async |broker: &Running, line: &str| {
        broker.until(line, async || broker.get("/metrics").await.1.contains(line)).await;
    };
    shows(&first, "icecore_cache_guests 1").await;
    shows(&second, "icecore_cache_is_guest 1").await;
    first.stop().await;
    shows(&second, "icecore_cache_is_guest 0").await;
    second.ready().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_folder_of_a_process_that_does_not_share_it_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    let cache_dir = dir.path().join("cache");
    std::fs::create_dir(&cache_dir).expect("a folder");
    let lock = std::fs::File::create(cache_dir.join("lock")).expect("a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let broker = cached(&dir.path().join("data"), &cache_dir, "16777216").await;
    let told = broker.start_error().await.to_string();
    assert!(told.contains("in use by another icecore that does not share it"), "{told}");
    assert!(told.contains("cache.dir"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_cache_that_the_disk_has_no_room_for_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    let tebibytes = (64_u64 << 40).to_string();
    let broker = cached(&dir.path().join("data"), &dir.path().join("cache"), &tebibytes).await;
    let told = broker.start_error().await.to_string();
    assert!(told.contains("no room for a read cache of 70368744177664 bytes"), "{told}");
    assert!(!dir.path().join("cache/slab-0000").exists(), "nothing is taken");
}
