//! A read cache that cannot be had: the start is refused, with words.

use std::path::Path;

use crate::broker::{Running, bound};

/// A broker whose store is not on this disk, so that it needs a cache.
async fn cached(data_dir: &Path, cache_dir: &Path, cache_bytes: &str) -> Running {
    let cache_dir = cache_dir.to_str().expect("text");
    let settings = [("cache.dir", cache_dir), ("cache.bytes", cache_bytes)];
    bound(data_dir, Some("memory://"), &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_folder_of_another_broker_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    let cache_dir = dir.path().join("cache");
    let first = cached(&dir.path().join("first"), &cache_dir, "16777216").await;
    first.ready().await;
    let (code, page) = first.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(page.contains("icecore_cache_wrong_chunks_total 0"), "{page}");
    let second = cached(&dir.path().join("second"), &cache_dir, "16777216").await;
    let told = second.start_error().await.to_string();
    assert!(told.contains("in use by another icecore"), "{told}");
    assert!(told.contains("cache.dir"), "{told}");
    first.ready().await;
    first.stop().await;
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
