//! Tiering against real and misbehaving stores, and against crashes at every step.

#[cfg(test)]
mod bad_store;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod death;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod place;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod shaped;
#[cfg(test)]
mod stores;

use std::sync::Arc;

use fixture::Fixture;
use icecore_tiering::{OpenError, Store, StoreSettings, Tiering};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_serves_expires_rebuilds_and_forgets_segments() {
    let fixture = Fixture::new("folder://");
    conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(&fixture).await;
    let left = fixture::files_under(&fixture.folder.path().join("store"));
    assert_eq!(left, ["a/prefix/cluster-1/meta/marker.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_collects_what_torn_uploads_left() {
    let mut fixture = Fixture::new("folder://");
    conformance::what_torn_uploads_left_is_collected(&mut fixture).await;
    let left = fixture::files_under(&fixture.folder.path().join("store"));
    assert_eq!(left, ["a/prefix/cluster-1/meta/marker.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_serves_expires_rebuilds_and_forgets_segments() {
    let fixture = bad_store::BadStore::new().fixture();
    conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(&fixture).await;
}

#[cfg(test)]
mod calls_of_memory {
    use super::{Store, StoreSettings, calls};
    use crate::place::Place;

    calls::store_calls!(Place::new(Store::open(StoreSettings::new("memory://")).await.unwrap()));
}

#[cfg(test)]
mod calls_of_a_folder {
    use super::{Store, StoreSettings, calls};
    use crate::place::Place;

    /// The folder outlives the test that writes into it, and is removed with the next build's.
    fn folder() -> StoreSettings {
        StoreSettings::new(format!("file://{}/calls", env!("CARGO_TARGET_TMPDIR")))
    }

    calls::store_calls!(Place::new(Store::open(folder()).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_memory_keep_snapshots_and_have_one_owner() {
    let folder = Fixture::new("folder://");
    conformance::a_store_keeps_snapshots_and_has_one_owner(&folder).await;
    let memory = bad_store::BadStore::new().fixture();
    conformance::a_store_keeps_snapshots_and_has_one_owner(&memory).await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_at_the_start_is_told_apart() {
    // A port that was free a moment ago: connections are refused.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut store = StoreSettings::new("s3://bucket/x")
        .with_option("endpoint", format!("http://{free}"))
        .with_option("region", "us-east-1")
        .with_option("access_key_id", "test")
        .with_option("secret_access_key", "test");
    store.retries_max = 0;
    store.call_timeout = std::time::Duration::from_secs(10);
    let fixture = Fixture::with_store(folder, store);
    let Err(error) = fixture.try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("check its address and the network"), "{error}");
}

#[tokio::test]
async fn a_manifest_and_a_store_that_do_not_belong_together_are_refused() {
    let fixture = Fixture::new("folder://");
    fixture.open().await.close().await;
    let store = fixture.folder.path().join("store");
    std::fs::rename(&store, fixture.folder.path().join("moved")).unwrap();
    let emptied = fixture.try_open().await;
    assert!(matches!(emptied.err(), Some(OpenError::Mismatch { .. })));

    let other = Fixture::new("folder://");
    other.open().await.close().await;
    let mut crossed = other.config.clone();
    crossed.manifest_path = fixture.config.manifest_path.clone();
    let Err(error) = Tiering::open(crossed, Arc::clone(&other.clock) as _).await else {
        panic!("opened")
    };
    assert!(error.to_string().contains("do not belong together"), "{error}");
}
