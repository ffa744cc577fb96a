//! Tiering against real and misbehaving stores, and against crashes at every step.

#[cfg(test)]
mod bad_store;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod classes;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod death;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod overlap;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod place;
#[cfg(test)]
mod processes;
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
#[cfg(test)]
mod turns;
#[cfg(test)]
mod watch;

use std::sync::Arc;

use fixture::Fixture;
use icecore_tiering::{OpenError, Store, StoreSettings, Tiering};

#[cfg(test)]
mod memory {
    use super::{Fixture, Store, StoreSettings, calls, conformance};
    use crate::place::Place;

    calls::store_calls!(Place::new(Store::open(StoreSettings::new("memory://")).await.unwrap()));
    conformance::segment_tests!(Fixture::over(std::sync::Arc::new(
        object_store::memory::InMemory::new()
    )));
}

#[cfg(test)]
mod folder {
    use super::{Fixture, Store, StoreSettings, calls, conformance};
    use crate::place::Place;

    /// The folder outlives the test that writes into it, and is removed with the next build's.
    fn folder() -> StoreSettings {
        StoreSettings::new(format!("file://{}/calls", env!("CARGO_TARGET_TMPDIR")))
    }

    calls::store_calls!(Place::new(Store::open(folder()).await.unwrap()));
    conformance::segment_tests!(Fixture::new("folder://"));
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
