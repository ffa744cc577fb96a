//! A store that belongs to somebody else, and disks that are not what they seem.

use std::path::Path;

use axum::http::Method;
use icecore::app::{
    RestoreOptions, RestoreProgress, RestoreStep, RestoreWatch, Unwatched, restore,
};
use icecore::config::{BrokerConfig, Places, Sources};
use icecore_tiering::TakeOver;
use tempfile::TempDir;

use crate::broker::{Running, bound, start};
use crate::toy_s3::{Fault, ToyS3};

const NOW: RestoreOptions = RestoreOptions { cluster_id: None, take_over: TakeOver::Now };

/// The broker of a fresh cluster, its store as a URL, and what else lies beside it.
async fn owner(dir: &Path) -> (Running, String) {
    let broker = start(dir).await;
    let store = format!("file://{}", broker.store_dir().display());
    let meta = |name: &str| broker.store_dir().join(name);
    broker
        .until("kept in the bucket", async || {
            let mut clusters = std::fs::read_dir(meta("")).into_iter().flatten().flatten();
            clusters.any(|cluster| cluster.path().join("meta/cluster").exists())
        })
        .await;
    (broker, store)
}

fn config(data_dir: &Path, store: &str) -> BrokerConfig {
    let places = Places {
        data_dir: Some(data_dir.to_owned()),
        store: Some(store.to_owned()),
        ..Places::default()
    };
    BrokerConfig::load(&Sources { places, ..Sources::default() }).expect("a configuration")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_under_a_store_that_holds_a_cluster_ends_the_start() {
    let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (broker, store) = owner(dir.path()).await;
    let error = bound(other.path(), Some(&store), &[]).await.start_error().await.to_string();
    for told in ["holds cluster", "icecore tier restore", "tiering.on.empty.disk"] {
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(!other.path().join("metadata.db").exists(), "nothing was begun");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_hides_the_cluster_lets_no_other_one_begin_on_an_empty_disk() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
    let toy = ToyS3::start(dirs[0].path()).await;
    let settings = |dir: &TempDir| dir.path().join("icecore.toml");
    std::fs::copy(settings(&dirs[0]), settings(&dirs[1])).expect("the same store");
    toy.remember();
    let broker = bound(dirs[0].path(), Some("s3"), &[]).await;
    broker.ready().await;
    // As it was before there was a cluster.
    toy.order(Method::GET, ["list-type", "delimiter"], Fault::Outdated, 1);
    let error = bound(dirs[1].path(), Some("s3"), &[]).await.start_error().await.to_string();
    assert!(error.contains("holds cluster") && error.contains("icecore tier restore"), "{error}");
    assert_eq!(toy.unmet(), 0, "the list was asked for");
    assert!(!dirs[1].path().join("metadata.db").exists(), "nothing was begun");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_another_broker_took_over_from_ends_the_start() {
    let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (broker, store) = owner(dir.path()).await;
    broker.stop().await;
    restore(&config(other.path(), &store), &NOW, &Unwatched).await.expect("restored");
    let error = bound(dir.path(), None, &[]).await.start_error().await.to_string();
    assert!(error.contains("belongs to another broker: a tool on"), "{error}");
    assert!(error.contains("move it away and run `icecore tier restore`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_another_one_replaces_ends_and_says_by_whom() {
    let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (broker, store) = owner(dir.path()).await;
    restore(&config(other.path(), &store), &NOW, &Unwatched).await.expect("restored");
    // It renews every twenty seconds, and finds another's record under its number.
    let error = broker.start_error().await.to_string();
    assert!(error.contains("another one took over") && error.contains("a tool on"), "{error}");
}

/// Breaks a restore off as soon as it began.
struct BrokenOff;

impl RestoreWatch for BrokenOff {
    fn reached(&self, _step: RestoreStep) -> bool {
        false
    }

    fn progress(&self, _progress: RestoreProgress) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_broken_off_ends_the_start() {
    let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (broker, store) = owner(dir.path()).await;
    broker.stop().await;
    let broken = restore(&config(other.path(), &store), &NOW, &BrokenOff).await;
    broken.expect_err("it is broken off");
    let error = bound(other.path(), Some(&store), &[]).await.start_error().await.to_string();
    assert!(error.contains("was broken off: run `icecore tier restore` again"), "{error}");
}
